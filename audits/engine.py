"""The engine: every picture is decoded once, every audit sees it, one Parquet row a sample.

Work is cut into parts of at most 512 samples of one shard. A part is measured in a worker process,
written whole or not at all, and recorded; the next run skips what is recorded and still there. The
same snapshot and audits give the same bytes, whatever the number of workers and whoever was killed.

Does not see: what an audit measures, or what anybody concludes from it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, is_dataclass
from multiprocessing import get_context
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audits.audit import LONGEST_PX, Audit, Conclusion, Pictures, Pixels
from audits.worker import ENGINE, SUSPECTED, Part, begin, has_nan, measure_part
from governance import images
from governance.canon import Json, code_digest, digest, file_sha256, sha256
from governance.errors import EvidenceMissing, PramanaError, Tampered
from governance.snapshot import MANIFEST, TEXT_COLUMNS, OpenShard, Snapshot, extra_of

PART_ROWS = 512
KEYS = ("id", "sha256")  # the manifest has them too; measures are joined on them
OBJECTS = ("attributes", "extra")  # columns of the manifest that hold a JSON object


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run of the engine left: the digest of every part, and how many samples it measured."""

    parts: Mapping[str, str]
    samples: int
    measured: int


def measure(
    snapshot: Snapshot,
    audits: Sequence[Audit],
    *,
    folder: Path,
    recorded: Mapping[str, str],
    record: Callable[[str, str], None],
    workers: int = 2,
    progress: Callable[[int], object] = lambda _: None,
) -> Measured:
    """Measure every sample that has no recorded measure.

    Args:
        snapshot: the sealed samples.
        audits: what to measure; the parts hold their columns in this order.
        folder: where the parts lie; one folder for one snapshot, one set of audits, one code.
        recorded: digests of the parts that are complete, by name.
        record: called here, in this process, with name and digest when a part is complete.
        workers: how many processes measure.
        progress: called with the number of samples done since the last call.

    Raises:
        Tampered: a recorded part, a shard or the manifest has other bytes than were recorded.
        PramanaError: an audit broke its promise, or a worker died.
    """
    schema = promised(audits)
    plan = tuple(parts_of(snapshot, snapshot.manifest()))
    _check_names(recorded, plan)
    for name in recorded:
        _verified(folder, name, recorded)
    for leftover in folder.glob(".*.part"):
        leftover.unlink()  # a killed worker's; parts appear whole
    due = [part for part in plan if part.name not in recorded]
    measured = sum(part.rows.num_rows for part in due)
    progress(snapshot.samples - measured)
    parts = dict(recorded)
    for name, found, count in _completed(due, audits, schema, folder=folder, workers=workers):
        parts[name] = found
        record(name, found)
        progress(count)
    return Measured(parts=parts, samples=snapshot.samples, measured=measured)


def parts_of(snapshot: Snapshot, manifest: pa.Table) -> Iterator[Part]:
    """Yield the parts of a snapshot: at most 512 samples of one shard each, in row order."""
    rows = manifest.sort_by([("shard", "ascending"), ("row", "ascending")])
    shards = rows["shard"].to_numpy()
    for index, shard in enumerate(snapshot.shards):
        start, end = np.searchsorted(shards, [index, index + 1])
        for at in range(start, end, PART_ROWS):
            part = rows.take(pa.array(range(at, min(end, at + PART_ROWS))))
            first = part["row"][0].as_py()
            yield Part(
                name=f"part-{index:05}-{first:09}.parquet",
                index=index,
                path=snapshot.shard_path(index),
                shard=shard,
                rows=part,
                keys=snapshot.keys and snapshot.keys.only(part["sha256"].to_pylist()),
            )


def promised(audits: Sequence[Audit]) -> pa.Schema:
    """Return the schema of a part: what the engine and each audit promise.

    Raises:
        PramanaError: two of them promise one name, or a name the manifest has.
    """
    found = list(ENGINE)
    taken = {*MANIFEST.names, *ENGINE.names}
    for audit in audits:
        for column in (*audit.columns, *audit.relations):
            if column.name in taken:
                raise PramanaError(
                    f"Audit {audit.name} promises a column {column.name}, which exists already; "
                    "rename it."
                )
            taken.add(column.name)
        found += list(audit.columns)
    return pa.schema(found)


