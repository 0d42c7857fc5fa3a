"""Memorisation: which drawn pictures lie nearer to a training picture than new pictures do.

Each drawn picture is held against every training picture, by perceptual hash and by features. How
near is too near is read off the pictures that were kept out of training: their own distances to
the training pictures are the yardstick.

Does not see: a copied part of a picture; a copy that was turned or mirrored; and, where the
data repeat themselves, that a likeness is a copy: then pictures kept out are as near.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from governance.canon import Json
from training.data.cleared import Pixels
from training.evaluate.estimate import Floats, Score

CHUNK = 512  # rows of distances held at once
HASH_PX, HASH_SIDE = 32, 8  # imagehash.phash: the 8 x 8 lowest frequencies of 32 x 32 grey
YARDSTICK = 0.01  # the quantile of the distances of pictures that were kept out
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memorised:
    """How many drawn pictures are nearer to training than the yardstick, and to which picture.

    `expected_share` is what a model that draws just such pictures as were kept out would have: the
    next of n + 1 exchangeable pictures falls below the k-th smallest in k of n + 1 cases.
    Distances are squared; between hashes that is the number of bits that differ.
    """

    closer: Score
    expected_share: float
    yardstick: float
    yardstick_pictures: int
    middle: float  # the median distance of the drawn pictures
    yardstick_middle: float
    nearest: tuple[int, ...]

    @classmethod
    def of(cls, drawn: Floats, heldout: Floats, trained: Floats) -> Self | None:
        """Return it from rows (N, D) that Euclid compares; None where nothing was kept out."""
        if not len(heldout) or not len(drawn):
            return None
        known, _ = nearest(heldout, trained)
        apart, places = nearest(drawn, trained)
        rank = max(1, math.ceil(YARDSTICK * len(known)))
        yardstick = float(np.partition(known, rank - 1)[rank - 1])
        return cls(
            closer=Score.of(int((apart < yardstick).sum()), len(apart)),
            expected_share=rank / (len(known) + 1),
            yardstick=yardstick,
            yardstick_pictures=len(known),
            middle=float(np.median(apart)),
            yardstick_middle=float(np.median(known)),
            nearest=tuple(places.tolist()),
        )

    def to_json(self, ids: Sequence[str], *, shown: int) -> dict[str, Json]:
        """Return it as JSON, with the ids of what is nearest to the first `shown` pictures."""
        said: dict[str, Json] = asdict(self)
        return {**said, "nearest": [ids[place] for place in self.nearest[:shown]]}


def nearest(rows: Floats, known: Floats) -> tuple[Floats, Places]:
    """Return how far (N,), squared, each row (N, D) is from the nearest of `known`, and which."""
    lengths = np.square(known).sum(axis=1)
    apart, places = np.empty(len(rows)), np.empty(len(rows), dtype=np.int64)
    for first in range(0, len(rows), CHUNK):
        span = slice(first, first + CHUNK)
        squares = lengths - 2.0 * rows[span] @ known.T + np.square(rows[span]).sum(axis=1)[:, None]
        places[span] = squares.argmin(axis=1)
        apart[span] = np.square(rows[span] - known[places[span]]).sum(axis=1)
    return apart, places


def perceptual_signs(pixels: Pixels) -> Floats:
    """Return the perceptual hash of uint8 pictures (N, 3, S, S) as signs (N, 64) of a half.

    The squared distance of two such rows is the number of bits that differ. Bit-equal to
    `imagehash.phash`. Source: N. Krawetz, "Looks Like It", 2011, as imagehash 4.3 computes it.
    """
    from scipy.fft import dct  # noqa: PLC0415  heavy

    if not len(pixels):
        return np.empty((0, HASH_SIDE**2))
    side = (HASH_PX, HASH_PX)
    grey = [
        np.asarray(Image.fromarray(one).convert("L").resize(side, Image.Resampling.LANCZOS))
        for one in np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    ]
    waves = np.asarray(dct(dct(np.stack(grey).astype(np.float64), axis=1), axis=2))
    low = waves[:, :HASH_SIDE, :HASH_SIDE]
    bits = low > np.median(low, axis=(1, 2), keepdims=True)
    return np.where(bits, 0.5, -0.5).reshape(len(low), -1)
