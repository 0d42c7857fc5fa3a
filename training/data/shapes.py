"""Shapes: the heights and widths that pictures are cropped to, the same number at every size.

Shape 3 of a small stage is shape 3 of a large one, so a picture keeps its shape over a whole run.
`diffusers.training_utils.generate_aspect_ratio_buckets` drops shapes that round to the same, and so
has another number of them at each size; and it rounds past the widest that was allowed.

Does not see: what is cut away at the sides.
"""

import functools
import math
from dataclasses import dataclass
from typing import Self, TypeAlias

from PIL import Image, ImageOps

from training.config import RunConfig

Shape: TypeAlias = tuple[int, int]  # height and width, in pixels

MOST_ENLARGED = 4 / 3  # beyond it a picture counts as enlarged. Source: PRX part 4 (July 2026)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """How many shapes there are, the widest, and the sizes they come in (ascending)."""

    sizes_px: tuple[int, ...]
    patch_px: int
    count: int = 1
    widest: float = 1.0

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the shapes of all stages of a run."""
        return cls(
            sizes_px=tuple(sorted({stage.image_px for stage in config.stages})),
            patch_px=config.model.patch_px,
            count=config.data.shapes,
            widest=config.data.widest,
        )

    @classmethod
    def square(cls, image_px: int) -> Self:
        """Return the one shape of a run with squares of one size."""
        return cls(sizes_px=(image_px,), patch_px=image_px)

    @property
    def largest_px(self) -> int:
        """Return the size that a picture is first cropped to; smaller ones are made from it."""
        return self.sizes_px[-1]

    def at(self, image_px: int) -> tuple[Shape, ...]:
        """Return the shapes at one size."""
        return shapes_of(image_px, patch_px=self.patch_px, count=self.count, widest=self.widest)

    def row_bytes(self, image_px: int) -> int:
        """Return the bytes that hold a picture of any shape at one size."""
        return 3 * max(height * width for height, width in self.at(image_px))

    def nearest(self, image: Image.Image) -> int:
        """Return the number of the shape whose aspect is nearest to a picture's."""
        aspect = image.width / image.height
        known = self.at(self.largest_px)
        return min(range(len(known)), key=lambda n: _apart(known[n], aspect))


@functools.lru_cache(maxsize=32)
def shapes_of(image_px: int, *, patch_px: int, count: int, widest: float) -> tuple[Shape, ...]:
    """Return `count` shapes from tall to wide, of whole patches, about as many as in the square.

    A shape is h by round(T / h) patches, T those of the square, so it has T of them but for h / 2;
    aspects are as near as can be to even steps of their logarithm from 1 / widest to widest.
    Where there are few patches, several may be the same.

    Source: build_image_size_list of Photoroom/PRX for the constant number; the search is ours.
    """
    if count == 1:
        return ((image_px, image_px),)
    patches = (image_px // patch_px) ** 2
    grids = ((height, round(patches / height)) for height in range(1, patches + 1))
    allowed = [(h, w) for h, w in grids if h <= widest * w and w <= widest * h]
    aspects = (widest ** (2 * number / (count - 1) - 1) for number in range(count))
    nearest = [min(allowed, key=lambda grid: _apart(grid, a)) for a in aspects]
    return tuple((h * patch_px, w * patch_px) for h, w in nearest)


def _apart(shape: Shape, aspect: float) -> float:
    height, width = shape
    return abs(math.log(width / height / aspect))


def fitted(image: Image.Image, shape: Shape) -> Image.Image:
    """Return a picture resized to cover a shape, and cropped around its middle."""
    height, width = shape
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def is_enlarged(image: Image.Image, shape: Shape) -> bool:
    """Return whether a picture is too small for a shape. It is used nevertheless, and counted."""
    height, width = shape
    return max(height / image.height, width / image.width) > MOST_ENLARGED
