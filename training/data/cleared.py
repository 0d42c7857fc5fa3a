"""The cleared list, and the bytes of its samples, read by digest from the snapshot's shards.

The list is read once; its Merkle root is recomputed from the rows that were read, and must be the
one in the clearance. Every picture is hashed in the very buffer that is then decoded.

Does not see: why a sample was cleared.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from governance.clearance import Clearance
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.images import Picture, Undecodable, decode
from governance.snapshot import MANIFEST, Snapshot, check_sorted, read_table, samples_root
from training.data.shapes import Shapes, fitted, is_enlarged

Pixels: TypeAlias = npt.NDArray[np.uint8]  # (N, 3, H, W), RGB
Item = TypeVar("Item")
Done = TypeVar("Done")

DETAIL = 8  # decode at this many times the training size: sharp enough, and quick for photographs
WAITING = 4  # items a thread may be behind: enough that none is idle, few enough for memory


@dataclass(frozen=True, slots=True, eq=False)
class ClearedList:
    """The rows of `cleared.parquet`, and the Merkle root over exactly these rows."""

    rows: pa.Table
    root: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the list once. Raises EvidenceMissing, Tampered."""
        rows = read_table(path, MANIFEST)
        return cls(rows, samples_root(rows))

    def check(self, clearance: Clearance, snapshot: Snapshot) -> None:
        """Hold the list and the snapshot to an admitted clearance.

        Raises:
            Refused: the list or the snapshot is not the one that was cleared.
            Tampered: the list is in no order in which absence can be proved.
        """
        found = (snapshot.root, self.root, self.rows.num_rows)
        if found != (clearance.snapshot, clearance.cleared_root, clearance.cleared):
            raise Refused(
                f"clearance (2): it speaks of {clearance.cleared} samples with the root "
                f"{clearance.cleared_root[:12]}; the list here has {self.rows.num_rows} with the "
                f"root {self.root[:12]}. Audit again and ask for a new clearance."
            )
        check_sorted(self.rows)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cropped:
    """A picture cropped to its shape at the largest size, and what it was before."""

    image: Image.Image
    shape: int
    enlarged: bool
    format: str


def cropped(digest: str, data: bytes, shapes: Shapes) -> Cropped:
    """Decode a cleared picture and crop it. Raises EvidenceMissing: it cannot be decoded."""
    picture = decoded(digest, data, longest_px=DETAIL * shapes.largest_px)
    shape = shapes.nearest(picture.image)
    wanted = shapes.at(shapes.largest_px)[shape]
    return Cropped(
        image=fitted(picture.image, wanted),
        shape=shape,
        enlarged=is_enlarged(picture.image, wanted),
        format=picture.format,
    )


def decoded(digest: str, data: bytes, *, longest_px: int | None) -> Picture:
    """Decode a cleared picture. Raises EvidenceMissing: it cannot be decoded."""
    try:
        return decode(data, longest_px=longest_px, hash_pixels=False)
    except Undecodable as fault:
        raise EvidenceMissing(
            f"Sample {digest[:12]} was cleared but cannot be decoded ({fault}). Audit again."
        ) from None


def read_images(rows: pa.Table, snapshot: Snapshot) -> Iterator[tuple[int, str, bytes]]:
    """Yield (place in the list, digest, image bytes), shard by shard, each shard opened once.

    Raises:
        Tampered: bytes are not those that were sealed, or the list points where nothing is.
        EvidenceMissing: a shard is gone, or a key.
    """
    columns = (rows[name].to_pylist() for name in ("shard", "row", "sha256"))
    found = sorted(zip(*columns, range(rows.num_rows), strict=True))
    for shard, group in groupby(found, key=itemgetter(0)):
        _, numbers, digests, places = zip(*group, strict=True)
        known = 0 <= shard < len(snapshot.shards) and numbers[0] >= 0
        if not known or numbers[-1] >= snapshot.shards[shard].rows:
            raise Tampered(f"The cleared list points into shard {shard} where there is no row.")
        images = snapshot.open_shard(shard).images(numbers, digests, snapshot.keys)
        yield from zip(places, digests, images, strict=True)


def in_threads(
    act: Callable[[Item], Done], items: Iterable[Item], *, threads: int
) -> Iterator[Done]:
    """Yield what `act` makes of items, in their order, worked out a few items ahead."""
    if threads == 1:
        yield from map(act, items)
        return
    waiting = deque[Future[Done]]()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(act, item))
            if len(waiting) > WAITING * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def thread_count() -> int:
    """Return how many threads can decode at once here."""
    return len(os.sched_getaffinity(0))
