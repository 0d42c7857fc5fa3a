"""Cleared samples: read by digest from the snapshot's shards, kept as small pixels in memory.

The cleared list is read once; its Merkle root is recomputed from the rows that were read, and must
be the one in the clearance. Every picture is hashed in the very buffer that is then decoded.

Does not see: why a sample was cleared; and near-duplicates that fall on both sides of `split`.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageOps

from governance.clearance import Clearance
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.images import Undecodable, decode
from governance.snapshot import MANIFEST, Snapshot, check_sorted, read_table, samples_root
from training.record import Bar, Bars, quiet

Pixels = npt.NDArray[np.uint8]  # (N, 3, S, S), RGB

DETAIL = 8  # decode at this many times the training size: sharp enough, and quick for photographs


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


@dataclass(frozen=True, slots=True, eq=False)
class ClearedSamples:
    """Pictures of one size with their digests (32 bytes each) and captions, in the list's order."""

    pixels: Pixels
    digests: tuple[bytes, ...]
    captions: tuple[str, ...]

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
        """Read every cleared sample of an admitted clearance.

        Raises:
            Refused: the list or the snapshot is not the one that was cleared.
            EvidenceMissing: a shard is gone, or a cleared picture cannot be decoded.
            Tampered: bytes are not those that were sealed.
        """
        found = (snapshot.root, listed.root, listed.rows.num_rows)
        if found != (clearance.snapshot, clearance.cleared_root, clearance.cleared):
            raise Refused(
                f"clearance (2): it speaks of {clearance.cleared} samples with the root "
                f"{clearance.cleared_root[:12]}; the list here has {listed.rows.num_rows} with the "
                f"root {listed.root[:12]}. Audit again and ask for a new clearance."
            )
        check_sorted(listed.rows)
        digests = listed.rows["sha256"].to_pylist()
        return cls(
            _read_pixels(listed.rows, snapshot, image_px, bars("reading", listed.rows.num_rows)),
            tuple(bytes.fromhex(digest) for digest in digests),
            tuple(caption or "" for caption in listed.rows["caption"].to_pylist()),
        )

    def __len__(self) -> int:
        return len(self.digests)

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
        """Return where the samples that a run sees as number `first` and following stand here.

        A function of the seed and the number alone: the same for any number of processes, and
        after any resume. Each epoch is a permutation.
        """
        numbers = (divmod(n, len(self)) for n in range(first, first + count))
        return [int(_permutation(seed, epoch, len(self))[n]) for epoch, n in numbers]

    def _chosen(self, wanted: Sequence[bool]) -> Self:
        places = np.flatnonzero(wanted)
        return type(self)(
            self.pixels[places],
            tuple(self.digests[i] for i in places),
            tuple(self.captions[i] for i in places),
        )


@functools.lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, samples: int) -> npt.NDArray[np.int64]:
    """Sort by raw Philox words: NumPy promises those never change, unlike `permutation`."""
    words = np.random.Philox(key=[seed, epoch]).random_raw(samples)
    return np.argsort(words, kind="stable")


def _read_pixels(rows: pa.Table, snapshot: Snapshot, image_px: int, bar: Bar) -> Pixels:
    pixels = np.empty((rows.num_rows, 3, image_px, image_px), dtype=np.uint8)
    for place, digest, data in _read_images(rows, snapshot):
        try:
            image = decode(data, longest_px=DETAIL * image_px, hash_pixels=False).image
        except Undecodable as fault:
            raise EvidenceMissing(
                f"Sample {digest[:12]} was cleared but cannot be decoded ({fault}). Audit again."
            ) from None
        fitted = ImageOps.fit(image, (image_px, image_px), Image.Resampling.LANCZOS)
        pixels[place] = np.asarray(fitted).transpose(2, 0, 1)
        bar(1)
    return pixels


def _read_images(rows: pa.Table, snapshot: Snapshot) -> Iterator[tuple[int, str, bytes]]:
    """Yield (place in the list, digest, image bytes), shard by shard, each shard opened once."""
    columns = (rows[name].to_pylist() for name in ("shard", "row", "sha256"))
    found = sorted(zip(*columns, range(rows.num_rows), strict=True))
    for shard, group in groupby(found, key=itemgetter(0)):
        _, numbers, digests, places = zip(*group, strict=True)
        known = 0 <= shard < len(snapshot.shards) and numbers[0] >= 0
        if not known or numbers[-1] >= snapshot.shards[shard].rows:
            raise Tampered(f"The cleared list points into shard {shard} where there is no row.")
        images = snapshot.open_shard(shard).images(numbers, digests, snapshot.keys)
        yield from zip(places, digests, images, strict=True)
