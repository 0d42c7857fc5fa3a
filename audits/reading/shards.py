"""Shards: Parquet files of encoded pictures, written once, or registered where they lie.

Where keys are made, what is written is ciphertext, picture by picture, and nothing is registered.

Does not see: whether the bytes are pictures.
"""

import os
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from governance.canon import file_sha256
from governance.sealing.sealed import NewKeys
from governance.snapshot import IMAGE, Shard

SHARD_BYTES = 256 << 20
GROUP_ROWS = 128  # a reader holds one row group in memory
GROUP_BYTES = 32 << 20
GROUP_BYTES_IN_PLACE = 128 << 20  # other people's row groups; above this they are written anew
CIPHERTEXT = "ciphertext"  # what the column of an encrypted shard is called


def fits_in_place(path: Path, column: str, *, most_bytes: int = GROUP_BYTES_IN_PLACE) -> bool:
    """Say whether every row group of a picture column can be held in memory by a worker."""
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        chunks = (rows.column(place) for place in range(rows.num_columns))
        held = (
            c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] == column
        )
        if sum(held) > most_bytes:
            return False
    return True


class ShardWriter:
    """The shards of a snapshot being made; `shards` are complete once the block has ended."""

    def __init__(
        self, incoming: Path, *, shard_bytes: int = SHARD_BYTES, keys: NewKeys | None = None
    ) -> None:
        """Write below `incoming/shards`, encrypted where keys are made, from the first picture."""
        self._incoming = incoming
        self._shard_bytes = shard_bytes
        self._keys = keys
        self._schema = pa.schema([(CIPHERTEXT if keys else IMAGE, pa.binary())])
        self._shards: list[Shard | None] = []  # None: the one being written
        self._open: tuple[int, IO[bytes], pq.ParquetWriter] | None = None
        self._group: list[bytes] = []
        self._rows = self._bytes = self._group_bytes = 0

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the shard being written."""
        self._close()

    @property
    def shards(self) -> tuple[Shard, ...]:
        """Return the closed shards, in the order of their index."""
        return tuple(shard for shard in self._shards if shard is not None)

    def register(self, path: Path, column: str) -> int:
        """Register Parquet that stays where it lies; return its index. Raises OSError."""
        self._shards.append(_shard(path, str(path), column))
        return len(self._shards) - 1

    def add(self, image: bytes) -> tuple[int, int]:
        """Write one picture; return its shard and row."""
        if self._keys:
            image = self._keys.encrypted(image)
        if self._open and self._bytes + len(image) > self._shard_bytes:
            self._close()
        if self._open is None:
            self._open = self._begin()
        if len(self._group) == GROUP_ROWS or self._group_bytes + len(image) > GROUP_BYTES:
            self._flush()
        self._group.append(image)
        self._group_bytes += len(image)
        self._bytes += len(image)
        self._rows += 1
        return self._open[0], self._rows - 1

    def _begin(self) -> tuple[int, IO[bytes], pq.ParquetWriter]:
        index = len(self._shards)
        path = self._incoming / _name(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("wb")
        self._shards.append(None)
        self._rows = self._bytes = 0
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        return index, stream, pq.ParquetWriter(stream, self._schema, **plain)

    def _flush(self) -> None:
        if self._open and self._group:
            self._open[2].write_table(pa.table([self._group], schema=self._schema))
        self._group, self._group_bytes = [], 0

    def _close(self) -> None:
        if self._open is None:
            return
        self._flush()
        index, stream, writer = self._open
        writer.close()
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
        self._open = None
        written = _shard(self._incoming / _name(index), _name(index), self._schema.names[0])
        self._shards[index] = replace(written, encrypted=self._keys is not None)


def _name(index: int) -> str:
    return f"shards/shard-{index:05}.parquet"


def _shard(path: Path, name: str, column: str) -> Shard:
    return Shard(
        path=name,
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
        rows=pq.read_metadata(path).num_rows,
        column=column,
    )
