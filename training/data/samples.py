"""Cleared samples: digests, captions, shapes, and where their pixels come from.

Does not see: near-duplicates that fall on both sides of `split`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, Self

import numpy as np
import pyarrow as pa
from PIL import Image

from governance.clearance import Clearance
from governance.errors import Refused, UsageError
from governance.snapshot import Snapshot
from training.data.cleared import ClearedList, Pixels
from training.data.memory import read_into_memory
from training.data.order import Places, ShapeNumbers, places
from training.data.shapes import Shapes, fitted
from training.records.record import Bars, quiet


class Pictures(Protocol):
    """Where a batch's pixels come from. `ahead` is how many batches are worth reading ahead."""

    ahead: ClassVar[int]

    def take(self, places: Sequence[int], *, image_px: int, shape: int) -> Pixels:
        """Return pictures of one shape at a size, (B, 3, H, W)."""
        ...

    def only(self, places: Places) -> Self:
        """Return some of them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ClearedSamples:
    """Samples with their digests (32 bytes each) and captions, in the list's order.

    `pixels` (M, 3, S, S) are squares of the first M of them, which what judges a model looks at:
    all where memory holds them, else some; digests are in order, so the first are any. `shapes`
    (N,) are numbers of shapes, and `pictures` where batches come from; without these all samples
    are squares, and batches come from `pixels`.
    """

    pixels: Pixels
    digests: tuple[bytes, ...]
    captions: tuple[str, ...]
    shapes: ShapeNumbers = field(default_factory=lambda: np.zeros(0, np.uint8))
    pictures: Pictures | None = None

    @classmethod
    def open(
        cls,
        clearance: Clearance,
        *,
        listed: ClearedList,
        snapshot: Snapshot,
        image_px: int,
        bars: Bars = quiet,
    ) -> Self:
        """Read every cleared sample of an admitted clearance into memory, as squares.

        Raises:
            Refused: the list or the snapshot is not the one that was cleared.
            EvidenceMissing: a shard is gone, or a cleared picture cannot be decoded.
            Tampered: bytes are not those that were sealed.
        """
        listed.check(clearance, snapshot)
        bar = bars("reading", listed.rows.num_rows)
        kept, _, _ = read_into_memory(listed.rows, snapshot, Shapes.square(image_px), bar=bar)
        digests, captions = told(listed.rows)
        return cls(kept.squares(image_px), digests, captions)

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def shape_numbers(self) -> ShapeNumbers:
        """Return the number of each sample's shape (N,)."""
        return self.shapes if len(self.shapes) else np.zeros(len(self), np.uint8)

    def split(self, heldout_share: float) -> tuple[Self, Self]:
        """Return what is trained on, and what is kept out, chosen by digest: copies stay together.

        Raises:
            Refused: nothing would be left to train on.
        """
        bound = heldout_share * 2**32
        kept_out = [int.from_bytes(digest[:4], "big") < bound for digest in self.digests]
        if all(kept_out):
            raise Refused(f"Of {len(self)} cleared samples none is left to train on; clear more.")
        return self._chosen([not out for out in kept_out]), self._chosen(kept_out)

    def places(self, seed: int, first: int, count: int) -> list[int]:
        """Return where samples number `first` and following stand here, were all of one shape."""
        return places(seed, first, count, samples=len(self))

    def take(self, places: Sequence[int], *, image_px: int, shape: int) -> Pixels:
        """Return pictures of one shape at a size, (B, 3, H, W).

        Raises:
            UsageError: only squares of another size are at hand.
            Tampered, EvidenceMissing: bytes are not those that were packed, or gone.
        """
        if self.pictures is not None:
            return self.pictures.take(places, image_px=image_px, shape=shape)
        if self.pixels.shape[2:] != (image_px, image_px):
            raise UsageError(
                f"These samples are {self.pixels.shape[3]} px and a stage wants {image_px} px; "
                "open them for its run config."
            )
        return self.pixels[list(places)]

    def reference(self, seed: int, count: int) -> Pixels:
        """Return squares of the samples that are seen first; of any, where not all are at hand."""
        if len(self.pixels) < len(self):
            return self.pixels[:count]
        return self.pixels[self.places(seed, 0, count)]

    def shown(self, count: int, *, image_px: int) -> Self:
        """Return the samples with squares of the first `count`."""
        numbers, side = self.shape_numbers, (image_px, image_px)
        squares = np.empty((min(count, len(self)), 3, *side), np.uint8)
        for place in range(len(squares)):
            (one,) = self.take([place], image_px=image_px, shape=int(numbers[place]))
            if one.shape[1:] != side:
                image = fitted(Image.fromarray(one.transpose(1, 2, 0)), side)
                one = np.asarray(image).transpose(2, 0, 1)
            squares[place] = one
        return replace(self, pixels=squares)

    def _chosen(self, wanted: Sequence[bool]) -> Self:
        chosen = np.flatnonzero(wanted)
        return type(self)(
            _rows(self.pixels, chosen[chosen < len(self.pixels)]),
            tuple(self.digests[i] for i in chosen),
            tuple(self.captions[i] for i in chosen),
            self.shapes[chosen] if len(self.shapes) else self.shapes,
            self.pictures.only(chosen) if self.pictures is not None else None,
        )


def told(rows: pa.Table) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """Return the digests (32 bytes each) and the captions of a cleared list."""
    digests = tuple(bytes.fromhex(digest) for digest in rows["sha256"].to_pylist())
    return digests, tuple(caption or "" for caption in rows["caption"].to_pylist())


def _rows(pixels: Pixels, places: Places) -> Pixels:
    """Return some rows; without a copy where they follow one another, as after a split they do."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return pixels[places[0] : places[-1] + 1]
    return pixels[places]
