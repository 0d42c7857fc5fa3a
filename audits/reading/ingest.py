"""Ingest: read what the user names, as it is, and seal it as one snapshot.

Hugging Face `datasets` reads, streaming, so that nothing is cached: Parquet with embedded
pictures, WebDataset tars, a folder with `metadata.csv|jsonl`, a JSONL, CSV or Parquet manifest of
local paths, or a hub id. Parquet that holds the bytes is registered where it lies; pictures from
anywhere else are written once into Parquet shards. Where keys are to be made, every picture is
written, encrypted under its own key, and the source stays as it was.

Does not see: whether a picture can be decoded (the engine finds out) or a claim is true. A sample
without a readable picture is a row whose picture has no bytes; `ingest_fault` in its extra columns
says why.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from audits.reading.columns import ID_LENGTH, check_mapping, columns_for, names_of, row_of
from audits.reading.shards import ShardWriter
from audits.reading.sources import ALLOWED, Found, Piece, pieces_of, samples_of
from governance.canon import printable, sha256
from governance.errors import UsageError
from governance.sealing.sealed import NewKeys
from governance.snapshot import MANIFEST, Snapshot, seal

FAULT = "ingest_fault"  # a column of ours among the extra ones: why a sample has no picture
KEPT_ROWS = 1000  # turned into Arrow at once
OWN_ID = "own_id"
ROWS = MANIFEST.append(pa.field(OWN_ID, pa.string()))


def _silent(_: int) -> None:
    """Take no notice of progress."""


def _nothing(_: Mapping[str, str | None]) -> bool:
    """Leave no sample out."""
    return False


def ingest(
    sources: Sequence[str],
    *,
    snapshots: Path,
    mapping: Mapping[str, str] = MappingProxyType({}),
    progress: Callable[[int], object] = _silent,
    keys: NewKeys | None = None,
    leave_out: Callable[[Mapping[str, str | None]], bool] = _nothing,
) -> Snapshot:
    """Read sources into one sealed snapshot.

    Args:
        sources: folders, files or hub ids.
        snapshots: the folder of snapshots; `.incoming` below it is where a new one grows.
        mapping: the source's column names to our words, where the usual names do not fit.
        progress: called with the number of samples read since the last call.
        keys: makes the keys of an encrypted snapshot; None keeps pictures as they are.
        leave_out: told the text columns of each sample, its digest and its source; what it says
            yes to was withdrawn, is not sealed, and its bytes are written nowhere.

    Raises:
        UsageError: a source is missing, empty, not readable, or leaves its own folder; it has
            columns and none of captions; a mapped column is not there.
        Refused: keys are to be made, and the same samples lie here in plain.
        Tampered: this very snapshot exists and was altered.
    """
    check_mapping(mapping)
    if not sources or len(set(sources)) != len(sources):
        raise UsageError("Name each source once, and at least one. " + ALLOWED)
    incoming = snapshots / ".incoming"
    if incoming.exists():
        shutil.rmtree(incoming)  # a killed run left it; nothing there was sealed
    tables, columns = [], set[str]()
    with ShardWriter(incoming, keys=keys) as shards, tempfile.TemporaryDirectory() as cache:
        for source, name in zip(sources, _names(sources), strict=True):
            pieces = pieces_of(source, mapping=mapping, cache=cache)
            intake = _Intake(name, mapping, progress, leave_out, in_place=keys is None)
            for piece in pieces:
                intake.take(piece, shards)
            tables.append(intake.table())
            columns |= intake.columns.keys()
    if absent := sorted(set(mapping) - columns):
        raise UsageError(
            f"No source has the mapped column {names_of(absent)}; found were "
            f"{names_of(sorted(columns))}."
        )
    return seal(
        snapshots,
        rows=_identified(tables),
        shards=shards.shards,
        sources=sources,
        appearing=keys.kept if keys else nullcontext,
    )


class _Intake:
    """The rows of one source, kept as Arrow a thousand at a time."""

    def __init__(
        self,
        name: str,
        mapping: Mapping[str, str],
        progress: Callable[[int], object],
        leave_out: Callable[[Mapping[str, str | None]], bool],
        *,
        in_place: bool,
    ) -> None:
        self.columns: dict[str, None] = {}  # in the order they were first seen
        self._name, self._mapping, self._progress = name, mapping, progress
        self._leave_out, self._in_place = leave_out, in_place
        self._left_out = 0
        self._rows: list[dict[str, object]] = []
        self._tables: list[pa.Table] = []

    def take(self, piece: Piece, shards: ShardWriter) -> None:
        """Take all samples of a piece, writing the bytes of those that do not stay in place."""
        column = piece.column if self._in_place else None
        shard = shards.register(piece.path, column) if column else 0
        self.columns.update({piece.column: None} if piece.column else {})
        for number, found in enumerate(samples_of(piece)):
            self.columns.update(dict.fromkeys(found.record))
            said = self._said(found)
            if self._leave_out(said):
                self._left_out += 1
                continue
            at = (shard, number) if column else shards.add(found.image)
            self._rows.append(self._row(found, said, at))
            if len(self._rows) == KEPT_ROWS:
                self._keep()

    def table(self) -> pa.Table:
        """Return all rows. Raises UsageError when there are none, or no column of captions."""
        self._keep()
        rows = pa.concat_tables(self._tables)
        if rows.num_rows == 0 and not self._left_out:
            raise UsageError(f"{self._name} holds no sample. {ALLOWED}")
        return rows

    def _said(self, found: Found) -> dict[str, str | None]:
        """Return what is said of a sample, and which image and source it is."""
        record = {**found.record, FAULT: found.fault} if found.fault else found.record
        row = row_of(record, self._mapping)
        return {**row, "sha256": sha256(found.image), "source": self._name}

    def _row(
        self, found: Found, said: Mapping[str, str | None], at: tuple[int, int]
    ) -> dict[str, object]:
        return {
            **said,
            OWN_ID: said["id"],
            "id": printable(found.place).strip()[:ID_LENGTH],
            "shard": at[0],
            "row": at[1],
            "size_bytes": len(found.image),
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
