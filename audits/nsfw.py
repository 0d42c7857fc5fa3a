"""NSFW audit: what NudeNet's 320n network detects, and where a caption speaks of nudity or minors.

A picture and caption that bring a minor and nudity together are *suspected*. Nothing is decided,
and nothing that was measured of such a sample is kept: no score, box or term.

Does not see: most of it. NudeNet's published recall is about 0.6 at score 0.2, and drawings of a
peach or a round face score high. A low score is no claim that nothing is there.
"""

import atexit
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from audits.audit import LONGEST_PX, Batch, Columns, Conclusion, Pictures, count_of, share_of
from audits.captions import lexicon, stated
from audits.detector import Detector, Raw, Weights
from governance.canon import printable
from governance.errors import EvidenceMissing, PramanaError
from governance.images import Picture
from governance.records import Finding

Corners = npt.NDArray[np.float64]  # (..., 4): left, top, right, bottom

AUDIT = "nsfw"
CLASSES = (
    "FEMALE_GENITALIA_COVERED", "FACE_FEMALE", "BUTTOCKS_EXPOSED", "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED", "MALE_BREAST_EXPOSED", "ANUS_EXPOSED", "FEET_EXPOSED",
    "BELLY_COVERED", "FEET_COVERED", "ARMPITS_COVERED", "ARMPITS_EXPOSED", "FACE_MALE",
    "BELLY_EXPOSED", "MALE_GENITALIA_EXPOSED", "ANUS_COVERED", "FEMALE_BREAST_COVERED",
    "BUTTOCKS_COVERED",
)  # fmt: skip
GENITAL = frozenset({"FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED", "ANUS_EXPOSED"})
EXPOSED = GENITAL | {"BUTTOCKS_EXPOSED", "FEMALE_BREAST_EXPOSED"}

FLOOR = 0.2  # NudeNet's own floor; its recall is published at this score
FACE_FLOOR = 0.25  # NudeNet keeps boxes from here
OVERLAP = 0.45  # intersection over union above which the lower box of one class goes
MOST_BOXES = 300  # candidates read of one picture
STRIDE = 32  # the network halves its input five times

RECALL = ((0.2, 0.606), (0.4, 0.466), (0.5, 0.378))  # share found at a score; NudeNet#159


class Detection(NamedTuple):
    """One box: class, score in 0..1, and left, top, width, height in thumbnail pixels."""

    label: str
    score: float
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NsfwAudit:
    """NudeNet 320n in a process of its own, and caption terms in English and Hindi.

    The suspect scores lie above those of 204 drawings by four vendors whose captions name a child
    (none over 0.52, and 0.17 for genitals), so that a drawn baby does not close the gate. Set on
    drawings: what they miss among photographs is not known.
    """

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("nsfw_scored", pa.bool_()),
            ("nsfw_score", pa.float32()),  # highest of the exposed classes, 0 where none is found
            ("nsfw_class", pa.string()),  # the class of that score
            ("nsfw_detections", pa.string()),  # JSON: [class, score, x, y, width, height], ...
            ("faces", pa.int32()),  # boxes of a detector, not people
            ("nsfw_terms", pa.bool_()),
            ("suspected", pa.bool_()),  # where true, all of the above but `nsfw_scored` is empty
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    weights: Weights | None = field(default_factory=Weights.installed)
    suspect_score: float = 0.6
    suspect_genital_score: float = 0.25

    @property
    def weights_sha256(self) -> str | None:
        """Return which network ran; the engine binds it into the digest of the audits' code."""
        return None if self.weights is None else self.weights.sha256

    def measure(self, batch: Batch) -> Columns:
        """Detect on each picture alone, and read each caption.

        Raises:
            EvidenceMissing: no detector is installed, its process ended, or it gave no numbers.
            Tampered: its weights changed.
        """
        rows = [
            self._row(picture, stated(caption, lexicon("safety")))
            for picture, caption in zip(batch.pictures, batch.text("caption"), strict=True)
        ]
        return {name: [row.get(name) for row in rows] for name in self.columns.names}

    def _row(self, picture: Picture | None, said: list[str]) -> dict[str, object]:
        found = None if picture is None else self._detections(picture.image)
        nudity = "about=nudity" in said
        if "about=minor" in said and (nudity or self._suspicious(found or ())):
            return {"nsfw_scored": found is not None, "nsfw_detections": "[]", "suspected": True}
        row: dict[str, object] = {
            "nsfw_scored": found is not None,
            "nsfw_terms": nudity,
            "suspected": False,
        }
        if found is None:
            return row
        worst = max((d for d in found if d.label in EXPOSED), key=lambda d: d.score, default=None)
        return row | {
            "nsfw_score": worst.score if worst else 0.0,
            "nsfw_class": worst.label if worst else None,
            "nsfw_detections": json.dumps(found),
            "faces": sum(d.label.startswith("FACE") and d.score >= FACE_FLOOR for d in found),
        }

    def _suspicious(self, found: Sequence[Detection]) -> bool:
        return any(
            d.score > (self.suspect_genital_score if d.label in GENITAL else self.suspect_score)
            for d in found
            if d.label in EXPOSED
        )

    def _detections(self, image: Image.Image) -> tuple[Detection, ...]:
        if self.weights is None:
            raise EvidenceMissing("No detector is installed: install pramana[nsfw], then audit.")
        try:
            raw = _started(self.weights).run(network_input(image))
        except PramanaError:
            _started.cache_clear()  # the next audit of this process starts a new one
            raise
        return detections(raw, image.size)

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:  # noqa: ARG002  the shape of an audit
        """Count exposed classes, rates by source, faces, terms and suspected samples."""
        return Conclusion((*_counts(measures), *_by_class(measures), *_by_source(measures)))


