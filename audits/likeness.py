"""How alike two pictures are: a hash that proposes, a search that misses none, a comparison.

Does not see: a copy that was mirrored, turned, cropped or turned grey, or what a picture means.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from audits.audit import Pixels

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

HASH_PX, HASH_SIDE = 32, 8  # imagehash.phash: the 8 x 8 lowest frequencies of 32 x 32 grey
FLAT_LEVELS = 8.0  # standard deviation of the grey levels below which a picture is plain
ROUNDING = 1e-6  # a coefficient this close to the median is noise; a symmetric drawing has many
UNDECIDED_BITS = 16  # from this many such bits of 64 the hash says little

SIDE_PX, TILES = 64, 8  # pictures are compared at 64 x 64, in 8 x 8 tiles
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
STRUCTURE = 0.05  # a tile that varies less than this, in deviations of its picture, is empty
DARK = 24.0  # levels; below them there is little but noise
UNSEEN = 0.15  # a residual below this, in deviations of the picture, is compression

BAND_BITS, BANDS = 16, 4
MOST_BITS = 15  # four bands, each searched within three flipped bits at most
CHUNK = 1 << 16  # hashes looked up at a time


def hashes(images: Sequence[Image.Image]) -> list[tuple[str, bool]]:
    """Return each picture's pHash as 16 hex digits, and whether it is too plain for one.

    Bit-equal to `imagehash.phash`: the same transform, over all pictures at once. (A product with
    cosine matrices is not; it rounds differently where a drawing is symmetric.)

    Source: N. Krawetz, "Looks Like It", 2011, as imagehash 4.3 computes it.
    """
    from scipy.fft import dct  # noqa: PLC0415  heavy

    if not images:
        return []
    grey = np.stack([_grey(image) for image in images])
    waves = np.asarray(dct(dct(grey, axis=1), axis=2))
    low = waves[:, :HASH_SIDE, :HASH_SIDE].reshape(len(images), -1)
    above = low - np.median(low, axis=1, keepdims=True)
    undecided = np.abs(above) < ROUNDING * np.abs(low).max(axis=1, keepdims=True)
    plain = (grey.std(axis=(1, 2)) < FLAT_LEVELS) | (undecided.sum(axis=1) >= UNDECIDED_BITS)
    bits = np.packbits(above > 0, axis=1)
    return [(row.tobytes().hex(), bool(flat)) for row, flat in zip(bits, plain, strict=True)]


def _grey(image: Image.Image) -> Floats:
    small = image.convert("L").resize((HASH_PX, HASH_PX), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.float64)


def close_pairs(hashed: Hashes, bits: int) -> Indices:
    """Return all pairs `(n, 2)` of different hashes at most `bits` (0..15) apart, sorted.

    No pair is missed: where each of the four bands differs by more than its radius, the hashes
    differ by more than `bits`; so a pair lies within the radius of some band, and is looked up.
    Source: Norouzi, Punjani and Fleet 2012, multi-index hashing, proposition 1.
    """
    count = np.uint64(len(hashed))
    codes = [np.empty(0, np.uint64)]
    for band in range(BANDS):
        radius = (bits + 1) // BANDS + (band < (bits + 1) % BANDS) - 1
        codes += [i * count + j for i, j in _band_pairs(hashed, band, radius, bits)]
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), count), axis=1).astype(np.int64)


def _band_pairs(
    hashed: Hashes, band: int, radius: int, bits: int
) -> Iterator[tuple[Hashes, Hashes]]:
    """Yield pairs, lower index first, at most `bits` apart and `radius` apart in one band."""
    keys = (hashed >> np.uint64(band * BAND_BITS) & np.uint64(0xFFFF)).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    starts = np.searchsorted(keys[order], np.arange((1 << BAND_BITS) + 1))
    for flipped in range(radius + 1):
        for flips in itertools.combinations(range(BAND_BITS), flipped):
            mask = sum(1 << bit for bit in flips)
            for first in range(0, len(keys), CHUNK):
                wanted = keys[first : first + CHUNK] ^ mask
                sizes = starts[wanted + 1] - starts[wanted]
                left = np.repeat(np.arange(first, first + len(wanted)), sizes)
                within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                right = order[np.repeat(starts[wanted], sizes) + within]
                close = np.bitwise_count(hashed[left] ^ hashed[right]) <= bits
                close &= left < right
                yield left[close].astype(np.uint64), right[close].astype(np.uint64)


def reduced(pixels: Pixels) -> Pixels:
    """Return an RGB picture (H, W, 3) at the size at which pictures are compared."""
    small = Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    return np.asarray(small)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two reduced pictures may differ and still be called one picture.

    Set on 475 labelled pairs and 12,184 drawings: JPEG, size, light and contrast pass; a clock's
    hand, a moon's phase and a skin tone do not.
    """

    light_levels: float = 64.0  # of 255; the worst tile's mean difference in grey
    dark_ratio: float = 2.75  # the same of the logarithm: a beard in a dark face is few levels
    dark_residual: float = 0.4
    colour_levels: float = 20.0  # of 255; the worst tile's mean difference in colour
    least_ncc: float = 0.9  # normalised cross-correlation of grey, -1..1
    tile_residual: float = 0.6  # of the worst tile, in deviations of the picture
    tile_ratio: float = 4.0  # worst tile to the usual one: a change in one place is no copy

    def holds(self, one: Pixels, other: Pixels) -> bool:
        """Return whether two reduced pictures (64, 64, 3) agree."""
        (grey, colour), (grey_b, colour_b) = _split(one), _split(other)
        if _apart(grey, grey_b) > self.light_levels:
            return False
        gain = math.sqrt(_deviation(grey_b) / _deviation(grey))
        if _apart(colour * gain, colour_b / gain) > self.colour_levels:  # at one contrast
            return False
        z, z_b = _standard(grey), _standard(grey_b)
        if (z * z_b).mean() < self.least_ncc:
            return False
        worst, usual = _residuals(z, z_b)
        if worst > min(self.tile_residual, max(self.tile_ratio * usual, UNSEEN)):
            return False
        worst, usual = _residuals(_standard(_opened(grey)), _standard(_opened(grey_b)))
        return worst <= max(self.dark_ratio * usual, self.dark_residual)


