"""Hashes of five views of a picture: all of it, three crops about its middle, and borderless.

Each view is hashed upright, and turned into a standing of its own that its eight turned and
mirrored copies share, so that one look-up finds all eight. Where the standing is a close call, a
view has several. A view too plain for its hash to mean anything has none.

Does not see: a crop to less than two fifths of the area or far from the middle, a turn by other
than quarters beyond a few degrees, and what a picture means.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom; each a share of the side, 0..1

HASH_PX, HASH_SIDE = 32, 8  # imagehash.phash: the 8 x 8 lowest frequencies of 32 x 32 grey
FLAT_LEVELS = 5.0  # standard deviation of the grey levels below which a picture is plain
ROUNDING = 1e-6  # a coefficient this close to the median is noise; a symmetric drawing has many
UNDECIDED_BITS = 16  # from this many such bits of 64 the hash says little

CROPS = (1.0, 0.9, 0.78, 0.65)  # sides; a crop between two of them is within 8 % of one
TRIMMED = len(CROPS)  # the number of the view without border
BORDER_LEVELS = 6.0  # standard deviation of a line of border
MOST_BORDER = 0.6  # of a side
CLOSE_CALL = 0.05  # of the low frequencies' strength; below it the standing is open
NO_BOX: Box = (0.0, 0.0, 1.0, 1.0)

TURNS = range(8)  # a turn is 4 * transposed + 2 * mirrored across + mirrored down
ENTRY = np.dtype([("code", ">u8"), ("how", "u1")])  # how: 8 * view + turn
ALTERNATING = np.array([1.0, -1.0] * (HASH_SIDE // 2))
TURN_NAMES = (
    "", "flipped", "mirrored", "turned 180",
    "transposed", "turned 90", "turned 270", "transposed and turned 180",
)  # fmt: skip


class Hashed(NamedTuple):
    """A picture's hashes."""

    phash: str  # of all of it, upright, as 16 hex digits
    plain: bool  # whether it is too plain for that to mean anything
    entries: bytes  # packed `ENTRY`s of all views that are not plain; none of a plain picture


def hashes(images: Sequence[Image.Image]) -> list[Hashed]:
    """Return the hashes of pictures.

    Each hash is bit-equal to `imagehash.phash` of the view: the same transform, over all views at
    once. (A product with cosine matrices is not; it rounds differently where a drawing is
    symmetric.)

    Source: N. Krawetz, "Looks Like It", 2011, as imagehash 4.3 computes it.
    """
    from scipy.fft import dct  # noqa: PLC0415  heavy

    if not images:
        return []
    views = [_views(image.convert("L")) for image in images]
    numbers = [np.array([number for number, _ in shown]) for shown in views]
    grey = np.stack([small for shown in views for _, small in shown])
    waves = np.asarray(dct(dct(grey, axis=1), axis=2))[:, :HASH_SIDE, :HASH_SIDE]
    above, plain = _above(waves), _plain(waves, grey)
    ends = np.cumsum([len(shown) for shown in views])[:-1]
    parts = (np.split(a, ends) for a in (waves, above > 0, plain))
    return [_hashed(*part) for part in zip(numbers, *parts, strict=True)]


def box_of(view: int, image: Image.Image) -> Box:
    """Return which part of a picture a view shows."""
    if view == TRIMMED:
        return _without_border(image.convert("L")) or NO_BOX
    margin = (1 - CROPS[view]) / 2
    return margin, margin, 1 - margin, 1 - margin


def turn_matrix(turn: int) -> Floats:
    """Return where a turned picture has what stands at a place of it, both from the middle (2, 2).

    That is: turned(x) = picture(M @ x).
    """
    flips = np.diag([-1.0 if turn & 2 else 1.0, -1.0 if turn & 1 else 1.0])
    return np.eye(2)[::-1] @ flips if turn & 4 else flips


def turn_of(linear: Floats) -> int:
    """Return the turn closest to a linear map (2, 2); a map (2, 3) may be given whole."""
    likeness = [float(np.sum(linear[:, :2] * turn_matrix(turn))) for turn in TURNS]
    return int(np.argmax(likeness))


