"""Snapshots: sealed samples, named by a Merkle root, read back only by digest.

A snapshot is a folder: `snapshot.json` (shards, sources), `manifest.parquet` (one row a sample,
sorted by image digest) and the shards that were written for it; Parquet files that already held
the bytes stay where they are and are registered with their own digest. Shards can hold ciphertexts
(`sealing.sealed`); digests, and so the root, are those of the plain images in either case.

Does not see: whether what the manifest says of a sample is true. It is what the source claimed.
"""

import hashlib
import json
import operator
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from governance.canon import (
    Json,
    canonical,
    file_sha256,
    sha256,
    whole_file,
    write_whole,
)
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.records import json_object
from governance.sealing.sealed import DataKeys, decrypt
from governance.trail import merkle

TEXT_COLUMNS = (
    "caption", "licence", "licence_url", "creator", "attribution", "source_url", "generator",
    "captioner", "consent_ref", "region", "collected_at",
)  # fmt: skip
MANIFEST = pa.schema(
    [
        ("id", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("sha256", pa.string()),  # of the image bytes; of no bytes where the image is absent
        ("size_bytes", pa.int64()),
        *((name, pa.string()) for name in TEXT_COLUMNS),
        ("source", pa.string()),  # which SOURCE of the command this sample came from
        ("attributes", pa.string()),  # JSON object: what the dataset declares of who is shown
        ("extra", pa.string()),  # JSON object: every column we have no word for
    ]
)
PLACE = ("shard", "row")  # where the bytes lie; not part of what is sealed
IMAGE = "image"
_FLAT = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One Parquet file with embedded image bytes. `path` is relative where we wrote the file.

    `sha256` and `size_bytes` are the file's. Where `encrypted`, `column` holds ciphertexts.
    """

    path: str
    sha256: str
    size_bytes: int
    rows: int
    column: str = IMAGE
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A sealed dataset. `root` is its id: the RFC 6962 root over its samples, in hex.

    `keys` are those that whoever holds this object may read encrypted shards with.
    """

    folder: Path
    root: str
    samples: int
    sources: tuple[str, ...]
    shards: tuple[Shard, ...]
    keys: DataKeys | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a snapshot by its record; `manifest` checks the samples against the root.

        Raises:
            EvidenceMissing: there is no snapshot here.
            Tampered: its record is not what a snapshot record is.
        """
        path = folder / "snapshot.json"
        if not path.is_file():
            raise EvidenceMissing(f"There is no snapshot {folder.name[:12]}; run `pramana audit`.")
        record = json_object(path.read_bytes(), "a snapshot record")
        try:
            shards = tuple(Shard(**shard) for shard in record["shards"])
            opened = cls(
                folder, record["root"], record["samples"], tuple(record["sources"]), shards
            )
        except (KeyError, TypeError) as fault:
            raise Tampered(f"Snapshot record {path.name} lacks or adds a field: {fault}.") from None
        if opened.root != folder.name:
            raise Tampered(f"Snapshot {folder.name[:12]} says its root is {opened.root[:12]}.")
        return opened

    @property
    def encrypted(self) -> bool:
        """Whether its pictures can be read with keys only."""
        return any(shard.encrypted for shard in self.shards)

    def manifest(self) -> pa.Table:
        """Return the manifest, after checking every row of it against the root.

        Raises:
            Tampered: a row was edited, added, removed or moved.
        """
        table = read_table(self.folder / "manifest.parquet", MANIFEST)
        found = samples_root(table)
        if found != self.root or table.num_rows != self.samples:
            raise Tampered(
                f"The manifest of snapshot {self.root[:12]} was altered: its {table.num_rows} rows "
                f"have the root {found[:12]}. Restore the file or audit the source again."
            )
        check_sorted(table)
        return table

    def shard_path(self, index: int) -> Path:
        """Return where a shard lies."""
        return self.folder / self.shards[index].path  # an absolute path stays absolute

    def open_shard(self, index: int) -> "OpenShard":
        """Open a shard after checking its bytes. Raises EvidenceMissing, Tampered."""
        return OpenShard(self.shard_path(index), self.shards[index], index)


class OpenShard:
    """A shard whose file digest held. Each image is checked again, in the buffer handed out."""

    def __init__(self, path: Path, shard: Shard, index: int) -> None:
        """Check and map the file. Raises EvidenceMissing, Tampered."""
        if not path.is_file():
            raise EvidenceMissing(f"Shard {index} ({path.name}) is gone; put the file back.")
        if path.stat().st_size != shard.size_bytes or file_sha256(path) != shard.sha256:
            raise Tampered(
                f"Shard {index} ({path.name}) is not the file that was sealed: sha256 "
                f"{shard.sha256[:12]}, {shard.size_bytes} bytes. Restore it, or audit again."
            )
        self.index = index
        self._column, self._encrypted = shard.column, shard.encrypted
        self._file = pq.ParquetFile(pa.memory_map(str(path)))
        groups = (
            self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups)
        )
        self._starts = [0]
        for rows in groups:
            self._starts.append(self._starts[-1] + rows)

    def images(
        self, rows: Sequence[int], digests: Sequence[str], keys: DataKeys | None = None
    ) -> Iterator[bytes]:
        """Yield the image bytes of ascending rows, each checked against its sha256.

        Raises:
            Tampered: the very buffer that would be handed out has another digest.
            EvidenceMissing: the shard is encrypted, and a key is not among those given.
        """
        group, column = -1, None
        for row, expected in zip(rows, digests, strict=True):
            while column is None or not self._starts[group] <= row < self._starts[group + 1]:
                group += 1
                if row < self._starts[group + 1]:
                    column = self._file.read_row_group(group, columns=[self._column])[self._column]
            cell = image_bytes(column[row - self._starts[group]].as_py())
            data = self._plain(cell, expected, keys) if self._encrypted else cell
            if sha256(data) != expected:
                raise Tampered(
                    f"Row {row} of shard {self.index} has other bytes than were sealed "
                    f"({expected[:12]}). Restore the shard, or audit again."
                )
            yield data

    def _plain(self, cell: bytes, digest: str, keys: DataKeys | None) -> bytes:
        if keys is None:
            raise EvidenceMissing(
                f"Shard {self.index} is encrypted and no keys are at hand; a clearance releases "
                "those of what it cleared."
            )
        return decrypt(cell, key=keys.key(digest), digest=digest)


def image_bytes(cell: object) -> bytes:
    """Return the bytes in an image cell: plain binary, or a struct with `bytes`; absent is b''."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes")
    return cell if isinstance(cell, bytes) else b""


