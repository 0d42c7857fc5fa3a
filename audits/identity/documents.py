"""Document-like pictures: how much of a thumbnail is lines of small dark writing on pale ground.

Cards, certificates, letters and screens of text look so; no letter is read. Cut into squares of 16
pixels, a thumbnail has writing where one pale level fills most of a square, something darker little
of it, and busy rows of pixels stand between quiet ones, the same rows in three squares side by
side. Pictures of the shape of an identity card or a sheet of paper score a little more.

Does not see: whose document it is or whether it is one: a poster, a menu or a chart can score as
high. It misses writing on a dark, patterned or strongly coloured ground, turned by more than about
ten degrees, or smaller than half a pixel a stroke in 320 pixels.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

Grey = npt.NDArray[np.uint8]  # (H, W)
Squares = npt.NDArray[np.bool_]  # (rows of squares, columns of squares)

SIDE = 16  # pixels of a square: one to three lines of writing in a thumbnail of 320
LEVELS = 32  # of brightness; neighbouring ones are one ground, for light is never even
PALE = 13  # the darkest level (of 32) that is a pale ground
STROKE = 24  # difference of neighbouring pixels, of 255, where a stroke begins or ends
GROUND_SHARE = 0.45  # of a square is ground
INK_SHARE = (0.03, 0.4)  # of a square is darker than its ground
SPECK_SHARE = 0.03  # of a square may be brighter than its ground
BUSY_SHARE, QUIET_SHARE = 0.15, 0.1  # of the rows of a square, at least
SAME_ROWS = 0.5  # of the busy rows of two neighbours are busy in both
FULL_SHARE = 0.2  # of a picture is writing: it is all writing; cards drawn for tests have this much
SHAPES = (85.6 / 53.98, 125 / 88, 2**0.5, 11 / 8.5)  # ISO/IEC 7810 ID-1 and ID-3, A4, letter
SHAPE_WITHIN = 0.04  # of a shape's ratio
OTHER_SHAPE = 0.9  # what is left of the score of a picture of no such shape
SMALLEST_PX = 112  # the shorter side; nobody reads a document in less, and an emoji has 72
FEWEST = 100  # squares that a share is taken of: in a small picture one line would be much
IN_A_ROW = 3  # squares of writing make a line


def document_score(image: Image.Image) -> float:
    """Return how document-like a picture is, 0 to 1.

    Args:
        image: RGB, longest side 320 px at most.
    """
    if min(image.size) < SMALLEST_PX:
        return 0.0
    red, green, blue = image.split()
    darkest = np.asarray(ImageChops.darker(ImageChops.darker(red, green), blue))  # colour is dark
    paper = _paper(darkest)
    if paper.sum() < IN_A_ROW:
        return 0.0
    written = max(_written(darkest, paper), _written(darkest.T, paper.T))
    long, short = max(image.size), min(image.size)
    shaped = any(abs(long / short / ratio - 1) <= SHAPE_WITHIN for ratio in SHAPES)
    return min(1.0, written / FULL_SHARE) * (1.0 if shaped else OTHER_SHAPE)


def _paper(grey: Grey) -> Squares:
    """Return which squares are mostly one pale level, with some of it darker and hardly lighter."""
    rows, columns = grey.shape[0] // SIDE, grey.shape[1] // SIDE
    levels = (grey[: rows * SIDE, : columns * SIDE] >> 3).reshape(rows, SIDE, columns, SIDE)
    square = (np.arange(rows)[:, None] * columns + np.arange(columns)) * LEVELS
    counts = np.bincount(
        (levels + square[:, None, :, None]).ravel(), minlength=rows * columns * LEVELS
    ).reshape(rows * columns, LEVELS)
    ground = counts.argmax(axis=1)
    below = np.zeros((rows * columns, LEVELS + 1), dtype=np.int64)  # how many are darker than each
    below[:, 1:] = counts.cumsum(axis=1)
    place = np.arange(rows * columns)
    darker = below[place, np.maximum(ground - 2, 0)] / SIDE**2
    to_ground = below[place, np.minimum(ground + 2, LEVELS)] / SIDE**2
    share = to_ground - below[place, np.maximum(ground - 1, 0)] / SIDE**2
    brighter = 1 - below[place, np.minimum(ground + 3, LEVELS)] / SIDE**2
    found: Squares = (
        (ground >= PALE)
        & (share >= GROUND_SHARE)
        & (darker >= INK_SHARE[0])
        & (darker <= INK_SHARE[1])
        & (brighter <= SPECK_SHARE)
    )
    return found.reshape(rows, columns)


def _written(grey: Grey, paper: Squares) -> float:
    """Return the share of squares of paper that hold lines of writing along the rows, 0 to 1."""
    rows, columns = paper.shape
    part = grey[: rows * SIDE, : columns * SIDE].astype(np.int16)
    strokes = np.zeros(part.shape, dtype=np.bool_)
    strokes[:, 1:] = np.abs(part[:, 1:] - part[:, :-1]) > STROKE
    busy = strokes.reshape(rows, SIDE, columns, SIDE).sum(axis=3, dtype=np.uint8) > 1
    share = busy.mean(axis=1)
    lines = paper & (share >= BUSY_SHARE) & (share <= 1 - QUIET_SHARE)
    left, right = busy[:, :, :-1], busy[:, :, 1:]
    same = (left & right).sum(axis=1) >= SAME_ROWS * (left | right).sum(axis=1)
    pairs = lines[:, :-1] & lines[:, 1:] & same
    threes = pairs[:, :-1] & pairs[:, 1:]
    held = np.zeros_like(paper)
    for shift in range(IN_A_ROW):
        held[:, shift : columns - IN_A_ROW + 1 + shift] |= threes
    return float(held.sum()) / max(held.size, FEWEST)
