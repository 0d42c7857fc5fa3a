"""Laying one picture on another: which part of the one the other shows, to a fraction of a pixel.

From a rough start (this view of the one looks like that view of the other, turned so) an affine map
is refined by comparing grey levels, coarse to fine, whatever the light and the contrast.

Does not see: bends, perspective, or parallax; and it always finds some map. Whether the two
pictures agree under it is for `audits.alike.likeness` to say.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from audits.alike.likeness import SIDE_PX
from audits.alike.views import NO_BOX, Box
from audits.audit import Pixels

Floats = npt.NDArray[np.float64]
Map = npt.NDArray[np.float64]  # (2, 3): where in the other a place of the one is; sides are 0..1

SIDES_PX = (16, 32, SIDE_PX)  # coarse to fine
STEPS = 12  # at most, at each size
FURTHEST_PX = 2.0  # one step moves no further
STILL_PX = 0.02  # a step shorter than this is the last
DOUBT = 0.5  # deviations of the picture; an error this large counts half
SHARES = (1.0, 0.8, 0.62)  # of the side of what both show; what lies outside may be overlaid
INSET = 0.98  # the outermost pixels of a crop are mixed with what was cut away
LEAST_SHARED = 0.3  # of a side; two pictures that share less are not compared
LEAST_AREA = 1e-3  # what a map makes of the whole area; below it is a line
SLACK = 0.01  # of a side; how far outside of a picture its last pixel is repeated
OWN_PX, OWN_SLACK = 96, 0.003  # where the one shows what the other does not; of a side
PLAIN_LEVELS, MOST_OWN = 16.0, 0.05  # a fill is one grey within this, but for this share
WHOLE: Map = np.eye(2, 3)


def start_of(box: Box, other: Box, turn: Floats) -> Map:
    """Return the map by which a part of the one is a part of the other, turned.

    Args:
        box: the part of the one that looks like...
        other: ...this part of the other...
        turn: ...turned by this signed permutation (2, 2).
    """
    size, size_b = _size(box), _size(other)
    linear = size_b[:, np.newaxis] * turn / size
    return np.column_stack([linear, _middle(other) - linear @ _middle(box)])


def refined(one: Image.Image, other: Image.Image, start: Map, box: Box) -> Map | None:
    """Return the map by which grey levels of `other` fit those of `one` within `box`.

    None where the search runs away, or the box is too small to fit anything to.

    Source: Baker and Matthews 2004, IJCV 56(3), inverse compositional alignment, section 3.2.
    """
    if (_size(box) < LEAST_SHARED).any():
        return None
    grey, grey_b, found = one.convert("L"), other.convert("L"), start
    for side in SIDES_PX:
        found = _fitted(grey, grey_b, found, box, side=side)
        if not _sound(found):
            return None
    return found


def overlaid(one: Image.Image, other: Image.Image, found: Map) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield what both show, (64, 64, 3) of each: all of it first, then ever less around its middle.

    Nothing is yielded of parts that one of them does not show.
    """
    box = shared(found)
    if (_size(box) < LEAST_SHARED).any():
        return
    for share in SHARES:
        part = _shrunk(box, share * INSET)
        if _inside(found, part):
            yield _pixels(one, WHOLE, part), _pixels(other, found, part)


def shown_beside(image: Image.Image, found: Map) -> tuple[float, bool]:
    """Return which share of a picture the other does not show, and whether that is one plain grey.

    Args:
        image: the one.
        found: where its places are in the other.
    """
    outside = ~_within(found, NO_BOX, side=OWN_PX, slack=OWN_SLACK)
    if not outside.any():
        return 0.0, True
    small = image.convert("L").resize((OWN_PX, OWN_PX), Image.Resampling.BOX)
    levels = np.asarray(small, dtype=np.float64)[outside]
    off = np.abs(levels - np.median(levels)) > PLAIN_LEVELS
    return float(outside.mean()), float(off.mean()) <= MOST_OWN


def composed(found: Map, after: Map) -> Map:
    """Return the map that follows one to a second picture, and another from there to a third."""
    shift = after[:, :2] @ found[:, 2] + after[:, 2]
    return np.asarray(np.column_stack([after[:, :2] @ found[:, :2], shift]), dtype=np.float64)


def inverse(found: Map) -> Map:
    """Return the map the other way."""
    linear = np.linalg.inv(found[:, :2])
    return np.asarray(np.column_stack([linear, -linear @ found[:, 2]]), dtype=np.float64)


def _fitted(grey: Image.Image, grey_b: Image.Image, found: Map, box: Box, *, side: int) -> Map:
    """Return the map after steps at one size.

    A pixel counts the less the further it is off: what was written over a copy must not pull.
    """
    plain = _sampled(_reduced(grey, WHOLE, box, side=side), WHOLE, box, side=side)
    template = _standard(plain, np.ones((side, side), np.bool_))
    slopes, small = _slopes(template), _reduced(grey_b, found, box, side=side)
    for _ in range(STEPS):
        shown = _within(found, box, side=side, slack=0.0)
        error = _standard(_sampled(small, found, box, side=side), shown) - template
        weighed = slopes * (shown / (1 + np.square(error / DOUBT))).reshape(-1, 1)
        step = np.linalg.lstsq(weighed.T @ slopes, weighed.T @ error.ravel(), rcond=1e-6)[0]
        step = np.clip(step, -FURTHEST_PX, FURTHEST_PX).astype(np.float64)
        found = _stepped(found, step, box, side=side)
        if not _sound(found) or np.abs(step).sum() < STILL_PX:
            break
    return found


