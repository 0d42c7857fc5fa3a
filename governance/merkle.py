"""RFC 6962 / RFC 9162 Merkle trees: roots, inclusion proofs, consistency proofs.

Does not see: what a leaf means, or whether a root is one that somebody trusts.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from governance.errors import Tampered

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32


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

    def appended(self, leaf: bytes) -> "Frontier":
        """Return the frontier with one more leaf (its bytes, not its hash)."""
        peaks, node, size = list(self.peaks), leaf_hash(leaf), self.size
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, node))

    def root(self) -> bytes:
        """Return the 32-byte root of the tree so far."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the Merkle tree hash over leaves. Source: RFC 6962 section 2.1."""
    return _root_of([leaf_hash(leaf) for leaf in leaves])


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of leaf `index`, lowest first. Source: RFC 6962 section 2.1.1."""
    if not 0 <= index < len(leaf_hashes):
        raise IndexError(f"There is no leaf {index} in a tree of {len(leaf_hashes)}.")
    path: list[bytes] = []
    layer = list(leaf_hashes)
    while len(layer) > 1:
        sibling = index ^ 1
        if sibling < len(layer):
            path.append(layer[sibling])
        layer, index = _folded(layer), index >> 1
    return path


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


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the first `old_size` leaves are a prefix. Source: RFC 6962 2.1.2."""
    size = len(leaf_hashes)
    if not 0 < old_size <= size:
        raise IndexError(f"There is no tree of {old_size} inside a tree of {size}.")
    return _subproof(leaf_hashes, old_size, complete=True)


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


def _folded(layer: Sequence[bytes]) -> list[bytes]:
    """Return the next layer up; a last node without a partner rises as it is."""
    pairs = [node_hash(layer[i], layer[i + 1]) for i in range(0, len(layer) - 1, 2)]
    return [*pairs, layer[-1]] if len(layer) & 1 else pairs


def _root_of(layer: Sequence[bytes]) -> bytes:
    while len(layer) > 1:
        layer = _folded(layer)
    return layer[0] if layer else EMPTY_ROOT


def _subproof(leaf_hashes: Sequence[bytes], old_size: int, *, complete: bool) -> list[bytes]:
    size = len(leaf_hashes)
    if old_size == size:
        return [] if complete else [_root_of(leaf_hashes)]
    split = 1 << (size - 1).bit_length() - 1
    left, right = leaf_hashes[:split], leaf_hashes[split:]
    if old_size <= split:
        return [*_subproof(left, old_size, complete=complete), _root_of(right)]
    return [*_subproof(right, old_size - split, complete=False), _root_of(left)]
