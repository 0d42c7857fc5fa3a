"""How alike two reduced pictures are: which differences still make one picture of them.

Does not see: a picture that was mirrored, turned or cropped, which `audits.alike.alignment` lays in
place first, or what a picture means.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from audits.audit import Pixels

Floats = npt.NDArray[np.float64]

SIDE_PX, TILES = 64, 8  # pictures are compared at 64 x 64, in 8 x 8 tiles
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
STRUCTURE = 0.05  # a tile that varies less than this, in deviations of its picture, is empty
DARK = 24.0  # levels; below them there is little but noise
UNSEEN = 0.15  # a residual below this, in deviations of the picture, is compression

GREY_LEVELS = 2.0  # of 255; a picture whose colours are this weak in the mean is grey
BUSY_LEVELS = 4.0  # of 255; the deviation of a tile that has something in it
BLURS = (2, 4)  # times a mean over 3 x 3: two sharpnesses less
SATURATED = (4.0, 251.0)  # levels; beyond them the sensor or the edit has clipped
LEAST_GAIN = 0.25  # a contrast below a quarter leaves too little to compare
LEAST_SEEN = 0.15  # of the pixels; where fewer are between those levels, all are fitted


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Resemblance:
    """How much may be left of one picture once a global change of the other explains the rest.

    Explained is what one change of brightness, contrast, sharpness and clipping makes of the whole
    picture. What was repainted in one place is not. Set on 475 labelled pairs and on bursts of
    photographs.
    """

    least_explained: float = 0.85  # of the variance of grey
    tile_left: float = 0.48  # of the worst tile, in deviations of the picture
    tile_ratio: float = 4.0  # worst tile to the usual one: a change in one place is no copy...
    tile_clean: float = 0.3  # ...unless it is no more than this
    light_levels: float = 80.0  # of 255; the worst tile's mean difference in grey, as they are
    colour_levels: float = 40.0  # of 255; the worst tile's mean difference in explained colour
    least_levels: float = 4.0  # deviation of grey; where either varies less, nothing is compared

    def holds(self, one: Pixels, other: Pixels) -> bool:
        """Return whether either of two reduced pictures (64, 64, 3) explains the other."""
        (grey, _), (grey_b, _) = _split(one), _split(other)
        if min(grey.std(), grey_b.std()) < self.least_levels:
            return False
        if _apart(grey, grey_b) > self.light_levels:
            return False
        return self._explains(one, other) or self._explains(other, one)

    def _explains(self, one: Pixels, other: Pixels) -> bool:
        explained = _explained(one, other)
        if explained is None:
            return False
        (grey, colour), (grey_b, colour_b) = _split(explained), _split(other)
        left = (grey_b - grey) / _deviation(grey_b)
        if 1 - np.square(left).mean() < self.least_explained:
            return False
        tiles = np.sqrt(np.square(_tiles(left)).mean(axis=(1, 3)))
        usual = float(np.median(tiles))
        if tiles.max() > min(self.tile_left, max(self.tile_ratio * usual, self.tile_clean)):
            return False
        return greyish(one) or greyish(other) or _apart(colour, colour_b) <= self.colour_levels


def greyish(pixels: Pixels) -> bool:
    """Return whether a picture has no colour to speak of."""
    return float(np.abs(_split(pixels)[1]).mean()) <= GREY_LEVELS


def busy_share(pixels: Pixels) -> float:
    """Return in which share of its tiles a reduced picture has more than noise, 0..1."""
    return float((_tiles(_split(pixels)[0]).std(axis=(1, 3)) > BUSY_LEVELS).mean())


def _explained(one: Pixels, other: Pixels) -> Floats | None:
    """Return what a global change makes of `one` (64, 64, 3), fitted to `other` in grey.

    None where the fit would turn light to dark, or leave next to no contrast.
    """
    from scipy.ndimage import uniform_filter  # noqa: PLC0415  heavy

    shades = [one.astype(np.float64)]
    for times in BLURS:
        blurred = shades[0]
        for _ in range(times):
            blurred = np.asarray(uniform_filter(blurred, 3, mode="nearest", axes=(0, 1)))
        shades.append(blurred)
    grey, grey_b = [shade @ LUMA for shade in shades], other @ LUMA
    low, high = SATURATED
    seen = (grey[0] > low) & (grey[0] < high) & (grey_b > low) & (grey_b < high)
    if seen.mean() < LEAST_SEEN:
        seen = np.ones_like(seen)
    known = np.stack([*(g[seen] for g in grey), np.ones(int(seen.sum()))], axis=1)
    weights = np.linalg.lstsq(known, grey_b[seen], rcond=1e-6)[0]
    if weights[:-1].sum() < LEAST_GAIN:
        return None
    mixed = sum(w * shade for w, shade in zip(weights[:-1], shades, strict=True)) + weights[-1]
    return np.asarray(np.clip(mixed, 0, 255))


def _opened(grey: Floats) -> Floats:
    """Return grey with its dark part spread out: levels on a logarithmic scale, still 0 to 255."""
    return np.asarray(255 * np.log1p(grey / DARK) / np.log1p(255 / DARK))


def _residuals(z: Floats, z_b: Floats) -> tuple[float, float]:
    """Return how far the worst tile differs and how far the usual one with something in it does."""
    residual = np.sqrt(np.square(_tiles(z - z_b)).mean(axis=(1, 3)))
    drawn = (_tiles(z).std(axis=(1, 3)) + _tiles(z_b).std(axis=(1, 3))) / 2 > STRUCTURE
    usual = float(np.median(residual[drawn])) if drawn.any() else 0.0
    return float(residual.max()), usual


def _split(pixels: Pixels | Floats) -> tuple[Floats, Floats]:
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
