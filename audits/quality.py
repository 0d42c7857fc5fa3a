"""Quality audit: what picture and caption look like in numbers, against a suite of what is usual.

The measures are made from the thumbnail and the caption; Great Expectations counts, one finding an
expectation. Does not see: whether a picture is good or a caption true.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures
from audits.expectations.appearance import appearance
from audits.expectations.scripts import script_of
from audits.expectations.suite import (
    ID,
    Expectation,
    Result,
    Suite,
    frame_of,
    gx_version,
    packaged,
    validated,
)
from audits.settings import Written, read_table
from governance.canon import Json
from governance.errors import EvidenceMissing
from governance.records import Finding

AUDIT = "quality"


class QualityTable(Written):
    """The table [audits.quality]: a suite of the operator's own, as a path."""

    suite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityAudit:
    """The suite says what a usual sample looks like."""

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("aspect", pa.float32()),  # width by height of the file
            ("blur", pa.float32()),  # 0 sharp to 1; NULL of one tone or ten pixels
            ("entropy", pa.float32()),  # of the grey histogram, in bits, 0 to 8
            ("brightness", pa.float32()),  # mean luma, 0 black to 1 white
            ("caption_chars", pa.int32()),
            ("caption_words", pa.int32()),
            ("caption_script", pa.string()),
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    suite: Suite = field(default_factory=packaged)

    @classmethod
    def of(cls, table: Mapping[str, Json], folder: Path) -> Self:
        """Read the operator's table. Raises UsageError, EvidenceMissing."""
        return cls(suite=Suite.at(read_table(QualityTable, AUDIT, table).suite, folder))

    def measure(self, batch: Batch) -> Columns:
        """Measure how each picture looks, and count the words of each caption."""
        captions = [caption.strip() for caption in batch.text("caption")]
        seen = [
            None if picture is None else appearance(picture.image) for picture in batch.pictures
        ]
        return {
            "aspect": [None if p is None else p.width_px / p.height_px for p in batch.pictures],
            "blur": [None if one is None else one.blur for one in seen],
            "entropy": [None if one is None else one.entropy for one in seen],
            "brightness": [None if one is None else one.brightness for one in seen],
            "caption_chars": [len(caption) for caption in captions],
            "caption_words": [len(caption.split()) for caption in captions],
            "caption_script": [script_of(caption) for caption in captions],
        }

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Hold the suite against the measures.

        Raises:
            EvidenceMissing: GX is absent, or could not check an expectation.
        """
        del pictures  # they were measured
        names = ", ".join(self.suite.columns)
        table = measures.sql(f"SELECT {names} FROM measures").to_arrow_table()  # noqa: S608
        return Conclusion(tuple(self._findings(table)))

    def _findings(self, table: pa.Table) -> Iterator[Finding]:
        ids = table[ID].to_pylist()
        said = validated(frame_of(table, self.suite), self.suite, complete=True)
        results = {
            one.expectation_config.meta["finding"]: one.result
            for one in said.results
            if one.expectation_config
        }
        found = [
            _finding(one, results.get(one.finding, {}), ids) for one in self.suite.expectations
        ]
        met = sum(not finding.value for finding in found)
        yield Finding(
            audit=AUDIT,
            name="expectations met",
            value=met,
            note=f"Of {len(found)} in {self.suite}; {len(ids)} samples; Great Expectations "
            f"{gx_version()}.",
        )
        yield from found


def _finding(expectation: Expectation, result: Result, ids: Sequence[str | None]) -> Finding:
    """Return how many samples are not as expected, and which. Raises EvidenceMissing."""
    if "unexpected_count" not in result:  # the library reports its own crash as no result
        raise EvidenceMissing(
            f"Great Expectations could not check for {expectation.finding}; audit again."
        )
    rows = [ids[row] for row in result["unexpected_index_list"] or ()]
    absent = result.get("missing_count", 0)
    note = f"Usual of {expectation.column}: {expectation.usual} ({expectation.severity})."
    return Finding(
        audit=AUDIT,
        name=expectation.finding,
        value=int(result["unexpected_count"]),
        ids=tuple(id_ for id_ in rows if id_ is not None),
        note=f"{note} {absent} samples have no value here and are not counted." if absent else note,
    )
