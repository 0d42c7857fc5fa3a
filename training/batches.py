"""Batches: which pictures a step sees, split into the parts that are worked out by themselves.

Does not see: what is drawn for them; noise and times come from the part's dice.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.config import RunConfig
from training.data.order import Order
from training.data.samples import ClearedSamples


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Pictures (B, 3, H, W) uint8, and where they stand among the samples."""

    pixels: Tensor
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The parts by their number, and the digests (32 bytes each) of their pictures in order.

    `due` are the digests that the order function says the whole batch has, those of other
    processes as well: receipts are held against them.
    """

    parts: dict[int, Part]
    digests: tuple[bytes, ...]
    due: tuple[bytes, ...]


@dataclass(slots=True, eq=False, kw_only=True)
class Batches:
    """The batches of a run, for one of `world` processes: each works out parts that follow.

    Where pictures are slow to come, the next batches are read while one is worked on.
    """

    config: RunConfig
    samples: ClearedSamples
    rank: int = 0
    world: int = 1
    order: Order = field(init=False)
    ahead: "Ahead" = field(init=False)

    def __post_init__(self) -> None:
        """Work out the order."""
        pictures = self.samples.pictures
        self.order = Order.of(self.config, self.samples.shape_numbers)
        self.ahead = Ahead(self._read, count=pictures.ahead if pictures else 0)

    @property
    def parts(self) -> range:
        """Return the numbers of the parts that this process works out."""
        each = self.config.parts // self.world
        return range(self.rank * each, (self.rank + 1) * each)

    def after(self, seen: int, *, stage: int) -> Batch:
        """Return this process's parts of the batch that follows on `seen` samples.

        All its pictures, and those of other processes, have the same shape.

        Raises:
            Tampered, EvidenceMissing: packed bytes are not those that were packed, or gone.
        """
        return self.ahead.take(seen, stage=stage, rows=self.config.stages[stage].batch_size)

    def _read(self, seen: int, stage: int) -> Batch:
        rows, image_px = self.config.stages[stage].batch_size, self.config.stages[stage].image_px
        shape, places = self.order.after(seen, rows)
        each = rows // self.config.parts
        mine = places[self.parts.start * each : self.parts.stop * each]
        pixels = torch.from_numpy(self.samples.take(mine, image_px=image_px, shape=shape))
        parts = {
            number: Part(pixels[first : first + each], tuple(mine[first : first + each]))
            for number, first in zip(self.parts, range(0, len(mine), each), strict=True)
        }
        return Batch(parts, self._digests(mine), self._digests(places))

    def _digests(self, places: list[int]) -> tuple[bytes, ...]:
        return tuple(self.samples.digests[place] for place in places)


class Ahead:
    """Batches read before they are asked for. Asking out of turn drops those that wait."""

    def __init__(self, read: Callable[[int, int], Batch], *, count: int) -> None:
        self.read, self.count = read, count
        self.waiting: dict[tuple[int, int], Future[Batch]] = {}
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="ahead")  # starts when asked

    def take(self, seen: int, *, stage: int, rows: int) -> Batch:
        """Return the batch that follows on `seen` samples, and begin to read those after it."""
        if not self.count:
            return self.read(seen, stage)
        wanted = [(seen + number * rows, stage) for number in range(self.count + 1)]
        for key in self.waiting.keys() - set(wanted):
            self.waiting.pop(key).cancel()
        for key in wanted:
            if key not in self.waiting:
                self.waiting[key] = self.reader.submit(self.read, *key)
        return self.waiting.pop(wanted[0]).result()
