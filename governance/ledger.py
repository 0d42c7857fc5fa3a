"""The ledger: an append-only RFC 6962 log of every act, in SQLite (WAL, synchronous=FULL).

An act and its entry are one transaction, and each transaction stores a signed checkpoint of the
tree it made. Entries carry kinds, ids and digests, never captions or values.

Does not see: a rewrite of the whole file by whoever holds the log key; that takes a checkpoint
kept elsewhere, and a consistency proof against it.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner, SSlibKey
from sqlalchemy import event, exc, pool

from governance import merkle
from governance.canon import Json, canonical
from governance.errors import PramanaError, Refused, Tampered
from governance.note import Checkpoint, open_note, sign_note
from governance.records import json_object

ORIGIN = "pramana.local/ledger"
BUSY_S = 30.0  # how long an append waits for another process's append

_tables = sa.MetaData()
_entries = sa.Table(
    "entries", _tables,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
)  # fmt: skip
_heads = sa.Table(
    "heads", _tables,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("peaks", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)  # fmt: skip
_spent = sa.Table(
    "spent", _tables,
    sa.Column("clearance", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, unique=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act: its place in the log, when (UTC, ISO 8601), what kind, and ids and digests."""

    number: int
    at: str
    kind: str
    body: Mapping[str, Json]

    def leaf(self) -> bytes:
        """Return the canonical bytes that the tree hashes."""
        return canonical(
            {"number": self.number, "at": self.at, "kind": self.kind, "body": self.body}
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger file. Appending needs the log's signer; reading needs the log's public keys."""

    path: Path
    keys: tuple[SSlibKey, ...]
    signer: Callable[[], CryptoSigner]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def append(self, kind: str, body: Mapping[str, Json]) -> Entry:
        """Append one act, durably. Raises PramanaError when the ledger cannot be written."""
        with self._writing() as connection:
            return self._appended(connection, kind, body)

    def spend(self, clearance: str, run: str) -> Entry:
        """Use a clearance for a run, and say so, in one transaction.

        Raises:
            Refused: the clearance was used before, or the run has another one.
        """
        try:
            with self._writing() as connection:
                connection.execute(_spent.insert().values(clearance=clearance, run=run))
                body = {"clearance": clearance, "run": run}
                return self._appended(connection, "clearance.spent", body)
        except exc.IntegrityError:
            raise Refused(
                f"clearance (5): {clearance[:12]} was used before; it allows one run. "
                "Ask the gate for a new one: `pramana train`."
            ) from None

    def spent(self) -> dict[str, str]:
        """Return which clearance was used by which run."""
        with self._reading() as connection:
            return {row.clearance: row.run for row in connection.execute(_spent.select())}

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return the acts in order, all or of one kind. `verify` says whether they are genuine."""
        with self._reading() as connection:
            rows = connection.execute(_entries.select().order_by(_entries.c.number)).all()
        found = [_entry(row.leaf) for row in rows]
        return [entry for entry in found if kind in {None, entry.kind}]

    def leaves(self) -> list[bytes]:
        """Return the bytes of every entry, in order."""
        with self._reading() as connection:
            rows = connection.execute(_entries.select().order_by(_entries.c.number))
            return [row.leaf for row in rows]

    def note(self) -> str:
        """Return the latest signed checkpoint; '' before the first act."""
        with self._reading() as connection:
            query = sa.select(_heads.c.note).order_by(_heads.c.size.desc()).limit(1)
            return str(connection.execute(query).scalar() or "")

    def verify(self) -> Checkpoint:
        """Recompute the whole tree and hold it to the signed checkpoints.

        Raises:
            Tampered: an entry was edited, removed, added or moved, or a checkpoint was.
        """
        with self._reading() as connection:
            leaves = connection.execute(_entries.select().order_by(_entries.c.number)).all()
            heads = connection.execute(_heads.select().order_by(_heads.c.size)).all()
            spent = {(r.clearance, r.run) for r in connection.execute(_spent.select())}
        if len(leaves) != len(heads):
            raise Tampered(
                f"The ledger has {len(leaves)} entries and {len(heads)} checkpoints; every act "
                "has one. Restore the ledger from a copy."
            )
        frontier, said = merkle.Frontier(), set()
        checkpoint = Checkpoint(origin=ORIGIN, size=0, root=merkle.EMPTY_ROOT)
        for number, (row, head) in enumerate(zip(leaves, heads, strict=True)):
            frontier = frontier.appended(row.leaf if isinstance(row.leaf, bytes) else b"")
            checkpoint = open_note(head.note, self.keys)
            if (row.number, checkpoint.size, checkpoint.root) != (
                number, frontier.size, frontier.root(),
            ):  # fmt: skip
                raise Tampered(
                    f"Ledger entry {number} is not the one that was signed: it was edited, moved "
                    "or removed. Restore the ledger from a copy."
                )
            entry = _entry(row.leaf)
            if entry.kind == "clearance.spent":
                said.add((entry.body["clearance"], entry.body["run"]))
        if said != spent:
            raise Tampered("The table of used clearances differs from the entries; restore it.")
        return checkpoint

    def _appended(self, connection: sa.Connection, kind: str, body: Mapping[str, Json]) -> Entry:
        head = connection.execute(_heads.select().order_by(_heads.c.size.desc()).limit(1)).first()
        frontier = _frontier(head.size, head.peaks) if head else merkle.Frontier()
        at = self.now().astimezone(UTC).isoformat(timespec="milliseconds")
        entry = Entry(number=frontier.size, at=at, kind=kind, body=body)
        frontier = frontier.appended(entry.leaf())
        checkpoint = Checkpoint(origin=ORIGIN, size=frontier.size, root=frontier.root())
        connection.execute(_entries.insert().values(number=entry.number, leaf=entry.leaf()))
        connection.execute(
            _heads.insert().values(
                size=frontier.size,
                peaks=b"".join(frontier.peaks),
                note=sign_note(checkpoint, self.signer()),
            )
        )
        return entry

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _transaction(self.path, "BEGIN IMMEDIATE") as connection:  # one writer at a time
            _make_tables(connection)
            yield connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        if not self.path.exists():
            with self._writing():
                pass  # a new ledger is an empty one
        with _transaction(self.path, "BEGIN") as connection:
            yield connection


@contextlib.contextmanager
def _transaction(path: Path, begin: str) -> Iterator[sa.Connection]:
    """Open the file for one transaction. Raises PramanaError, Tampered, IntegrityError."""
    engine = sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_S}, poolclass=pool.NullPool
    )

    @event.listens_for(engine, "connect")
    def _settle(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    try:
        with engine.begin() as connection:
            yield connection
    except exc.OperationalError as fault:
        raise PramanaError(f"The ledger could not be read or written: {fault.orig}.") from None
    except exc.IntegrityError:
        raise
    except exc.DatabaseError as fault:
        raise Tampered(f"The ledger file is damaged: {fault.orig}. Restore a copy.") from None


def _make_tables(connection: sa.Connection) -> None:
    if sa.inspect(connection).has_table("entries"):
        return
    _tables.create_all(connection)
    for table in _tables.tables:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )


def _entry(leaf: bytes) -> Entry:
    record = json_object(leaf, "a ledger entry")
    try:
        return Entry(**record)
    except TypeError:
        raise Tampered("A ledger entry lacks or adds a field; restore the ledger.") from None


def _frontier(size: int, peaks: bytes) -> merkle.Frontier:
    step = merkle.HASH_BYTES
    return merkle.Frontier(size, tuple(peaks[i : i + step] for i in range(0, len(peaks), step)))