def _views(grey: Image.Image) -> list[tuple[int, Floats]]:
    """Return the number of each view with its pixels (32, 32)."""
    width, height = grey.size
    boxes = [(view, box_of(view, grey)) for view in range(TRIMMED)]
    if border := _without_border(grey):
        boxes.append((TRIMMED, border))
    shown = []
    for view, box in boxes:
        edges = [round(share * (width, height)[n % 2]) for n, share in enumerate(box)]
        left, top, right, bottom = edges
        part = grey.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        small = part.resize((HASH_PX, HASH_PX), Image.Resampling.LANCZOS)
        shown.append((view, np.asarray(small, dtype=np.float64)))
    return shown


def _without_border(grey: Image.Image) -> Box | None:
    """Return the picture inside lines of one grey at its edges; None where there are none."""
    levels = np.asarray(grey, dtype=np.float32)
    height, width = levels.shape
    rows, columns = levels.std(axis=1) > BORDER_LEVELS, levels.std(axis=0) > BORDER_LEVELS
    top, bottom = _plain_lines(rows), _plain_lines(rows[::-1])
    left, right = _plain_lines(columns), _plain_lines(columns[::-1])
    if not (top or bottom or left or right):
        return None
    if top + bottom > MOST_BORDER * height or left + right > MOST_BORDER * width:
        return None
    return left / width, top / height, 1 - right / width, 1 - bottom / height


def _plain_lines(drawn: npt.NDArray[np.bool_]) -> int:
    """Return how many lines there are before the first that is not of one grey."""
    return int(drawn.argmax()) if drawn.any() else len(drawn)


def _above(waves: Floats) -> Floats:
    """Return coefficients (n, 8, 8) less their median."""
    return np.asarray(waves - np.median(waves, axis=(1, 2), keepdims=True))


def _plain(waves: Floats, grey: Floats) -> npt.NDArray[np.bool_]:
    strongest = np.abs(waves).max(axis=(1, 2), keepdims=True)
    undecided = (np.abs(_above(waves)) < ROUNDING * strongest).sum(axis=(1, 2))
    return np.asarray((grey.std(axis=(1, 2)) < FLAT_LEVELS) | (undecided >= UNDECIDED_BITS))


def _hashed(
    numbers: npt.NDArray[np.int64],
    waves: Floats,
    bits: npt.NDArray[np.bool_],
    plain: npt.NDArray[np.bool_],
) -> Hashed:
    """Return the hashes of one picture from those of its views."""
    phash = _packed(bits[0]).hex()
    if plain[0]:
        return Hashed(phash, plain=True, entries=b"")
    packed = b""
    for number, wave, upright, flat in zip(numbers.tolist(), waves, bits, plain, strict=True):
        if not flat:
            packed += _packed(upright) + bytes([8 * number])
            packed += b"".join(
                _packed(_turned_bits(wave, turn)) + bytes([8 * number + turn])
                for turn in _standings(wave)
                if turn
            )
    return Hashed(phash, plain=False, entries=packed)


def _standings(wave: Floats) -> list[int]:
    """Return the turns that bring a view (8, 8) to stand as all its turned copies do.

    Standing is: what grows to the right and downwards, more so to the right.
    """
    across, down = float(wave[0, 1]), float(wave[1, 0])
    low = wave[: HASH_SIDE // 2, : HASH_SIDE // 2]
    open_call = CLOSE_CALL * float(np.sqrt(np.square(low).sum() - low[0, 0] ** 2))
    turns = []
    for transposed in _calls(abs(down) - abs(across), open_call):
        first, second = (down, across) if transposed else (across, down)
        for mirrored in _calls(-first, open_call):
            turns += [
                4 * transposed + 2 * mirrored + flipped for flipped in _calls(-second, open_call)
            ]
    return turns


def _calls(value: float, open_call: float) -> tuple[int, ...]:
    return (0, 1) if abs(value) < open_call else (int(value > 0),)


def _turned_bits(wave: Floats, turn: int) -> npt.NDArray[np.bool_]:
    """Return the hash bits of a turned view: a turn flips signs and transposes, nothing else."""
    turned = wave.T if turn & 4 else wave
    if turn & 2:
        turned = turned * ALTERNATING
    if turn & 1:
        turned = turned * ALTERNATING[:, np.newaxis]
    return np.asarray(turned > np.median(turned))


def _packed(bits: npt.NDArray[np.bool_]) -> bytes:
    return np.packbits(bits.ravel()).tobytes()
