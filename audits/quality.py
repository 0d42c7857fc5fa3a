"""Quality audit: a Great Expectations suite over the measures, one finding an expectation.

The suite says what is usual, not what is allowed. Great Expectations is imported when it is
needed (it takes seconds) and runs in memory, without analytics, progress bars or files.

Does not see: whether a picture is good or a caption true.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures
from governance.canon import Json
from governance.errors import EvidenceMissing
from governance.records import Finding

if TYPE_CHECKING:
    import pandas as pd

AUDIT = "quality"
CHECKED = (
    "id", "sha256", "size_bytes", "decoded", "width_px", "height_px", "trailing_bytes",
    "caption_chars",
)  # fmt: skip
Expectation: TypeAlias = tuple[str, dict[str, Json]]  # its type, and its arguments
Result: TypeAlias = Mapping[str, Any]  # what Great Expectations says of one: a JSON border


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityAudit:
    """What a usual sample looks like: lengths of sides and captions, both ends included."""

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema([("caption_chars", pa.int32())])
    relations: ClassVar[pa.Schema] = pa.schema([])

    sides_px: tuple[int, int] = (32, 8192)
    caption_chars: tuple[int, int] = (1, 2000)

    def measure(self, batch: Batch) -> Columns:
        """Count the characters of each caption, without blanks at its ends."""
        return {"caption_chars": [len(caption.strip()) for caption in batch.text("caption")]}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:  # noqa: ARG002  the shape of an audit
        """Validate the measures. Raises EvidenceMissing when something could not be checked."""
        frame = measures.sql(f"SELECT {', '.join(CHECKED)} FROM measures").df()  # noqa: S608
        results, ids = _validated(frame, self.suite()), frame["id"].tolist()
        found = tuple(_finding(name, results.get(name, {}), ids) for name in self.suite())
        return Conclusion(found)

    def suite(self) -> dict[str, Expectation]:
        """Return what is expected, by the name of the finding that counts what is not so."""
        return {
            "ids that stand twice": ("expect_column_values_to_be_unique", {"column": "id"}),
            "samples without an id": ("expect_column_values_to_not_be_null", {"column": "id"}),
            "digests that are no SHA-256": (
                "expect_column_values_to_match_regex",
                {"column": "sha256", "regex": "^[0-9a-f]{64}$"},
            ),
            "pictures that cannot be decoded": (
                "expect_column_values_to_be_in_set",
                {"column": "decoded", "value_set": [True]},
            ),
            "samples without image bytes": _between("size_bytes", 1, None),
            "widths out of range": _between("width_px", *self.sides_px),
            "heights out of range": _between("height_px", *self.sides_px),
            "bytes after a picture's end": _between("trailing_bytes", 0, 0),
            "captions out of range": _between("caption_chars", *self.caption_chars),
        }


def _between(column: str, low: int, high: int | None) -> Expectation:
    limits: dict[str, Json] = {"column": column, "min_value": low, "max_value": high}
    return "expect_column_values_to_be_between", limits


def _validated(frame: "pd.DataFrame", suite: Mapping[str, Expectation]) -> dict[str, Result]:
    """Return the result of each expectation of a suite, by name. Raises EvidenceMissing."""
    try:
        with warnings.catch_warnings():  # its own import of two modules Python will drop
            warnings.filterwarnings("ignore", r"module 'sre_\w+' is deprecated", DeprecationWarning)
            import great_expectations as gx  # noqa: PLC0415  heavy
            from great_expectations.data_context.types import base  # noqa: PLC0415  heavy
    except ModuleNotFoundError:
        raise EvidenceMissing("The quality suite needs pramana[quality]: install it.") from None
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = base.ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("pramana").add_dataframe_asset("measures")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    expectations = [
        {"type": kind, "kwargs": arguments, "meta": {"finding": name}}
        for name, (kind, arguments) in suite.items()
    ]
    validated = batch.validate(
        gx.ExpectationSuite(name=AUDIT, expectations=expectations),
        result_format={"result_format": "COMPLETE", "exclude_unexpected_values": True},
    )
    told = ((result.expectation_config, result.result) for result in validated.results)
    return {config.meta["finding"]: result for config, result in told if config}


def _finding(name: str, result: Result, ids: Sequence[str | None]) -> Finding:
    """Return how many samples are not as expected, and which. Raises EvidenceMissing."""
    if "unexpected_count" not in result:  # the library reports its own crash as no result
        raise EvidenceMissing(f"Great Expectations could not check for {name}; audit again.")
    rows = [ids[row] for row in result["unexpected_index_list"] or ()]
    absent = result.get("missing_count", 0)
    return Finding(
        audit=AUDIT,
        name=name,
        value=int(result["unexpected_count"]),
        ids=tuple(id_ for id_ in rows if id_ is not None),
        note=f"{absent} samples have no value here and are not counted." if absent else "",
    )
