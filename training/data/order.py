"""The order: which samples a batch holds, as a function of the seed and of what was seen before.

It is the same for any number of processes and after any resume. With one shape, sample number n is
the n-th of endless epochs, each a permutation. With several, numbers go in blocks that have one
shape each; blocks of a shape come as often as its samples' share, and every shape has endless
epochs of its own.

Does not see: which samples were cleared. A shape with fewer samples than a batch repeats them
within a batch, so that each sample still comes equally often.
"""

import functools
import math
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from training.config import RunConfig

Places: TypeAlias = npt.NDArray[np.int64]
ShapeNumbers: TypeAlias = npt.NDArray[np.uint8]

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: the turn with the least discrepancy
WORD = 1 << 64
CHUNK = 1 << 16  # blocks that are counted at once
SHAPE_BIT = 40  # epochs of one shape have keys apart from those of another


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Order:
    """The order of a run. `members` are the places of each shape's samples, `block` numbers."""

    seed: int
    members: tuple[Places, ...]
    block: int

    @classmethod
    def of(cls, config: RunConfig, shapes: ShapeNumbers) -> Self:
        """Return the order of samples with these shapes (N,).

        A block is as long as the least common multiple of the batch sizes. If these divide it, a
        stage that begins within a block only shifts where in each shape's epochs batches begin.
        """
        return cls(
            seed=config.seed,
            members=tuple(np.flatnonzero(shapes == n) for n in range(int(shapes.max()) + 1)),
            block=math.lcm(*(stage.batch_size for stage in config.stages)),
        )

    def after(self, seen: int, count: int) -> tuple[int, list[int]]:
        """Return the shape's number of the batch that follows on `seen` samples, and its places."""
        block, offset = divmod(seen, self.block)
        shape, rank = _drawn(tuple(map(len, self.members)), self.seed, block)
        members = self.members[shape]
        numbers = places(
            self.seed, rank * self.block + offset, count, samples=len(members), shape=shape
        )
        return shape, members[numbers].tolist()


def places(seed: int, first: int, count: int, *, samples: int, shape: int = 0) -> list[int]:
    """Return which of `samples` stand as number `first` and following in endless epochs."""
    numbers = (divmod(n, samples) for n in range(first, first + count))
    return [int(_permutation(seed, epoch | shape << SHAPE_BIT, samples)[n]) for epoch, n in numbers]


@functools.lru_cache(maxsize=16)  # PRX has 13 shapes, each in an epoch of its own
def _permutation(seed: int, epoch: int, samples: int) -> npt.NDArray[np.uint32]:
    """Sort by raw Philox words: NumPy promises those never change, unlike `permutation`."""
    words = np.random.Philox(key=[seed, epoch]).random_raw(samples)
    return np.argsort(words, kind="stable").astype(np.uint32)


def _drawn(sizes: tuple[int, ...], seed: int, block: int) -> tuple[int, int]:
    """Return the shape of a block, and how many blocks before it have the same."""
    if len(sizes) == 1:
        return 0, block
    chunk, within = divmod(block, CHUNK)
    shapes = _shapes(sizes, seed, chunk)
    shape = int(shapes[within])
    before = _counts(sizes, seed, chunk)[shape]
    return shape, before + int((shapes[:within] == shape).sum())


@functools.lru_cache(maxsize=4)
def _shapes(sizes: tuple[int, ...], seed: int, chunk: int) -> ShapeNumbers:
    """Return the shapes of a chunk of blocks: steps of the golden ratio around a circle.

    Each shape has an arc as long as its share of the samples. In whole numbers, so that every
    machine says the same. Source: Kronecker sequence; Kuipers and Niederreiter, 1974, ch. 2.3.
    """
    first = (seed * GOLDEN + chunk * CHUNK * GOLDEN) % WORD
    turns = np.arange(CHUNK, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(first)
    ends = [sum(sizes[: n + 1]) * WORD // sum(sizes) for n in range(len(sizes) - 1)]
    known = np.array([min(end, WORD - 1) for end in ends], dtype=np.uint64)
    return np.searchsorted(known, turns, side="right").astype(np.uint8)


@functools.lru_cache(maxsize=1024)
def _counts(sizes: tuple[int, ...], seed: int, chunk: int) -> tuple[int, ...]:
    """Return how many blocks of each shape come before a chunk."""
    total = np.zeros(len(sizes), dtype=np.int64)
    for earlier in range(chunk):
        total += np.bincount(_shapes(sizes, seed, earlier), minlength=len(sizes))
    return tuple(total.tolist())
