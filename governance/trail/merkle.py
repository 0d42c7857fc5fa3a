"""RFC 6962 / RFC 9162 Merkle trees: roots, inclusion proofs, consistency proofs.

A proof is made from the hashes of perfect subtrees, which never change as a tree grows: whoever
can look one up, in memory or in a database, makes any proof in O(log n) look-ups.

Does not see: what a leaf means, or whether a root is one that somebody trusts.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from governance.errors import Tampered

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32

# Gives the 32-byte hash of a perfect subtree: `node(level, index)` stands over the 2**level leaves
# from index * 2**level on. It is asked only for subtrees that are complete.
Node: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(leaf: bytes) -> bytes:
    """Return the 32-byte hash of a leaf. Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node. Source: RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the perfect subtrees of a growing tree, largest first: append in O(log n)."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    @classmethod
    def at(cls, node: Node, size: int) -> Self:
        """Return the frontier of a tree's first `size` leaves."""
        return cls(size, tuple(node(level, index) for level, index in _peaks(0, size)))

    def completed(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return the hashes of the perfect subtrees that one more leaf completes, lowest first."""
        nodes = [leaf_hash(leaf)]
        for peak in reversed(self.peaks[len(self.peaks) - trailing_ones(self.size) :]):
            nodes.append(node_hash(peak, nodes[-1]))
        return tuple(nodes)

    def appended(self, leaf: bytes) -> "Frontier":
        """Return the frontier with one more leaf (its bytes, not its hash)."""
        return self.grown(self.completed(leaf))

    def grown(self, completed: Sequence[bytes]) -> "Frontier":
        """Return the frontier with one more leaf, given what it completed."""
        kept = self.peaks[: len(self.peaks) - len(completed) + 1]
        return Frontier(self.size + 1, (*kept, completed[-1]))

    def root(self) -> bytes:
        """Return the 32-byte root of the tree so far."""
        return _folded(self.peaks) if self.peaks else EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole tree in memory: 64 bytes a leaf. Each layer holds the hashes of one level, joined."""

    size: int
    layers: tuple[bytes, ...]

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> Self:
        """Return the tree over leaves (their bytes, not their hashes)."""
        sha256 = hashlib.sha256
        return cls.of_hashes(b"".join([sha256(b"\x00" + leaf).digest() for leaf in leaves]))

    @classmethod
    def of_hashes(cls, hashes: bytes) -> Self:
        """Return the tree over leaf hashes, joined: 32 bytes each."""
        sha256, pair = hashlib.sha256, 2 * HASH_BYTES  # a name and a loop less, a million times
        layers = [hashes]
        while len(layers[-1]) >= pair:
            below = layers[-1]
            ends = range(0, len(below) - pair + 1, pair)
            layers.append(b"".join([sha256(b"\x01" + below[i : i + pair]).digest() for i in ends]))
        return cls(len(hashes) // HASH_BYTES, tuple(layers))

    def node(self, level: int, index: int) -> bytes:
        """Return the 32-byte hash of a perfect subtree. Raises IndexError when there is none."""
        found = self.layers[level][index * HASH_BYTES : (index + 1) * HASH_BYTES]
        if not found:
            raise IndexError(f"There is no node {index} on level {level} of a tree of {self.size}.")
        return found

    def root(self) -> bytes:
        """Return the 32-byte root."""
        return root_of(self.node, self.size)


def trailing_ones(number: int) -> int:
    """Return how many perfect subtrees above itself leaf `number` completes."""
    return (number ^ (number + 1)).bit_length() - 1


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the Merkle tree hash over leaves, in O(log n) memory. Source: RFC 6962 section 2.1."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.appended(leaf)
    return frontier.root()


def root_of(node: Node, size: int) -> bytes:
    """Return the root of a tree's first `size` leaves."""
    return _range_hash(node, 0, size) if size else EMPTY_ROOT


def inclusion_proof(node: Node, index: int, size: int) -> list[bytes]:
    """Return the audit path of leaf `index`, lowest first. Source: RFC 6962 section 2.1.1.

    Raises:
        IndexError: a tree of this size has no such leaf.
    """
    if not 0 <= index < size:
        raise IndexError(f"There is no leaf {index} in a tree of {size}.")
    path: list[bytes] = []
    for level in range((size - 1).bit_length()):
        sibling = (index >> level) ^ 1
        start, end = sibling << level, (sibling + 1) << level
        if end <= size:
            path.append(node(level, sibling))
        elif start < size:  # on the right border, and only once: above it siblings are complete
            path.append(_range_hash(node, start, size))
    return path


def consistency_proof(node: Node, old_size: int, size: int) -> list[bytes]:
    """Return the proof that the first `old_size` leaves are a prefix. Source: RFC 6962 2.1.2.

    Raises:
        IndexError: there is no such tree inside a tree of this size.
    """
    if not 0 < old_size <= size:
        raise IndexError(f"There is no tree of {old_size} inside a tree of {size}.")
    path: list[bytes] = []
    start, end = 0, size  # the subtree the old border runs through
    while end != old_size:
        split = start + (1 << (end - start - 1).bit_length() - 1)
        if old_size <= split:
            path.append(_range_hash(node, split, end))
            end = split
        else:
            path.append(_range_hash(node, start, split))
            start = split
    if start:  # else the old tree is this very subtree, and its root is known to who asks
        path.append(_range_hash(node, start, end))
    return path[::-1]


def check_inclusion(
    hashed_leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], expected_root: bytes
) -> None:
    """Check that a leaf hash stands at `index` of the tree of `size` leaves.

    Raises:
        Tampered: it does not. Source: RFC 9162 section 2.1.3.2.
    """
    _check_lengths(hashed_leaf, expected_root, *proof)
    if not 0 <= index < size:
        raise Tampered(f"An inclusion proof speaks of leaf {index} in a tree of {size}.")
    node, low, high = hashed_leaf, index, size - 1
    for step in proof:
        if high == 0:
            raise Tampered("An inclusion proof is longer than the tree is high.")
        if low & 1 or low == high:
            node = node_hash(step, node)
            low, high = _raised(low, high)
        else:
            node = node_hash(node, step)
        low, high = low >> 1, high >> 1
    if high or node != expected_root:
        raise Tampered(f"Leaf {index} is not in the tree of {size} with the root given.")


def check_consistency(
    *, old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, expected_root: bytes
) -> None:
    """Check that the tree of `size` leaves extends the tree of `old_size`.

    Raises:
        Tampered: it does not. Source: RFC 9162 section 2.1.4.2.
    """
    wrong = Tampered(f"The tree of {size} does not extend the tree of {old_size}.")
    if 0 < old_size == size and not proof and old_root == expected_root:
        return
    _check_lengths(old_root, expected_root, *proof)
    whole = old_size & (old_size - 1) == 0  # then the old root is itself a node of the new tree
    path = [old_root, *proof] if whole else list(proof)
    if not 0 < old_size < size or not path:
        raise wrong
    low, high = old_size - 1, size - 1
    while low & 1:
        low, high = low >> 1, high >> 1
    old_node = new_node = path[0]
    for step in path[1:]:
        if high == 0:
            raise wrong
        if low & 1 or low == high:
            old_node, new_node = node_hash(step, old_node), node_hash(step, new_node)
            low, high = _raised(low, high)
        else:
            new_node = node_hash(new_node, step)
        low, high = low >> 1, high >> 1
    if high or old_node != old_root or new_node != expected_root:
        raise wrong


def _check_lengths(*hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise Tampered(f"A hash in a proof does not have {HASH_BYTES} bytes.")


def _raised(low: int, high: int) -> tuple[int, int]:
    """Go up while the node is a left child: there is no sibling to hash on the way."""
    while not low & 1 and low:
        low, high = low >> 1, high >> 1
    return low, high


def _peaks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield level and index of the perfect subtrees over leaves `start` to `end`, largest first."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _range_hash(node: Node, start: int, end: int) -> bytes:
    """Return the hash of the subtree over leaves `start` to `end`, which need not be perfect."""
    return _folded([node(level, index) for level, index in _peaks(start, end)])


def _folded(peaks: Sequence[bytes]) -> bytes:
    """Return the hash over perfect subtrees, largest first: the smallest are joined first."""
    joined = peaks[-1]
    for peak in reversed(peaks[:-1]):
        joined = node_hash(peak, joined)
    return joined
