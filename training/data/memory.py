"""Pictures in memory: read once, kept as small pixels at every size that a stage wants.

Does not see: how much of the memory others will want.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from governance.snapshot import Snapshot
from training.data.cleared import Pixels, cropped, in_threads, read_images
from training.data.order import Places, ShapeNumbers
from training.data.shapes import Shapes, fitted
from training.records.record import Bar

FREE_SHARE = 0.5  # of the memory that is free; the rest is the model's, the page cache's, others'


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InMemory:
    """Pixels by size, a row (3 * most pixels of a shape,) each; `rows` says where a place is."""

    ahead: ClassVar[int] = 0
    flat: Mapping[int, Pixels]
    shapes: Shapes
    rows: Places

    def take(self, places: Sequence[int], *, image_px: int, shape: int) -> Pixels:
        """Return pictures of one shape at a size, (B, 3, H, W)."""
        height, width = self.shapes.at(image_px)[shape]
        rows = self.flat[image_px][self.rows[places], : 3 * height * width]
        return rows.reshape(-1, 3, height, width)

    def squares(self, image_px: int) -> Pixels:
        """Return all pictures at a size (N, 3, S, S), where there are no shapes but squares."""
        return self.flat[image_px].reshape(-1, 3, image_px, image_px)

    def only(self, places: Places) -> Self:
        """Return some of them, which share the memory."""
        return replace(self, rows=self.rows[places])


def read_into_memory(
    rows: pa.Table, snapshot: Snapshot, shapes: Shapes, *, bar: Bar, threads: int = 1
) -> tuple[InMemory, ShapeNumbers, int]:
    """Return all pictures, the shape of each (N,), and how many had to be enlarged.

    Smaller sizes are made from the largest one, just as from a pack. More than one of `threads` was
    no faster on two busy cores (`benchmarks/reading.py`).
    """
    count = rows.num_rows
    flat = {px: np.zeros((count, shapes.row_bytes(px)), np.uint8) for px in shapes.sizes_px}
    numbers, enlarged = np.zeros(count, np.uint8), 0

    def keep(found: tuple[int, str, bytes]) -> bool:
        place, digest, data = found
        picture = cropped(digest, data, shapes)
        numbers[place] = picture.shape
        for px, kept in flat.items():
            shape = shapes.at(px)[picture.shape]
            image = picture.image if px == shapes.largest_px else fitted(picture.image, shape)
            values = np.asarray(image).transpose(2, 0, 1)
            kept[place, : values.size] = values.reshape(-1)
        return picture.enlarged

    for was_enlarged in in_threads(keep, read_images(rows, snapshot), threads=threads):
        enlarged += was_enlarged
        bar(1)
    kept = InMemory(flat=flat, shapes=shapes, rows=np.arange(count))
    return kept, numbers, enlarged


def needed_bytes(samples: int, shapes: Shapes) -> int:
    """Return the bytes that so many pictures take at all sizes."""
    return samples * sum(map(shapes.row_bytes, shapes.sizes_px))


def fits_into_memory(samples: int, shapes: Shapes) -> bool:
    """Return whether so many pictures fit into half of what is free now."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return needed_bytes(samples, shapes) <= FREE_SHARE * free
