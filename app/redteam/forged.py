"""What attackers have in their hands: editors of files, of tables, and of signed documents.

Does not see: whether it does them any good.
"""

import base64
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from securesystemslib.signer import Signer

from governance.canon import Json, canonical, file_sha256
from governance.snapshot import Snapshot
from governance.statements import payload_of, sign
from governance.trail import merkle, tables
from governance.trail.log import Entry
from governance.trail.note import Checkpoint, sign_note
from governance.workspace import Workspace


def flip(path: Path, at: int = -100) -> None:
    """Flip one bit of a file, whatever its mode is."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def edit(path: Path, old: bytes, new: bytes) -> None:
    """Replace the first place where a file says something. Raises ValueError when it does not."""
    data = path.read_bytes()
    if old not in data:
        raise ValueError(f"{path.name} does not say {old!r}")
    path.chmod(0o644)
    path.write_bytes(data.replace(old, new, 1))


def edit_json(path: Path, change: Callable[[dict[str, Json]], None]) -> None:
    """Change a JSON object in a file, and write it as we would."""
    record = json.loads(path.read_bytes())
    change(record)
    path.chmod(0o644)
    path.write_bytes(canonical(record))


def edit_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a Parquet table."""
    table = change(pq.read_table(path, memory_map=False))
    path.chmod(0o644)
    pq.write_table(table, path, compression="zstd")


def edit_shard(snapshot: Snapshot, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the cells of the first shard, and write the snapshot's record to fit."""
    shard, path = snapshot.shards[0], snapshot.shard_path(0)
    cells = change(pq.read_table(path, memory_map=False)[shard.column].to_pylist())
    path.chmod(0o644)
    pq.write_table(pa.table({shard.column: cells}), path)
    written: dict[str, Json] = {"sha256": file_sha256(path), "size_bytes": path.stat().st_size}
    edit_json(
        snapshot.folder / "snapshot.json",
        lambda record: record.update(shards=[{**asdict(shard), **written}]),
    )


def sql(workspace: Workspace, statement: str, *values: object) -> None:
    """Run one statement on the ledger with the triggers out of the way, and put them back."""
    guards = {
        n: s for t in tables.TABLES.sorted_tables for n, s in tables.guards(t, "sqlite").items()
    }
    with closing(_opened(workspace)) as connection:
        for name in guards:
            connection.execute(f"DROP TRIGGER {name}")
        done = connection.execute(statement, values)
        for guard in guards.values():
            connection.execute(guard)
        connection.commit()
        if done.rowcount == 0:
            raise ValueError(f"no row was changed by {statement}")


def raw_sql(workspace: Workspace, statement: str) -> None:
    """Run one statement on the ledger as it stands. Raises sqlite3.Error."""
    with closing(_opened(workspace)) as connection, connection:
        connection.execute(statement)


def rewritten(workspace: Workspace, change: Callable[[Entry], Entry | None]) -> None:
    """Write the whole log anew, by a thief of the log's key: each act as `change` would have it.

    Nothing but the database is touched; what comes out is a ledger that verifies.
    """
    old, ledger = workspace.ledger.entries(), workspace.ledger
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (workspace.state / name).unlink(missing_ok=True)
    for entry in old:
        kept = change(entry)
        if kept is not None and kept.kind == "clearance.spent":
            ledger.spend(str(kept.body["clearance"]), str(kept.body["run"]))
        elif kept is not None:
            ledger.append(kept.kind, kept.body)


def signed_anew(envelope: bytes, signer: Signer, *, keyid: str = "") -> bytes:
    """Return the same payload under another signature, which may claim to be of another key."""
    made = sign(payload_of(envelope), signer)
    if keyid:
        record = json.loads(made)
        record["dsseEnvelope"]["signatures"][0]["keyid"] = keyid
        record["verificationMaterial"]["publicKey"]["hint"] = keyid
        made = canonical(record)
    return made


def said_otherwise(envelope: bytes, change: Mapping[str, Json]) -> bytes:
    """Return a clearance with other terms under its old signature."""
    payload = json.loads(payload_of(envelope))
    payload["predicate"]["pramana"].update(change)
    record = json.loads(envelope)
    record["dsseEnvelope"]["payload"] = base64.b64encode(canonical(payload)).decode()
    return canonical(record)


def forged_note(origin: str, leaves: list[bytes], signer: Signer) -> str:
    """Return a checkpoint over leaves of one's own choice."""
    root = merkle.root(leaves)
    return sign_note(Checkpoint(origin=origin, size=len(leaves), root=root), signer)


def _opened(workspace: Workspace) -> sqlite3.Connection:
    connection = sqlite3.connect(workspace.state / "ledger.db")
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection
