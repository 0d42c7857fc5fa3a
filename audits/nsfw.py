"""NSFW audit: hash lists, NudeNet's 320n network, a second detector, and what captions say.

What a hash list holds, and what brings a minor and nudity together, is *suspected*. Nothing is
decided, and nothing that was measured of such a sample is kept: no score, box or term (CS-01,
CS-02). Lists are asked first; what one of them holds is shown to no detector.

Does not see: most of it. NudeNet's published recall is about 0.6 at score 0.2, and drawings of a
peach or a round face score high. A low score is no claim that nothing is there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Self

import duckdb
import pyarrow as pa
from PIL import Image
from pydantic import Field

from audits.audit import Batch, Columns, Conclusion, Pictures
from audits.captions import lexicon, stated
from audits.screening.boxes import (
    EXPOSED,
    FACE_FLOOR,
    GENITAL,
    Detection,
    detections,
    network_input,
)
from audits.screening.detector import Weights, run
from audits.screening.exposure import AUDIT, findings
from audits.screening.hashlists import Fingerprints, HashList, ListTable, first_match
from audits.screening.second import Second, SecondTable
from audits.settings import Written, read_table
from governance.canon import Json
from governance.errors import EvidenceMissing, UsageError
from governance.images import Picture

YOUNG = frozenset({"about=minor", "about=young"})
TOGETHER = "CS-01 minor and nudity by caption terms"
Score = Annotated[float, Field(ge=0, le=1)]


class NsfwTable(Written):
    """The table [audits.nsfw] of pramana.toml."""

    hash_lists: list[ListTable] = Field(default_factory=list)
    second: SecondTable | None = None
    suspect_score: Score = 0.6
    suspect_genital_score: Score = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class NsfwAudit:
    """Hash lists, NudeNet 320n and a second detector in processes of their own, caption terms.

    The suspect scores lie above those of 204 drawings by four vendors whose captions name a child
    (none over 0.52, and 0.17 for genitals), so that a drawn baby does not close the gate. Set on
    drawings: what they miss among photographs is not known. The second detector's own `score`
    suspects too.
    """

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("nsfw_scored", pa.bool_()),
            ("nsfw_score", pa.float32()),  # highest of the exposed classes, 0 where none is found
            ("nsfw_class", pa.string()),  # the class of that score
            ("nsfw_detections", pa.string()),  # JSON: [class, score, x, y, width, height], ...
            ("nsfw_second_score", pa.float32()),  # empty without a second detector
            ("faces", pa.int32()),  # boxes of a detector, not people
            ("nsfw_terms", pa.bool_()),
            ("pdq_quality", pa.int32()),  # 0..100; empty without a list of PDQ digests
            ("suspected", pa.bool_()),  # where true, all of the above is empty
            ("suspected_by", pa.string()),  # 'CS-07 list NAME@VERSION' or 'CS-01 minor and ...'
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    weights: Weights | None = field(default_factory=Weights.installed)
    suspect_score: float = 0.6
    suspect_genital_score: float = 0.25
    hash_lists: tuple[HashList, ...] = ()
    second: Second | None = None

    @classmethod
    def of(cls, table: Mapping[str, Json], folder: Path) -> Self:
        """Return the audit as the operator sets it.

        Raises:
            UsageError: a key or value is not known, or two lists have one name and version.
            EvidenceMissing: a file or library that is named is not there.
            Tampered: a file has other bytes than were pinned.
        """
        told = read_table(NsfwTable, AUDIT, table)
        lists = tuple(HashList.of(one, folder) for one in told.hash_lists)
        if len({one.label for one in lists}) < len(lists):
            raise UsageError(
                "Two hash lists in pramana.toml have one name and version; a match must say which "
                "of them it is, so name them apart."
            )
        return cls(
            suspect_score=told.suspect_score,
            suspect_genital_score=told.suspect_genital_score,
            hash_lists=lists,
            second=Second.of(told.second, folder) if told.second else None,
        )

    @property
    def weights_sha256(self) -> str | None:
        """Return which network ran; the engine binds it into the digest of the audits' code."""
        return None if self.weights is None else self.weights.sha256

    def measure(self, batch: Batch) -> Columns:
        """Hold each sample alone against the lists, then the words, then the detectors.

        Raises:
            EvidenceMissing: no detector is installed, its process ended, or it gave no numbers.
            Tampered: its weights, or a list, changed.
        """
        samples = zip(batch.images, batch.pictures, batch.text("caption"), strict=True)
        rows = [self._row(*sample) for sample in samples]
        return {name: [row.get(name) for row in rows] for name in self.columns.names}

    def _row(self, image: bytes, picture: Picture | None, caption: str) -> dict[str, object]:
        """Measure one sample, and stop at the first sign that makes it suspected."""
        prints = Fingerprints(image, picture)
        if listed := first_match(self.hash_lists, prints):
            return _suspected(f"CS-07 list {listed.label}")
        said = stated(caption, lexicon("safety"))
        young, nudity = bool(YOUNG.intersection(said)), "about=nudity" in said
        if young and nudity:
            return _suspected(TOGETHER)
        row: dict[str, object] = {"nsfw_scored": False, "nsfw_terms": nudity, "suspected": False}
        if picture is None:
            return row
        found = self._detections(picture.image)
        if young and self._suspicious(found):
            return _suspected(f"{TOGETHER} and NudeNet 320n@{(self.weights_sha256 or '')[:12]}")
        second = self.second.score_of(picture.image) if self.second else None
        if young and self.second and (second or 0.0) >= self.second.score:
            return _suspected(f"{TOGETHER} and {self.second.label}")
        if any(one.kind == "pdq" for one in self.hash_lists):
            row["pdq_quality"] = prints.pdq[1]
        return row | {"nsfw_scored": True, "nsfw_second_score": second} | _boxed(found)

    def _suspicious(self, found: Sequence[Detection]) -> bool:
        return any(
            d.score > (self.suspect_genital_score if d.label in GENITAL else self.suspect_score)
            for d in found
            if d.label in EXPOSED
        )

    def _detections(self, image: Image.Image) -> tuple[Detection, ...]:
        if self.weights is None:
            raise EvidenceMissing("No detector is installed: install pramana[nsfw], then audit.")
        return detections(run(self.weights, network_input(image)), image.size)

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:  # noqa: ARG002  the shape of an audit
        """Count classes, rates by source, faces, terms, matches, and what is suspected."""
        return Conclusion(tuple(findings(measures, self.hash_lists, self.second)))


def _suspected(by: str) -> dict[str, object]:
    return {"suspected": True, "suspected_by": by}


def _boxed(found: Sequence[Detection]) -> dict[str, object]:
    worst = max((d for d in found if d.label in EXPOSED), key=lambda d: d.score, default=None)
    return {
        "nsfw_score": worst.score if worst else 0.0,
        "nsfw_class": worst.label if worst else None,
        "nsfw_detections": json.dumps(found),
        "faces": sum(d.label.startswith("FACE") and d.score >= FACE_FLOOR for d in found),
    }
