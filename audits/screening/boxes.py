"""Boxes of NudeNet's 320n network: 18 classes, read from raw output with numpy alone.

Does not see: whether a box is right. What a score means is for a policy to say.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from audits.audit import LONGEST_PX
from audits.screening.detector import Raw
from governance.errors import EvidenceMissing

Corners = npt.NDArray[np.float64]  # (..., 4): left, top, right, bottom

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


class Detection(NamedTuple):
    """One box: class, score in 0..1, and left, top, width, height in thumbnail pixels."""

    label: str
    score: float
    x: int
    y: int
    width: int
    height: int


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
