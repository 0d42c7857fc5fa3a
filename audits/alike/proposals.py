"""Which samples may be copies of which: those with views whose hashes lie close to each other.

Does not see: pictures. What is proposed here is compared in `audits.alike.copies`.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from audits.alike.copies import Way
from audits.alike.search import MANY, Hashes, Indices, close_pairs
from audits.alike.views import ENTRY, TURNS, turn_matrix

MANY_BITS = 8  # apart at most, where there are many hashes: chance pairs grow with their square
MOST_ENTRIES = 4096  # views that are looked at for one sample, the closest first
Hows = npt.NDArray[np.uint8]


class Proposals:
    """The views of samples, in order of the samples, and which of them look alike."""

    def __init__(self, packed: Sequence[bytes], *, near_bits: int, turned_bits: int) -> None:
        """Search for pairs.

        Args:
            packed: what `audits.alike.views` packed for each sample; empty where it has no hash.
            near_bits: how far apart two upright views may be, of 64.
            turned_bits: how far two views may be that stand alike once turned.
        """
        sizes = np.array([len(views) // ENTRY.itemsize for views in packed], dtype=np.int64)
        views = np.frombuffer(b"".join(packed), ENTRY)
        self._owners = np.repeat(np.arange(len(packed)), sizes)
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        self._hows: Hows = views["how"]
        self._codes: Hashes = views["code"].astype(np.uint64)
        upright = np.flatnonzero(self._hows % len(TURNS) == 0)
        self.bits = near_bits if len(upright) < MANY else min(near_bits, MANY_BITS)
        everything = np.arange(len(views))
        self._rooms = (
            _Room(self._codes, self._owners, upright, self.bits),
            _Room(self._codes, self._owners, everything, turned_bits),
        )
        busy = np.concatenate([room.busy for room in self._rooms])
        self._busy = frozenset(self._owners[busy].tolist())
        self.cut = 0  # views left out because one sample had too many like it

    def of(self, sample: int) -> Iterator[tuple[int, list[Way]]]:
        """Yield the samples after this one that may be copies of it and why, the closest first."""
        if sample not in self._busy:
            return
        own = np.arange(self._ends[sample], self._ends[sample + 1])
        found = [room.near(entry) for room in self._rooms for entry in own.tolist()]
        entries = np.repeat(np.tile(own, len(self._rooms)), [len(near) for near in found])
        near = np.concatenate([np.empty(0, np.int64), *found])
        later = self._owners[near] > sample
        entries, near = entries[later], near[later]
        distances = np.bitwise_count(self._codes[entries] ^ self._codes[near])
        order = np.lexsort((near, entries, self._owners[near], distances))
        self.cut += max(0, len(order) - MOST_ENTRIES)
        ways: dict[int, dict[Way, None]] = {}
        for at in order[:MOST_ENTRIES].tolist():
            how, how_b = int(self._hows[entries[at]]), int(self._hows[near[at]])
            (view, turn), (view_b, turn_b) = divmod(how, len(TURNS)), divmod(how_b, len(TURNS))
            way = Way(int(distances[at]), view, view_b, _turn_between(turn, turn_b))
            ways.setdefault(int(self._owners[near[at]]), {})[way] = None
        for other, known in ways.items():
            yield other, list(known)


class _Room:
    """Hashes that are searched together, and what of other samples lies near each."""

    def __init__(self, codes: Hashes, owners: Indices, members: Indices, bits: int) -> None:
        unique, inverse = np.unique(codes[members], return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        self._members = members[order]
        self._starts = np.searchsorted(inverse[order], np.arange(len(unique) + 1))
        lowest, highest = _ends(owners[self._members], self._starts)
        pairs = close_pairs(unique, bits)
        # Views of one picture look like each other: that proposes nothing.
        one, other = pairs.T
        pairs = pairs[(lowest[one] != highest[other]) | (highest[one] != lowest[other])]
        alone = np.flatnonzero(lowest != highest)
        either = np.concatenate([pairs, pairs[:, ::-1], np.stack([alone, alone], axis=1)])
        either = either[np.lexsort((either[:, 1], either[:, 0]))]
        self._near = either[:, 1]
        self._near_starts = np.searchsorted(either[:, 0], np.arange(len(unique) + 1))
        self._place = np.full(len(codes), -1, np.int64)
        self._place[members] = inverse
        self.busy = members[np.isin(inverse, either[:, 0])]

    def near(self, entry: int) -> Indices:
        """Return the entries whose hash is equal or close to that of one."""
        place = self._place[entry]
        if place < 0:
            return np.empty(0, np.int64)
        near = self._near[self._near_starts[place] : self._near_starts[place + 1]]
        parts = [self._members[self._starts[k] : self._starts[k + 1]] for k in near.tolist()]
        return np.concatenate([np.empty(0, np.int64), *parts])


def _ends(owners: Indices, starts: Indices) -> tuple[Indices, Indices]:
    """Return the lowest and the highest owner of each run of entries."""
    if not len(owners):
        return owners, owners
    runs = starts[:-1]
    return np.minimum.reduceat(owners, runs), np.maximum.reduceat(owners, runs)


@cache
def _turn_between(turn: int, turn_b: int) -> int:
    """Return the turn of the one that gives the other, where both stand alike once turned."""
    wanted = turn_matrix(turn_b) @ turn_matrix(turn).T
    return next(known for known in TURNS if np.array_equal(turn_matrix(known), wanted))