def open_measures(folder: Path, recorded: Mapping[str, str], snapshot: Snapshot) -> pa.Table:
    """Return all measures in the order of the manifest, after checking every part.

    Raises:
        EvidenceMissing: samples of the snapshot have no row.
        Tampered: a part has other bytes than were recorded, or rows of no sample.
    """
    manifest = snapshot.manifest()
    if not recorded:
        raise EvidenceMissing(f"None of the {snapshot.samples} samples was measured; audit first.")
    buffers = (pa.BufferReader(_verified(folder, name, recorded)) for name in sorted(recorded))
    measures = pa.concat_tables([pq.read_table(buffer) for buffer in buffers])
    places = _places(manifest["id"], measures["id"])
    if places.null_count:
        raise EvidenceMissing(
            f"{places.null_count} of {snapshot.samples} samples have no row of measures; audit "
            "again."
        )
    table = measures.take(places)
    if measures.num_rows != snapshot.samples or not table["sha256"].equals(manifest["sha256"]):
        raise Tampered("The measures hold rows of other samples than the snapshot has.")
    return table


def measures_digest(recorded: Mapping[str, str]) -> str:
    """Return one digest over the digests of all parts."""
    return digest(dict(recorded))


def audits_digest(audits: Sequence[Audit]) -> str:
    """Return the digest of which audits ran, in order, with which settings."""
    return digest([_settings(audit) for audit in audits])


def audit_code_digest(audits: Sequence[Audit]) -> str:
    """Return the digest of the code that measured: ours, the decoder's version, all weights.

    An audit that runs weights says so in an attribute `weights_sha256`.
    """
    import PIL  # noqa: PLC0415  only its version

    weights = {audit.name: getattr(audit, "weights_sha256", None) for audit in audits}
    return digest(
        {
            "audits": code_digest(Path(__file__).parent),
            "decoder": file_sha256(Path(images.__file__)),
            "libraries": {m.__name__: m.__version__ for m in (PIL, np, pa)},
            "weights": weights,
        }
    )


def conclude(
    snapshot: Snapshot, audits: Sequence[Audit], measures: pa.Table
) -> list[tuple[str, Conclusion]]:
    """Ask each audit, in order, what it says of the whole set.

    Args:
        snapshot: the samples.
        audits: those that measured.
        measures: what `open_measures` returned.

    Raises:
        EvidenceMissing: a promised column is not among the measures.
        PramanaError: an audit's relations are not what it promised.
        Tampered: a picture an audit asked for has other bytes than were sealed.
    """
    manifest = snapshot.manifest()
    pictures = pictures_of(snapshot, manifest)
    absent = sorted(set(promised(audits).names) - set(measures.column_names))
    if absent:
        raise EvidenceMissing(f"The measures lack {', '.join(absent)}; audit again.")
    connection = duckdb.connect()
    concluded: list[tuple[str, Conclusion]] = []
    try:
        for audit in audits:
            connection.register("measures", joined(manifest, measures, concluded))
            conclusion = audit.conclude(connection, pictures)
            _check_relations(audit, conclusion, manifest)
            concluded.append((audit.name, conclusion))
    finally:
        connection.close()
    return concluded


def joined(
    manifest: pa.Table, measures: pa.Table, conclusions: Sequence[tuple[str, Conclusion]] = ()
) -> pa.Table:
    """Return one row a sample: manifest, measures, and what conclusions say of single samples.

    Of a suspected sample nothing that its source says is there either (CS-02).
    """
    table = _unsaid(manifest, measures)
    for name in measures.column_names:
        if name not in KEYS:
            table = table.append_column(name, measures[name])
    for _, conclusion in conclusions:
        if conclusion.columns is not None:
            said = conclusion.columns
            places = _places(table["id"], said["id"])
            for name in said.column_names:
                table = (
                    table if name == "id" else table.append_column(name, said[name].take(places))
                )
    return table


def _unsaid(manifest: pa.Table, measures: pa.Table) -> pa.Table:
    """Return the manifest without the texts of suspected samples."""
    told = SUSPECTED in measures.column_names
    kept = [not out for out in measures[SUSPECTED].to_pylist()] if told else []
    if all(kept):
        return manifest
    for name in (*TEXT_COLUMNS, *OBJECTS):
        blank = pa.scalar(extra_of({}) if name in OBJECTS else None, pa.string())
        said = pc.call_function("if_else", [pa.array(kept), manifest[name], blank])
        manifest = manifest.set_column(manifest.schema.get_field_index(name), name, said)
    return manifest