def _slopes(template: Floats) -> Floats:
    """Return (pixels, 6): how grey levels change with the six numbers of a map."""
    down, across = np.gradient(template)
    x, y = _grid(template.shape[0])
    slopes = [slope * place for slope in (across, down) for place in (x, y, np.ones_like(x))]
    return np.stack(slopes, axis=-1).reshape(-1, 6)


def _stepped(found: Map, step: Floats, box: Box, *, side: int) -> Map:
    """Return the map after the inverse of a step of the template, in pixels at its edge."""
    half, middle = _size(box) / 2, _middle(box)
    warp = np.eye(3) + np.vstack([step.reshape(2, 3) * 2 / side, np.zeros(3)])
    if abs(np.linalg.det(warp)) < LEAST_AREA:
        return np.zeros((2, 3))
    undone = np.linalg.inv(warp)[:2]
    linear = half[:, np.newaxis] * undone[:, :2] / half
    shift = middle + half * undone[:, 2] - linear @ middle
    return np.column_stack([found[:, :2] @ linear, found[:, :2] @ shift + found[:, 2]])


def _sound(found: Map) -> bool:
    return bool(np.isfinite(found).all()) and abs(np.linalg.det(found[:, :2])) >= LEAST_AREA


@cache
def _grid(side: int) -> tuple[Floats, Floats]:
    """Return x and y of pixels from the middle, in half sides: -1..1."""
    at = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(at, at)
    return x, y


def _within(found: Map, box: Box, *, side: int, slack: float) -> npt.NDArray[np.bool_]:
    """Return where the other has a pixel for a pixel of the box (side, side)."""
    places = np.stack(_grid(side), axis=-1) * _size(box) / 2 + _middle(box)
    placed = places @ found[:, :2].T + found[:, 2]
    return np.asarray(((placed >= -slack) & (placed <= 1 + slack)).all(axis=-1))


def _sampled(grey: Image.Image, found: Map, box: Box, *, side: int) -> Floats:
    return np.asarray(_warped(grey, found, box, side=side), dtype=np.float64)


def _pixels(image: Image.Image, found: Map, box: Box) -> Pixels:
    """Return a part as compared; a mean of four samples is less blurred than one between pixels."""
    small = _reduced(image, found, box, side=2 * SIDE_PX)
    return np.asarray(_warped(small, found, box, side=2 * SIDE_PX).reduce(2))


def _reduced(image: Image.Image, found: Map, box: Box, *, side: int) -> Image.Image:
    """Return a picture shrunk, by the mean over areas, so that a box has about side x side pixels.

    Without it, one pixel of the box would be read at one point of many.
    """
    spans = np.maximum(np.abs(found[:, :2] * _size(box) / side).max(axis=1), 1e-6).tolist()
    width, height = (
        max(1, min(full, round(1 / span))) for full, span in zip(image.size, spans, strict=True)
    )
    return image.resize((width, height), Image.Resampling.BOX)


def _warped(image: Image.Image, found: Map, box: Box, *, side: int) -> Image.Image:
    """Return what a picture shows where a map puts a box, side x side pixels."""
    linear = found[:, :2] * _size(box) / side  # of a pixel of the result
    shift = found[:, :2] @ np.array(box[:2]) + found[:, 2]
    data = np.column_stack([linear, shift]) * np.array(image.size)[:, np.newaxis]
    return image.transform(
        (side, side), Image.Transform.AFFINE, data.ravel().tolist(), Image.Resampling.BILINEAR
    )


def _standard(grey: Floats, shown: npt.NDArray[np.bool_]) -> Floats:
    seen = grey[shown] if shown.any() else grey
    return np.asarray((grey - seen.mean()) / max(float(seen.std()), 1.0))


def shared(found: Map) -> Box:
    """Return the box of the one around what the other shows of it.

    Where that is turned a little, its corners stick out; the two inner ones of four count.
    """
    back = inverse(found)
    corners = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    placed = np.clip(np.sort(back[:, :2] @ corners + back[:, 2:], axis=1), 0, 1)
    (left, right), (top, bottom) = placed[:, 1:3].tolist()
    return left, top, right, bottom


def _size(box: Box) -> Floats:
    return np.array([box[2] - box[0], box[3] - box[1]])


def _middle(box: Box) -> Floats:
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2


def _shrunk(box: Box, share: float) -> Box:
    (left, top), (right, bottom) = (
        (_middle(box) + side * _size(box) * share / 2).tolist() for side in (-1, 1)
    )
    return left, top, right, bottom


def _inside(found: Map, box: Box) -> bool:
    """Return whether the other shows all of a box of the one."""
    corners = np.array([[box[0], box[2], box[0], box[2]], [box[1], box[1], box[3], box[3]]])
    placed = found[:, :2] @ corners + found[:, 2:]
    return bool(((placed >= -SLACK) & (placed <= 1 + SLACK)).all())
