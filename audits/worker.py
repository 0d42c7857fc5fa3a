"""What happens in a worker process: one part is decoded, measured by every audit, and written.

Does not see: other parts, the ledger, or whether its part is recorded.
"""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa

from audits.audit import LONGEST_PX, Audit, Batch, Columns
from governance.canon import file_sha256
from governance.errors import PramanaError
from governance.images import Picture, Undecodable, decode
from governance.sealing.sealed import DataKeys
from governance.snapshot import OpenShard, Shard, write_table

BATCH_ROWS = 32  # pictures in memory at once: 32 of 320 x 320 pixels are 10 MB
ENGINE = pa.schema(
    [
        ("id", pa.string()),
        ("sha256", pa.string()),
        ("decoded", pa.bool_()),
        ("decode_error", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("frames", pa.int32()),
        ("trailing_bytes", pa.int64()),
        ("pixels_sha256", pa.string()),
    ]
)
SUSPECTED = "suspected"
KEPT = ("id", "sha256", SUSPECTED, "suspected_by")  # of a suspected sample: which one, which rule
OF_PICTURE = ENGINE.names[4:]  # facts that are fields of a decoded picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One unit of work: some samples of one shard, in row order, and no keys but theirs."""

    name: str
    index: int
    path: Path
    shard: Shard
    rows: pa.Table
    keys: DataKeys | None = None


def begin() -> None:
    """Prepare a worker: an interrupt is its parent's business, and it ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    closed, keep = multiprocessing.Pipe(duplex=False)
    watch = threading.Thread(target=_end_with_parent, args=(closed,), daemon=True)
    watch.start()
    atexit.register(_stop_watching, watch, keep)  # else DuckDB reports leaks of a running thread


def measure_part(
    part: Part, audits: Sequence[Audit], *, folder: Path, schema: pa.Schema
) -> tuple[str, str, int]:
    """Measure a part and write it; return its name, its digest and its number of samples.

    Raises:
        Tampered: the shard, or a picture in it, has other bytes than were sealed.
        EvidenceMissing: the shard is gone, or it is encrypted and a key is not there.
        PramanaError: an audit broke its promise.
    """
    rows = part.rows
    digests = rows["sha256"].to_pylist()
    shard = _open_shard(part.path, part.shard, part.index)
    images = shard.images(rows["row"].to_pylist(), digests, part.keys)
    tables = []
    for start in range(0, rows.num_rows, BATCH_ROWS):
        samples = rows.slice(start, BATCH_ROWS)
        tables.append(_measured(samples, [next(images) for _ in range(samples.num_rows)], audits))
    table = pa.concat_tables(tables).select(schema.names).cast(schema).combine_chunks()
    path = folder / part.name
    write_table(path, table)
    return part.name, file_sha256(path), table.num_rows


def held(audit: str, promise: pa.Schema, columns: Columns, *, count: int) -> list[pa.Array]:
    """Return columns as Arrow, once they are what an audit promised.

    Raises:
        PramanaError: one is missing, unpromised, of another length or type, or holds NaN. The
            message names the audit and the column, never a value.
    """
    if odd := sorted(set(columns) ^ set(promise.names)):
        raise PramanaError(f"Audit {audit} gives other columns than it promised: {odd}.")
    arrays = []
    for field in promise:
        values = columns[field.name]
        if len(values) != count:
            raise PramanaError(
                f"Audit {audit} gave {len(values)} values of {field.name} for {count} samples."
            )
        try:
            array = pa.array(values, field.type)
        except (pa.ArrowException, OverflowError):
            raise PramanaError(
                f"Audit {audit} gave values of {field.name} that are not {field.type}."
            ) from None
        if has_nan(array):
            raise PramanaError(f"Audit {audit} gave NaN in {field.name}; give None instead.")
        arrays.append(array)
    return arrays


def has_nan(array: pa.Array) -> bool:
    """Say whether a NaN stands anywhere in an array, in lists too."""
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        array = array.flatten()
    floating = pa.types.is_floating(array.type)
    return floating and bool(np.isnan(array.drop_null().to_numpy(zero_copy_only=False)).any())


def _measured(samples: pa.Table, images: Sequence[bytes], audits: Sequence[Audit]) -> pa.Table:
    read = [_decoded(data) for data in images]
    pictures = tuple(picture for picture, _ in read)
    facts: Columns = {
        "id": samples["id"].to_pylist(),
        "sha256": samples["sha256"].to_pylist(),
        "decoded": [picture is not None for picture in pictures],
        "decode_error": [fault for _, fault in read],
        **{n: [None if p is None else getattr(p, n) for p in pictures] for n in OF_PICTURE},
    }
    names, arrays = list(ENGINE.names), held("engine", ENGINE, facts, count=samples.num_rows)
    batch, places = Batch(samples, pictures, tuple(images)), pa.array(range(samples.num_rows))
    for audit in sorted(audits, key=lambda audit: SUSPECTED not in audit.columns.names):
        columns = audit.measure(batch) if batch.images else {n: [] for n in audit.columns.names}
        given = held(audit.name, audit.columns, columns, count=len(batch.images))
        names += audit.columns.names
        arrays += [array.take(places) for array in given]
        if SUSPECTED in audit.columns.names:
            batch, places = _unsuspected(batch, columns[SUSPECTED])
    return _without_suspected(pa.table(arrays, names))


def _unsuspected(batch: Batch, suspected: Sequence[object]) -> tuple[Batch, pa.Array]:
    """Return a batch without what is suspected, which no other audit may process (CS-01).

    And, for each sample of the batch given, its place in the one returned; null where it has none.
    """
    kept = [place for place, out in enumerate(suspected) if not out]
    places = {place: at for at, place in enumerate(kept)}
    left = Batch(
        batch.samples.take(pa.array(kept, pa.int64())),
        tuple(batch.pictures[place] for place in kept),
        tuple(batch.images[place] for place in kept),
    )
    return left, pa.array([places.get(place) for place in range(len(suspected))], pa.int64())


def _without_suspected(table: pa.Table) -> pa.Table:
    """Return the measures with nothing about a suspected sample but which one it is (CS-02)."""
    suspected = table[SUSPECTED].to_pylist() if SUSPECTED in table.column_names else []
    if not any(suspected):
        return table
    for place, field in enumerate(table.schema):
        if field.name not in KEPT:
            values = zip(suspected, table[field.name].to_pylist(), strict=True)
            kept = pa.array([None if out else value for out, value in values], field.type)
            table = table.set_column(place, field, kept)
    return table


def _decoded(data: bytes) -> tuple[Picture | None, str | None]:
    try:
        return decode(data, longest_px=LONGEST_PX), None
    except Undecodable as fault:
        return None, str(fault)


@lru_cache(maxsize=1)
def _open_shard(path: Path, shard: Shard, index: int) -> OpenShard:
    """Open a shard; its digest is taken once a worker, not once a part."""
    return OpenShard(path, shard, index)


def _end_with_parent(closed: Connection) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and parent.sentinel in connection.wait([parent.sentinel, closed]):
        os._exit(1)


def _stop_watching(watch: threading.Thread, keep: Connection) -> None:
    keep.close()
    watch.join()