def _opened(grey: Floats) -> Floats:
    """Return grey with its dark part spread out: levels on a logarithmic scale, still 0 to 255."""
    return np.asarray(255 * np.log1p(grey / DARK) / np.log1p(255 / DARK))


def _residuals(z: Floats, z_b: Floats) -> tuple[float, float]:
    """Return how far the worst tile differs and how far the usual one with something in it does."""
    residual = np.sqrt(np.square(_tiles(z - z_b)).mean(axis=(1, 3)))
    drawn = (_tiles(z).std(axis=(1, 3)) + _tiles(z_b).std(axis=(1, 3))) / 2 > STRUCTURE
    usual = float(np.median(residual[drawn])) if drawn.any() else 0.0
    return float(residual.max()), usual


def _split(pixels: Pixels) -> tuple[Floats, Floats]:
    """Return grey (64, 64, 1) and colour (64, 64, 2: red and blue less grey), in levels."""
    levels = pixels.astype(np.float64)
    grey = (levels @ LUMA)[..., np.newaxis]
    return grey, levels[..., ::2] - grey


def _apart(one: Floats, other: Floats) -> float:
    """Return by how many levels the tile that differs most differs in the mean."""
    return float(np.abs(_tiles(one - other).mean(axis=(1, 3))).max())


def _deviation(grey: Floats) -> float:
    return max(float(grey.std()), 1.0)  # levels; a picture of one grey has none


def _standard(grey: Floats) -> Floats:
    return np.asarray((grey - grey.mean()) / _deviation(grey))


def _tiles(plane: Floats) -> Floats:
    """Return a plane (64, 64, C) as (8, 8, 8, 8, C): row of tiles, row, column of tiles, column."""
    return plane.reshape(TILES, SIDE_PX // TILES, TILES, SIDE_PX // TILES, plane.shape[-1])