@functools.cache
def _started(weights: Weights) -> Detector:
    """Return this process's detector: one a worker, started at its first picture."""
    detector = Detector(weights)
    atexit.register(detector.close)
    return detector


def network_input(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the picture (H, W, 3) as RGB, scaled so that its longest side is 320 px.

    Each side is rounded to a multiple of 32 instead of padding to a square: nothing is cut off,
    and a wide picture costs a fifth less.
    """
    return np.asarray(image.resize(_input_size(image.size), Image.Resampling.BILINEAR))


def _input_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = (STRIDE * max(1, round(s * LONGEST_PX / max(size) / STRIDE)) for s in size)
    return width, height


def detections(raw: Raw, size: tuple[int, int]) -> tuple[Detection, ...]:
    """Read boxes from raw output: every class from `FLOOR`, best first, overlaps of a class gone.

    Args:
        raw: `(4 + classes, anchors)`, boxes as centre and size in pixels of the network input.
        size: width and height of the thumbnail.

    Raises:
        EvidenceMissing: the output is not that of 18 classes, or not finite.
    """
    scores = raw[4:]
    if len(scores) != len(CLASSES) or not np.isfinite(raw).all():
        raise EvidenceMissing(
            f"The network gave {len(scores)} classes, or values that are no numbers; finite scores "
            f"of {len(CLASSES)} are read. Give NudeNet's own weights."
        )
    kinds, anchors = np.nonzero(scores >= FLOOR)
    best_first = np.argsort(-scores[kinds, anchors], kind="stable")[:MOST_BOXES]
    kinds, anchors = kinds[best_first], anchors[best_first]
    centre, sides = raw[:2, anchors].T, raw[2:4, anchors].T
    scale = np.divide(size, _input_size(size))
    boxes = np.hstack([centre - sides / 2, centre + sides / 2]) * np.tile(scale, 2)
    corners = np.clip(boxes, 0, np.tile(size, 2))
    left = np.arange(len(kinds))
    kept = list[int]()
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        apart = _overlap(corners[best], corners[left]) <= OVERLAP
        left = left[apart | (kinds[left] != kinds[best])]
    found = scores[kinds, anchors].tolist()
    return tuple(_detection(kinds[k], found[k], corners[k]) for k in kept)


def _overlap(one: Corners, others: Corners) -> Corners:
    """Return intersection over union of one box with others, as left, top, right, bottom."""
    shared = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    both = shared.clip(0).prod(axis=1)
    either = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - both
    return np.asarray(both / np.maximum(either, 1e-9))


def _detection(kind: int, score: float, corners: Corners) -> Detection:
    left, top, right, bottom = (round(float(c)) for c in corners)
    return Detection(CLASSES[kind], round(score, 4), left, top, right - left, bottom - top)


def _counts(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    total, scored, faces, terms = measures.sql(
        "SELECT count(*), count(*) FILTER (nsfw_scored), count(*) FILTER (faces > 0), "
        "count(*) FILTER (nsfw_terms) FROM measures"
    ).fetchall()[0]
    yield share_of(
        AUDIT,
        "scored by the detector",
        count=scored,
        total=total,
        note="Pictures that could not be decoded have no score.",
    )
    found = ", ".join(f"{share:.1%} at {score}" for score, share in RECALL)
    yield Finding(
        audit=AUDIT,
        name="declared miss rate",
        value=1 - RECALL[0][1],
        note=f"Published elsewhere, not measured here: of 10,000 explicit pictures NudeNet 320n "
        f"found {found} (notAI-tech/NudeNet issue 159). Precision was not published.",
    )
    yield Finding(
        audit=AUDIT,
        name="captions with terms of nudity",
        value=terms,
        note="English and Hindi words; a caption may leave it unsaid.",
    )
    yield Finding(
        audit=AUDIT,
        name="samples with a face box",
        value=faces,
        note=f"Boxes of a detector from score {FACE_FLOOR}: not people, and not who they are.",
    )
    suspected = measures.sql("SELECT id FROM measures WHERE suspected ORDER BY id").fetchall()
    yield count_of(
        AUDIT,
        "suspected: minor and nudity together",
        [row[0] for row in suspected],
        note=f"{'No other' if suspected else 'No'} match by NudeNet 320n + caption terms; no claim "
        "of absence. Each case is for a person, with counsel; no score or box of it was kept.",
    )


def _by_class(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield how many samples have a box of each exposed class, whatever its score above 0.2."""
    samples: dict[str, set[str]] = {label: set() for label in sorted(EXPOSED)}
    rows = measures.sql("SELECT id, nsfw_detections FROM measures WHERE nsfw_score > 0 ORDER BY id")
    for sample, text in rows.fetchall():
        for label, *_ in json.loads(text):
            if label in EXPOSED:
                samples[label].add(sample)
    for label, ids in samples.items():
        yield count_of(
            AUDIT,
            f"samples with {label}",
            sorted(ids),
            note=f"Boxes from score {FLOOR}; what score is too much is for a policy to say.",
        )


def _by_source(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    rows = measures.sql(
        "SELECT source, count(*) FILTER (nsfw_score > 0), count(*) FILTER (nsfw_score IS NOT NULL) "
        "FROM measures GROUP BY source ORDER BY source"
    )
    for source, count, total in rows.fetchall():
        yield share_of(
            AUDIT,
            f"exposed rate in {printable(source or 'no named source')}",
            count=count,
            total=total,
            note=f"Share of scored samples with a box of an exposed class from {FLOOR}.",
        )