def seal(
    snapshots: Path,
    *,
    rows: pa.Table,
    shards: Sequence[Shard],
    sources: Sequence[str],
    appearing: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Snapshot:
    """Sort, root and store a manifest; move what lies in `snapshots/.incoming/shards` beside it.

    Args:
        snapshots: the folder of snapshots; the new one is named by its root.
        rows: a table with the columns of `MANIFEST`, in any order of rows.
        shards: relative paths are below `.incoming`, absolute ones stay where they are.
        sources: how the user named what was read.
        appearing: entered with the root just before a new snapshot appears, left just after.

    Raises:
        UsageError: no sample at all, or an id that stands twice.
        Refused: the shards are encrypted, and the same samples lie here in plain.
    """
    if rows.num_rows == 0:
        raise UsageError("The sources hold no sample; nothing can be sealed.")
    table = rows.cast(MANIFEST).sort_by([("sha256", "ascending"), ("id", "ascending")])
    ids = table["id"].combine_chunks()
    if len(ids.unique()) != len(ids):
        raise UsageError("An id stands twice in the sources; ids must name one sample each.")
    root = samples_root(table)
    folder, incoming = snapshots / root, snapshots / ".incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    record = {
        "schema": "pramana.snapshot/v1",
        "root": root,
        "samples": table.num_rows,
        "sources": list(sources),
        "shards": [asdict(shard) for shard in shards],
    }
    write_table(incoming / "manifest.parquet", table)
    write_whole(incoming / "snapshot.json", canonical(record))
    if folder.exists():
        return _resealed(folder, incoming, encrypted=any(shard.encrypted for shard in shards))
    with appearing(root):
        os.replace(incoming, folder)  # noqa: PTH105  the snapshot appears whole or not at all
    return Snapshot.open(folder)


def _resealed(folder: Path, incoming: Path, *, encrypted: bool) -> Snapshot:
    """Return the snapshot that exists already; the same samples were ingested again.

    Files that are registered in place may have moved since: then their new places are taken over.
    What is encrypted stays so, under the keys it has.
    """
    existing, again = Snapshot.open(folder), incoming / "snapshot.json"
    existing.manifest()
    if encrypted and not existing.encrypted:
        shutil.rmtree(incoming)
        raise Refused(
            f"The same samples lie here in plain, as snapshot {existing.root[:12]}, and stay so. "
            "Audit the source with --sealed in a new workspace, and delete this one."
        )
    in_place = all(Path(shard.path).is_absolute() for shard in existing.shards)
    manifests = {file_sha256(place / "manifest.parquet") for place in (folder, incoming)}
    if in_place and len(manifests) == 1:
        os.replace(again, folder / "snapshot.json")  # noqa: PTH105
    shutil.rmtree(incoming)
    return Snapshot.open(folder)


def samples_root(table: pa.Table) -> str:
    """Return the Merkle root over samples, in the order of the table, as hex."""
    frontier = merkle.Frontier()
    for leaf in sample_leaves(table):
        frontier = frontier.appended(leaf)
    return frontier.root().hex()


def check_sorted(table: pa.Table) -> None:
    """Refuse samples that are not in the order of their images' digests, whatever root they have.

    Raises:
        Tampered: they are not; in such a table an image could hide from a proof of absence.
    """
    images = [bytes.fromhex(image) for image in table["sha256"].to_pylist()]
    if any(map(operator.gt, images, images[1:])):
        raise Tampered(
            "These samples were sealed in another order than that of their images' digests, so "
            "that no absence can be proved. Audit the source again."
        )


def sample_leaves(table: pa.Table) -> Iterator[bytes]:
    """Yield one 64-byte leaf a sample: digest of its image, digest of all that is said of it.

    What is said is hashed as canonical JSON. A row is flat, of texts and counts under ASCII names,
    and of those the standard encoder writes the same bytes, four times as fast.
    """
    for batch in table.drop_columns(list(PLACE)).to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            said = _FLAT.encode({key: value for key, value in row.items() if value is not None})
            yield bytes.fromhex(row["sha256"]) + hashlib.sha256(said.encode()).digest()


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and hold it to its schema. Raises EvidenceMissing, Tampered."""
    if not path.is_file():
        raise EvidenceMissing(
            f"{path.name} is not where it was written; restore it or audit again."
        )
    try:
        return pq.read_table(path, memory_map=False).select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowKeyError, KeyError, OSError) as fault:
        raise Tampered(f"{path.name} is not the table that was written: {fault}.") from None


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, whole or not at all, the same bytes for the same table."""
    with whole_file(path) as stream:
        pq.write_table(table, stream, compression="zstd")


def extra_of(record: Mapping[str, Json]) -> str:
    """Return a JSON object as the canonical text kept in the columns `attributes` and `extra`."""
    return canonical(record).decode()
