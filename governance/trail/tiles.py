"""The ledger as static files anybody can mirror: C2SP tlog-tiles, and a reader that trusts none.

A tile holds up to 256 hashes of perfect subtrees, an entry bundle up to 256 entries. Any proof at
any size can be made from them, so who has a copy needs nobody to answer questions.

Source: c2sp.org/tlog-tiles. Does not see: acts of after the checkpoint it was written at.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from governance.canon import whole_folder
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.trail import merkle
from governance.trail.note import Checkpoint, decoded, open_note, unverified

if TYPE_CHECKING:
    from governance.trail.ledger import Ledger

CHECKPOINT = "checkpoint"
WIDTH, HEIGHT = 256, 8  # hashes of a full tile, and the levels of the tree it spans
LENGTH_BYTES = 2  # before each entry of a bundle
MAX_ENTRY_BYTES = (1 << 8 * LENGTH_BYTES) - 1


def export(ledger: "Ledger", out: Path) -> Checkpoint:
    """Write the ledger at its newest checkpoint to a new folder, whole or not at all.

    Returns:
        The checkpoint it was written at.

    Raises:
        EvidenceMissing: the ledger is empty.
        Tampered: it is not what it signed.
        UsageError: files are there already, or an entry is too long for a bundle.
    """
    note = ledger.note()
    if not note:
        raise EvidenceMissing("The ledger is empty: there is nothing to export yet.")
    checkpoint = open_note(note, ledger.keys, origin=ledger.origin)
    leaves = ledger.leaves()[: checkpoint.size]
    tree = merkle.Tree.of(leaves)
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise Tampered("The entries are not those the newest checkpoint was signed for.")
    with whole_folder(out) as folder:
        for name, data in (*tiles(tree.node, tree.size), *bundles(leaves)):
            _put(folder / name, data)
        _put(folder / CHECKPOINT, note.encode())
    return checkpoint


def tiles(node: merkle.Node, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of each tile of a tree's first `size` leaves."""
    for level in count():
        width = size >> HEIGHT * level
        if not width:
            return
        for start in range(0, width, WIDTH):
            span = range(start, min(start + WIDTH, width))
            path = tile_path(str(level), start // WIDTH, len(span))
            yield path, b"".join(node(HEIGHT * level, index) for index in span)


def bundles(leaves: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of each bundle of entries. Raises UsageError when one is too long."""
    for start in range(0, len(leaves), WIDTH):
        part = leaves[start : start + WIDTH]
        yield tile_path("entries", start // WIDTH, len(part)), b"".join(map(_framed, part))


def tile_path(level: str, index: int, width: int) -> str:
    """Return the path of a tile or a bundle: `tile/0/x001/234.p/7` has 7 of 256."""
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    path = "/".join((*(f"x{part}" for part in parts[:-1]), parts[-1]))
    return f"tile/{level}/{path}" + (f".p/{width}" if width < WIDTH else "")


def read_mirror(folder: Path) -> tuple[str, merkle.Tree]:
    """Return the signed checkpoint of a mirrored folder and the tree over its entries.

    The checkpoint's signature is not verified here; that the entries are its own, is.

    Raises:
        EvidenceMissing: a file is missing.
        Tampered: entries or tiles are not what the checkpoint commits to.
    """
    note = decoded(_get(folder, CHECKPOINT), "A checkpoint")
    checkpoint = unverified(note)
    hashes = [
        merkle.leaf_hash(entry)
        for start in range(0, checkpoint.size, WIDTH)
        for entry in _entries(folder, start // WIDTH, min(WIDTH, checkpoint.size - start))
    ]
    tree = merkle.Tree.of_hashes(b"".join(hashes))
    if tree.root() != checkpoint.root:
        raise Tampered(f"The entries under {folder} are not those its checkpoint commits to.")
    for path, data in tiles(tree.node, tree.size):
        if _get(folder, path) != data:
            raise Tampered(f"{path} holds other hashes than its entries have; copy it again.")
    return note, tree


def _entries(folder: Path, index: int, width: int) -> Iterator[bytes]:
    """Yield the entries of a bundle; what is cut short is another entry. Raises Tampered."""
    path = tile_path("entries", index, width)
    data = _get(folder, path)
    for _ in range(width):
        length, data = int.from_bytes(data[:LENGTH_BYTES], "big"), data[LENGTH_BYTES:]
        yield data[:length]
        data = data[length:]
    if data:
        raise Tampered(f"{path} holds more than its {width} entries; copy it again.")


def _framed(entry: bytes) -> bytes:
    if len(entry) > MAX_ENTRY_BYTES:
        raise UsageError(
            f"An entry has {len(entry)} bytes; a bundle carries {MAX_ENTRY_BYTES} at most."
        )
    return len(entry).to_bytes(LENGTH_BYTES, "big") + entry


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _get(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise EvidenceMissing(f"{name} is missing from {folder}; copy it again.")
    return path.read_bytes()
