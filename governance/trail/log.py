"""The log inside a ledger's tables: entries, the tree over them, and its signed heads.

Everything here works on an open connection and opens none: `ledger.py` says when a transaction
begins, and what a fault means to a person.

Does not see: who may append; a log that was written anew from its first entry by its own key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from securesystemslib.signer import Signer, SSlibKey

from governance.canon import Json, canonical
from governance.errors import Tampered
from governance.records import SPENT, json_object
from governance.trail import merkle, tables
from governance.trail.note import Checkpoint, open_note, sign_note

PART = 1000  # rows read or written at a time: memory stays flat however long the log is
RESTORE = "Restore the ledger from a copy."

T = TypeVar("T")
Act = tuple[str, Mapping[str, Json]]  # its kind and its body


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

    @classmethod
    def of(cls, leaf: bytes) -> "Entry":
        """Read a leaf. Raises Tampered when it is none."""
        try:
            return cls(**json_object(leaf, "a ledger entry"))
        except TypeError:
            raise Tampered(f"A ledger entry lacks or adds a field. {RESTORE}") from None


def size_of(connection: sa.Connection) -> int:
    """Return how many entries the newest head speaks of."""
    return connection.execute(sa.select(sa.func.max(tables.heads.c.size))).scalar() or 0


def streamed(connection: sa.Connection, table: sa.Table) -> sa.CursorResult[*tuple[Any, ...]]:
    """Return all rows in the order of their key, of which a part is in memory; close it."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    return connection.execute(query, execution_options={"yield_per": PART})


def extended(
    connection: sa.Connection, acts: Sequence[Act], *, origin: str, at: str, signer: Signer
) -> list[Entry]:
    """Append acts under one new head.

    Raises:
        Tampered: the newest head is not of this tree; nothing is signed on top of it.
    """
    newest = sa.select(tables.heads).order_by(tables.heads.c.size.desc()).limit(1)
    head = connection.execute(newest).first()
    size = head.size if head else 0
    frontier = with_nodes(connection, lambda node: merkle.Frontier.at(node, size))
    if head:
        _check_head(head.note, origin, frontier)
    made, rows = [], []
    for kind, body in acts:
        entry = Entry(number=frontier.size, at=at, kind=kind, body=body)
        leaf = entry.leaf()
        completed = frontier.completed(leaf)
        frontier = frontier.grown(completed)
        made.append(entry)
        nodes = b"".join(completed)
        rows.append({"number": entry.number, "kind": kind, "leaf": leaf, "nodes": nodes})
    connection.execute(tables.entries.insert(), rows)
    note = sign_note(_checkpoint(origin, frontier), signer)
    connection.execute(tables.heads.insert().values(size=frontier.size, note=note))
    return made


def with_nodes(connection: sa.Connection, ask: Callable[[merkle.Node], T]) -> T:
    """Answer what needs nodes of the tree: `ask` runs once to say which, then with their hashes.

    So they come in one query, however far away the database is. Raises Tampered when one is gone.
    """
    wanted: list[int] = []

    def told(level: int, index: int) -> bytes:
        wanted.append(_last(level, index))
        return b""

    ask(told)
    column = tables.entries.c
    query = sa.select(column.number, column.nodes).where(column.number.in_(wanted))
    found = {row.number: row.nodes for row in connection.execute(query)}

    def node(level: int, index: int) -> bytes:
        start = level * merkle.HASH_BYTES
        hashed = _bytes(found.get(_last(level, index)))[start : start + merkle.HASH_BYTES]
        if len(hashed) != merkle.HASH_BYTES:
            raise Tampered(f"Ledger entry {_last(level, index)} is gone or was cut. {RESTORE}")
        return hashed

    return ask(node)


def recomputed(connection: sa.Connection, *, origin: str, keys: Sequence[SSlibKey]) -> Checkpoint:
    """Recompute the whole tree, hold every row to it, and return its newest head.

    Raises:
        Tampered: an entry was edited, removed, added or moved, or a head, or the state.
    """
    tables.check_guards(connection)
    frontier, used, newest = merkle.Frontier(), [], None
    with streamed(connection, tables.heads) as heads, streamed(connection, tables.entries) as rows:
        head = next(heads, None)
        for row in rows:
            completed = frontier.completed(_bytes(row.leaf))
            entry = _checked(row, frontier.size, completed)
            if entry.kind == SPENT:
                used.append(entry.body)
            frontier = frontier.grown(completed)
            if head is not None and head.size == frontier.size:
                _check_head(head.note, origin, frontier)
                newest, head = head, next(heads, None)
    if head is not None or frontier.size != (newest.size if newest else 0):
        raise Tampered(
            f"The ledger's {frontier.size} entries and its checkpoints do not match: some were "
            f"removed or added. {RESTORE}"
        )
    _check_state(connection, used)
    if newest is None:
        return _checkpoint(origin, frontier)
    return open_note(newest.note, keys)  # one signature: this head commits to all that was before


def _checked(row: sa.Row[*tuple[Any, ...]], number: int, completed: Sequence[bytes]) -> Entry:
    """Return the entry in a row. Raises Tampered when it is not the one that was signed."""
    entry = Entry.of(row.leaf) if row.nodes == b"".join(completed) else None
    if entry is None or (row.number, entry.number, entry.kind) != (number, number, row.kind):
        raise Tampered(
            f"Ledger entry {number} is not the one that was signed: it was edited, moved or "
            f"removed. {RESTORE}"
        )
    return entry


def _check_head(note: str, origin: str, frontier: merkle.Frontier) -> None:
    """Hold a head to the tree below it. Raises Tampered when it speaks of another."""
    if not str(note).startswith(f"{_checkpoint(origin, frontier).text()}\n"):
        raise Tampered(
            f"The checkpoint of size {frontier.size} is not of these entries, or not of the "
            f"ledger {origin}. {RESTORE}"
        )


def _check_state(connection: sa.Connection, used: Sequence[Mapping[str, Json]]) -> None:
    """Hold the tables that entries speak of to the entries. Raises Tampered."""
    spent = [dict(row) for row in connection.execute(tables.spent.select()).mappings()]
    if sorted(map(canonical, spent)) != sorted(map(canonical, used)):
        raise Tampered(f"The table of used clearances differs from the entries. {RESTORE}")
    sizes = sa.select(tables.heads.c.size)
    stray = sa.select(tables.cosignatures.c.size).where(tables.cosignatures.c.size.not_in(sizes))
    if connection.execute(stray.limit(1)).first() is not None:
        raise Tampered(f"A cosignature speaks of a checkpoint that is not there. {RESTORE}")


def _checkpoint(origin: str, frontier: merkle.Frontier) -> Checkpoint:
    return Checkpoint(origin=origin, size=frontier.size, root=frontier.root())


def _last(level: int, index: int) -> int:
    """Return the number of the last leaf below a node, in whose row the node's hash is kept."""
    return ((index + 1) << level) - 1


def _bytes(value: object) -> bytes:
    """Return what a column of bytes holds; what an attacker made of another type is no bytes."""
    return value if isinstance(value, bytes) else b""
