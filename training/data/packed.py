"""Pictures read from a pack: by offset, hashed each time, and only what is cleared now.

The index of a pack says what was cleared when it was made. What may be read is the list of the
clearance at hand: a withdrawn sample is on no such list, and stays unread in a pack that need not
be written anew.

Does not see: the withdrawn bytes, which lie in the pack until somebody deletes it.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from governance.canon import sha256
from governance.errors import EvidenceMissing, Tampered
from training.data.cleared import Pixels, decoded, thread_count
from training.data.order import Places, ShapeNumbers
from training.data.pack import INDEX, INDEX_FILE, Packs, shard_path
from training.data.shapes import Shapes, fitted


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pack:
    """An opened pack: its index, held to what the ledger was told."""

    folder: Path
    index: pa.Table

    @classmethod
    def open(cls, folder: Path, *, told: str) -> Self:
        """Open a pack by the SHA-256 of its index. Raises EvidenceMissing, Tampered."""
        path = folder / INDEX_FILE
        if not path.is_file():
            raise EvidenceMissing(
                f"Pack {folder.name[:12]} has no {INDEX_FILE}; remove it, and it is made anew."
            )
        data = path.read_bytes()
        if sha256(data) != told:
            raise Tampered(
                f"The index of pack {folder.name[:12]} is not the one that the ledger was told of "
                f"({told[:12]}); remove the pack, and it is made anew."
            )
        return cls(folder=folder, index=pq.read_table(io.BytesIO(data)).cast(INDEX))

    def rows_of(self, cleared: pa.Table) -> Places | None:
        """Return which row each cleared sample has here; None where one has none."""
        known, wanted = _digests(self.index["source_sha256"]), _digests(cleared["sha256"])
        rows = np.minimum(np.searchsorted(known, wanted), len(known) - 1)  # both are sorted
        return rows if (known[rows] == wanted).all() else None


def _digests(column: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    return np.array(column.to_pylist(), dtype="S64")


def find_pack(packs: Packs, cleared: pa.Table, shapes: Shapes) -> Pack | None:
    """Return the latest pack here that holds every cleared sample, or None.

    Which snapshot it was made of does not matter: rows are named by the digests of their pictures.

    Raises:
        EvidenceMissing, Tampered: a pack that lies here is not as the ledger was told.
    """
    for folder, index in packs.told(shapes):
        if folder.exists():
            pack = Pack.open(folder, told=index)
            if pack.rows_of(cleared) is not None:
                return pack
    return None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Packed:
    """Cleared pictures in a pack. `rows` of the index are all that can be asked for."""

    ahead: ClassVar[int] = 2  # one is worked on while the next is read
    folder: Path
    shapes: Shapes
    rows: Places
    digests: tuple[str, ...]  # of the packed bytes, by row of the index
    spans: npt.NDArray[np.int64]  # (rows of the index, 3): shard, offset, length
    pool: ThreadPoolExecutor

    @classmethod
    def of(cls, pack: Pack, cleared: pa.Table, shapes: Shapes) -> tuple[Self, ShapeNumbers, int]:
        """Return cleared pictures, the shape of each (N,), and how many had to be enlarged.

        Raises:
            EvidenceMissing: a cleared sample is not in the pack.
        """
        rows = pack.rows_of(cleared)
        if rows is None:
            raise EvidenceMissing(
                f"Pack {pack.folder.name[:12]} lacks samples that are cleared now; start the run "
                "again, and a pack with all of them is made."
            )
        index = pack.index
        spans = [index[name].to_numpy().astype(np.int64) for name in ("shard", "offset", "length")]
        made = cls(
            folder=pack.folder,
            shapes=shapes,
            rows=rows,
            digests=tuple(index["sha256"].to_pylist()),
            spans=np.stack(spans, axis=1),
            pool=ThreadPoolExecutor(thread_count(), thread_name_prefix="pack"),
        )
        enlarged = int(index["enlarged"].to_numpy(zero_copy_only=False)[rows].sum())
        return made, index["shape"].to_numpy()[rows], enlarged

    def take(self, places: Sequence[int], *, image_px: int, shape: int) -> Pixels:
        """Return pictures of one shape at a size, (B, 3, H, W), decoded by threads.

        Raises:
            EvidenceMissing: a shard is gone, or what lies in it is no picture.
            Tampered: bytes are not those that were packed.
        """
        height, width = self.shapes.at(image_px)[shape]
        pixels = np.empty((len(places), 3, height, width), np.uint8)
        act = partial(self._put, pixels, image_px=image_px, shape=shape)
        for _ in self.pool.map(act, range(len(places)), places):
            pass
        return pixels

    def only(self, places: Places) -> Self:
        """Return some of them."""
        return replace(self, rows=self.rows[places])

    def _put(self, pixels: Pixels, number: int, place: int, *, image_px: int, shape: int) -> None:
        row = int(self.rows[place])
        image = decoded(self.digests[row], self._read(row), longest_px=None).image
        wanted = self.shapes.at(image_px)[shape]
        if (image.height, image.width) != wanted:
            image = fitted(image, wanted)
        pixels[number] = np.asarray(image).transpose(2, 0, 1)

    def _read(self, row: int) -> bytes:
        """Return the bytes of a row: the very buffer that was hashed."""
        shard, offset, length = map(int, self.spans[row])
        try:
            handle = os.open(shard_path(self.folder, shard), os.O_RDONLY)
        except FileNotFoundError:
            raise EvidenceMissing(
                f"Shard {shard} of pack {self.folder.name[:12]} is gone; remove the pack, and it "
                "is made anew."
            ) from None
        try:
            data = os.pread(handle, length, offset)
        finally:
            os.close(handle)
        if sha256(data) != self.digests[row]:
            raise Tampered(
                f"Row {row} of pack {self.folder.name[:12]} has other bytes than were packed "
                f"({self.digests[row][:12]}); remove the pack, and it is made anew."
            )
        return data
