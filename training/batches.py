"""Batches: which pictures a step sees, split into the parts that are worked out by themselves.

Does not see: what is drawn for them; noise and times come from the part's dice.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import RunConfig
from training.data import ClearedSamples


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Pictures (B, 3, H, W) uint8, and where they stand among the samples."""

    pixels: Tensor
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The parts by their number, and the digests (32 bytes each) of their pictures in order."""

    parts: dict[int, Part]
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Batches:
    """The batches of a run, for one of `world` processes: each works out parts that follow."""

    config: RunConfig
    samples: ClearedSamples
    rank: int = 0
    world: int = 1

    @property
    def parts(self) -> range:
        """Return the numbers of the parts that this process works out."""
        each = self.config.parts // self.world
        return range(self.rank * each, (self.rank + 1) * each)

    def after(self, seen: int, *, stage: int) -> Batch:
        """Return this process's parts of the batch that follows on `seen` samples."""
        rows = self.config.stages[stage].batch_size
        places = self.samples.places(self.config.seed, seen, rows)
        each = rows // self.config.parts
        parts = {
            number: self._part(places[number * each : (number + 1) * each]) for number in self.parts
        }
        mine = (place for part in parts.values() for place in part.places)
        return Batch(parts, tuple(self.samples.digests[place] for place in mine))

    def _part(self, places: list[int]) -> Part:
        return Part(torch.from_numpy(self.samples.pixels[places]), tuple(places))