def pictures_of(snapshot: Snapshot, manifest: pa.Table) -> Pictures:
    """Return a function from a sample id to its decoded picture, (H, W, 3), longest side 320 px."""
    places = dict(
        zip(
            manifest["id"].to_pylist(),
            zip(*(manifest[name].to_pylist() for name in ("shard", "row", "sha256")), strict=True),
            strict=True,
        )
    )

    opened: dict[int, OpenShard] = {}

    def picture(sample_id: str) -> Pixels:
        if sample_id not in places:
            raise PramanaError("An audit asked for the picture of a sample that does not exist.")
        index, row, expected = places[sample_id]
        if index not in opened:
            opened[index] = snapshot.open_shard(index)
        (data,) = opened[index].images([row], [expected], snapshot.keys)
        return np.asarray(images.decode(data, longest_px=LONGEST_PX).image)

    return picture


def _completed(
    due: Sequence[Part], audits: Sequence[Audit], schema: pa.Schema, *, folder: Path, workers: int
) -> Iterator[tuple[str, str, int]]:
    """Yield parts as they are complete, with few of them waiting at any time."""
    if not due:
        return
    running: set[Future[tuple[str, str, int]]] = set()
    count = max(1, min(workers, len(due)))
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=begin)
    try:
        for part in due:
            running.add(
                pool.submit(measure_part, part, tuple(audits), folder=folder, schema=schema)
            )
            if len(running) == 2 * count:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise PramanaError(
            "A worker died while measuring, killed or out of memory; what was complete is kept. "
            "Run the same command again, with fewer workers if it repeats."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _verified(folder: Path, name: str, recorded: Mapping[str, str]) -> bytes:
    """Return the bytes of a recorded part. Raises Tampered when they are not what was recorded."""
    expected, path = recorded[name], folder / name
    data = path.read_bytes() if path.is_file() else b""
    found = sha256(data)
    if found != expected:
        state = f"has sha256 {found[:12]}" if data else "is gone"
        raise Tampered(
            f"Measures {name} were recorded with sha256 {expected[:12]}, and the file {state}. "
            "Restore it, or audit into a new workspace."
        )
    return data


def _check_names(recorded: Mapping[str, str], plan: Sequence[Part]) -> None:
    if stray := sorted(set(recorded) - {part.name for part in plan}):
        raise Tampered(
            f"Measures {stray[0][:40]!r} were recorded, which this snapshot cannot have."
        )


def _places(wanted: pa.ChunkedArray, ids: pa.ChunkedArray) -> pa.Array:
    """Return where each wanted id stands among ids, null where it does not."""
    options = pc.SetLookupOptions(value_set=ids.combine_chunks())
    return pc.call_function("index_in", [wanted.combine_chunks()], options)


def _settings(audit: Audit) -> Json:
    """Return which audit this is and its settings; sets are sorted, for their order is chance."""
    if not is_dataclass(audit):
        raise PramanaError(f"Audit {audit.name} is no dataclass, so its settings cannot be told.")
    told = {field.name: getattr(audit, field.name) for field in fields(audit) if field.repr}
    return {
        "audit": f"{type(audit).__module__}.{type(audit).__qualname__}",
        "settings": {
            name: repr(sorted(value)) if isinstance(value, set | frozenset) else repr(value)
            for name, value in told.items()
        },
    }


def _check_relations(audit: Audit, conclusion: Conclusion, manifest: pa.Table) -> None:
    """Hold what an audit says of single samples to what it promised."""
    said = conclusion.columns
    if said is None and not audit.relations.names:
        return
    promise = pa.schema([pa.field("id", pa.string()), *audit.relations])
    if said is None or not said.schema.equals(promise):
        raise PramanaError(f"Audit {audit.name} gives other relations than it promised.")
    unknown = _places(said["id"], manifest["id"]).null_count
    if unknown or len(said["id"].unique()) != said.num_rows:
        raise PramanaError(f"Audit {audit.name} relates a sample twice, or one that is not there.")
    if any(has_nan(column.combine_chunks()) for column in said.columns):
        raise PramanaError(f"Audit {audit.name} gives NaN in its relations; give None instead.")
