"""Ingest: read what the user names, as it is, and seal it as one snapshot.

Hugging Face `datasets` reads, streaming, so that nothing is cached: Parquet with embedded
pictures, WebDataset tars, a folder with `metadata.csv|jsonl`, a JSONL, CSV or Parquet manifest of
local paths, or a hub id. Parquet that holds the bytes is registered where it lies; pictures from
anywhere else are written once into Parquet shards.

Does not see: whether a picture can be decoded (the engine finds out) or a claim is true. A sample
without a readable picture is a row whose picture has no bytes; `ingest_fault` in its extra columns
says why.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from audits.reading.columns import ID_LENGTH, check_mapping, columns_for, names_of, row_of
from audits.reading.shards import ShardWriter
from audits.reading.sources import ALLOWED, Found, Piece, pieces_of, samples_of
from governance.canon import printable, sha256
from governance.errors import UsageError
from governance.snapshot import MANIFEST, Snapshot, seal

FAULT = "ingest_fault"  # a column of ours among the extra ones: why a sample has no picture
KEPT_ROWS = 1000  # turned into Arrow at once
OWN_ID = "own_id"
ROWS = MANIFEST.append(pa.field(OWN_ID, pa.string()))


def _silent(_: int) -> None:
    """Take no notice of progress."""


def ingest(
    sources: Sequence[str],
    *,
    snapshots: Path,
    mapping: Mapping[str, str] = MappingProxyType({}),
    progress: Callable[[int], object] = _silent,
) -> Snapshot:
    """Read sources into one sealed snapshot.

    Args:
        sources: folders, files or hub ids.
        snapshots: the folder of snapshots; `.incoming` below it is where a new one grows.
        mapping: the source's column names to our words, where the usual names do not fit.
        progress: called with the number of samples read since the last call.

    Raises:
        UsageError: a source is missing, empty, not readable, or leaves its own folder; it has
            columns and none of captions; a mapped column is not there.
        Tampered: this very snapshot exists and was altered.
    """
    check_mapping(mapping)
    if not sources or len(set(sources)) != len(sources):
        raise UsageError("Name each source once, and at least one. " + ALLOWED)
    incoming = snapshots / ".incoming"
    if incoming.exists():
        shutil.rmtree(incoming)  # a killed run left it; nothing there was sealed
    tables, columns = [], set[str]()
    with ShardWriter(incoming) as shards, tempfile.TemporaryDirectory() as cache:
        for source, name in zip(sources, _names(sources), strict=True):
            pieces = pieces_of(source, mapping=mapping, cache=cache)
            intake = _Intake(name, mapping, progress)
            for piece in pieces:
                intake.take(piece, shards)
            tables.append(intake.table())
            columns |= intake.columns.keys()
    if absent := sorted(set(mapping) - columns):
        raise UsageError(
            f"No source has the mapped column {names_of(absent)}; found were "
            f"{names_of(sorted(columns))}."
        )
    return seal(snapshots, rows=_identified(tables), shards=shards.shards, sources=sources)


class _Intake:
    """The rows of one source, kept as Arrow a thousand at a time."""

    def __init__(
        self, name: str, mapping: Mapping[str, str], progress: Callable[[int], object]
    ) -> None:
        self.columns: dict[str, None] = {}  # in the order they were first seen
        self._name, self._mapping, self._progress = name, mapping, progress
        self._rows: list[dict[str, object]] = []
        self._tables: list[pa.Table] = []

    def take(self, piece: Piece, shards: ShardWriter) -> None:
        """Take all samples of a piece, writing the bytes of those that do not stay in place."""
        shard = shards.register(piece.path, piece.column) if piece.column else 0
        self.columns.update({piece.column: None} if piece.column else {})
        for number, found in enumerate(samples_of(piece)):
            at = (shard, number) if piece.column else shards.add(found.image)
            self.columns.update(dict.fromkeys(found.record))
            self._rows.append(self._row(found, at))
            if len(self._rows) == KEPT_ROWS:
                self._keep()

    def table(self) -> pa.Table:
        """Return all rows. Raises UsageError when there are none, or no column of captions."""
        self._keep()
        rows = pa.concat_tables(self._tables)
        if rows.num_rows == 0:
            raise UsageError(f"{self._name} holds no sample. {ALLOWED}")
        return rows

    def _row(self, found: Found, at: tuple[int, int]) -> dict[str, object]:
        record = {**found.record, FAULT: found.fault} if found.fault else found.record
        row = row_of(record, self._mapping)
        return {
            **row,
            OWN_ID: row["id"],
            "id": printable(found.place).strip()[:ID_LENGTH],
            "shard": at[0],
            "row": at[1],
            "sha256": sha256(found.image),
            "size_bytes": len(found.image),
            "source": self._name,
        }

    def _keep(self) -> None:
        named = columns_for("caption", tuple(self.columns), self._mapping)
        if self.columns and not named:  # bare pictures are measured; a policy asks for captions
            raise UsageError(
                f"{self._name} has no caption column: found {names_of(tuple(self.columns))}. Name "
                "one caption, text or description, or map yours to caption; a folder says it in "
                "metadata.csv or metadata.jsonl."
            )
        self._tables.append(pa.Table.from_pylist(self._rows, schema=ROWS))
        self._progress(len(self._rows))
        self._rows = []


def _names(sources: Sequence[str]) -> list[str]:
    """Return short names for the sources: file names where they differ, else as they were given."""
    short = [Path(source).name or source for source in sources]
    return short if len(set(short)) == len(short) else list(sources)


def _identified(tables: Sequence[pa.Table]) -> pa.Table:
    """Return all rows under ids that differ: the dataset's own, or the place within the source."""
    ids: list[str] = []
    for table in tables:
        own = table[OWN_ID].to_pylist()
        is_own = None not in own and len(set(own)) == len(own)
        ids += own if is_own else table["id"].to_pylist()
    rows = pa.concat_tables(tables)
    stems = [Path(name).stem for name in rows["source"].to_pylist()]
    seen = Counter(ids)
    ids = [f"{s}/{i}" if seen[i] > 1 else i for i, s in zip(ids, stems, strict=True)]
    seen = Counter(ids)
    ids = [f"{i}#{row}" if seen[i] > 1 else i for row, i in enumerate(ids)]
    place = rows.schema.get_field_index("id")
    return rows.set_column(place, "id", pa.array(ids, pa.string())).select(MANIFEST.names)
