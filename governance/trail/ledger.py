"""The ledger: an append-only RFC 6962 log of every act, in SQLite or PostgreSQL.

An act, its entry and the state it changes are one transaction, and each transaction stores a
signed checkpoint (a head) of the tree it made. Entries carry kinds, ids and digests, never
captions, names or values.

Does not see: a rewrite of everything by whoever holds the log key; that takes a checkpoint kept
elsewhere, and a consistency proof against it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa
from securesystemslib.signer import Signer, SSlibKey
from sqlalchemy import exc

from governance.canon import Json
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.records import SPENT
from governance.trail import merkle, tables
from governance.trail.database import Database
from governance.trail.log import (
    PART,
    Act,
    Entry,
    extended,
    recomputed,
    size_of,
    streamed,
    with_nodes,
)
from governance.trail.note import DASH, Checkpoint

__all__ = ["Entry", "Ledger", "copy"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger at a URL. Appending needs the log's signer; reading needs the log's public keys.

    `origin` is the first line of every checkpoint (c2sp.org/tlog-checkpoint). `keys` are all keys
    of the log that count: older heads may carry an older one.
    """

    url: str = field(repr=False)  # it may hold a password
    origin: str
    keys: tuple[SSlibKey, ...]
    signer: Callable[[], Signer]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _database: Database = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Understand the URL. Raises UsageError when no ledger can lie there."""
        object.__setattr__(self, "_database", Database.at(self.url))

    def append(
        self, kind: str, body: Mapping[str, Json], *, rows: Sequence[sa.Insert] = ()
    ) -> Entry:
        """Append one act, durably, and insert the rows it brings, or neither.

        Raises:
            IntegrityError: a row breaks a constraint of its table.
            PramanaError: the ledger cannot be written.
            Tampered: the newest head is not of this tree; nothing is signed on top of it.
        """
        return self.append_many([(kind, body)], rows=rows)[0]

    def append_many(self, acts: Iterable[Act], *, rows: Sequence[sa.Insert] = ()) -> list[Entry]:
        """Append acts, kind and body of each, in one transaction under one head; see `append`."""
        signer, acts = self.signer(), list(acts)
        if not acts:
            raise UsageError("No act was given; a row changes only with the act that says so.")
        with self.writing() as connection:
            for row in rows:
                connection.execute(row)
            at = self.now().astimezone(UTC).isoformat(timespec="milliseconds")
            return extended(connection, acts, origin=self.origin, at=at, signer=signer)

    def spend(self, clearance: str, run: str) -> Entry:
        """Use a clearance for a run, and say so, in one transaction.

        Raises:
            Refused: the clearance was used before, or the run has another one.
        """
        body = {"clearance": clearance, "run": run}
        try:
            return self.append(SPENT, body, rows=[tables.spent.insert().values(body)])
        except exc.IntegrityError:
            raise Refused(
                f"clearance (5): {clearance[:12]} was used before; it allows one run. "
                "Ask the gate for a new one: `pramana train`."
            ) from None

    def spent(self) -> dict[str, str]:
        """Return which clearance was used by which run."""
        with self.reading() as connection:
            return {row.clearance: row.run for row in connection.execute(tables.spent.select())}

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return the acts in order, all or of one kind. `verify` says whether they are genuine."""
        query = sa.select(tables.entries.c.leaf).order_by(tables.entries.c.number)
        if kind is not None:
            query = query.where(tables.entries.c.kind == kind)
        with self.reading() as connection:
            found = [Entry.of(leaf) for leaf in connection.execute(query).scalars()]
        return [entry for entry in found if kind in {None, entry.kind}]

    def entry(self, number: int) -> Entry:
        """Return one act. Raises EvidenceMissing when there is none of this number."""
        return Entry.of(self.leaf(number))

    def leaf(self, number: int) -> bytes:
        """Return the bytes of one entry. Raises EvidenceMissing when there is none."""
        column = tables.entries.c
        with self.reading() as connection:
            found = connection.execute(sa.select(column.leaf).where(column.number == number))
            leaf: bytes | None = found.scalar()
            if leaf is None:
                size = size_of(connection)
                raise EvidenceMissing(f"The ledger has {size} entries and none numbered {number}.")
        return leaf

    def leaves(self) -> list[bytes]:
        """Return the bytes of every entry, in order."""
        query = sa.select(tables.entries.c.leaf).order_by(tables.entries.c.number)
        with self.reading() as connection:
            return list(connection.execute(query).scalars())

    def size(self) -> int:
        """Return how many entries the newest head speaks of."""
        with self.reading() as connection:
            return size_of(connection)

    def note(self, size: int | None = None) -> str:
        """Return the newest signed head, or the one of this size, with its cosignature lines.

        '' before the first act. Source: c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature.

        Raises:
            EvidenceMissing: no head has this size; acts that came together have one head.
        """
        with self.reading() as connection:
            wanted = size_of(connection) if size is None else size
            signed = connection.execute(
                sa.select(tables.heads.c.note).where(tables.heads.c.size == wanted)
            ).scalar()
            if signed is None and size is None:
                return ""
            if signed is None:
                raise EvidenceMissing(f"The ledger has no checkpoint of size {size}.")
            beside = sa.select(tables.cosignatures.c.line).order_by(tables.cosignatures.c.witness)
            lines = connection.execute(beside.where(tables.cosignatures.c.size == wanted)).scalars()
            return str(signed) + "".join(f"{line}\n" for line in lines)

    def add_cosignature(self, size: int, witness: str, line: str) -> None:
        """Keep a witness's signature line beside the head of this size; the first one stays.

        Whoever calls has verified it, and whoever reads verifies it again.

        Raises:
            UsageError: it is not one line of a signed note.
            Refused: there is no such head, or this witness cosigned it before.
        """
        if not line.startswith(f"{DASH} ") or "\n" in line:
            raise UsageError(f"A cosignature is one line of a signed note; this is {line[:20]!r}.")
        row = tables.cosignatures.insert().values(size=size, witness=witness, line=line)
        try:
            with self.writing() as connection:
                connection.execute(row)
        except exc.IntegrityError:
            raise Refused(
                f"No cosignature was added: {witness} cosigned the checkpoint of size {size} "
                "before, or there is no such checkpoint."
            ) from None

    def cosigned(self, least: int = 1) -> list[int]:
        """Return the sizes of heads that at least so many witnesses cosigned, in order."""
        size = tables.cosignatures.c.size
        query = sa.select(size).group_by(size).having(sa.func.count() >= least).order_by(size)
        with self.reading() as connection:
            return list(connection.execute(query).scalars())

    def root(self, size: int) -> bytes:
        """Return the 32-byte root of the first `size` entries. Raises EvidenceMissing."""
        return self._proved(size, lambda node: merkle.root_of(node, size))

    def inclusion(self, number: int, size: int) -> list[bytes]:
        """Return the proof that entry `number` stands in the tree of `size`, lowest hash first.

        Raises:
            EvidenceMissing: there is no such tree, or no such entry in it.
        """
        if not 0 <= number < size:
            raise EvidenceMissing(f"There is no entry {number} among the first {size}.")
        return self._proved(size, lambda node: merkle.inclusion_proof(node, number, size))

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the tree of `size` extends the tree of `old`.

        Raises:
            EvidenceMissing: there is no such tree, or no such tree in it.
        """
        if not 0 < old <= size:
            raise EvidenceMissing(f"There is no tree of {old} entries inside a tree of {size}.")
        return self._proved(size, lambda node: merkle.consistency_proof(node, old, size))

    def verify(self) -> Checkpoint:
        """Recompute the whole tree and hold every row to it and to the signed head.

        Returns:
            The newest head; of an empty ledger, size 0 and the empty root.

        Raises:
            Tampered: an entry was edited, removed, added or moved, or a head, or the state.
        """
        with self.reading() as connection:
            return recomputed(connection, origin=self.origin, keys=self.keys)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one moment. Raises PramanaError, Tampered."""
        with self._database.transaction(write=False) as connection:
            if not tables.missing(connection):
                yield connection
                return
        with self.writing():
            pass  # a new ledger is an empty one
        with self._database.transaction(write=False) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that no other writer shares. Raises PramanaError, Tampered."""
        with self._database.transaction(write=True) as connection:
            tables.make_missing(connection)
            yield connection

    def _proved(self, size: int, ask: Callable[[merkle.Node], T]) -> T:
        with self.reading() as connection:
            there = size_of(connection)
            if size > there:
                raise EvidenceMissing(f"The ledger has {there} entries; {size} were asked about.")
            return with_nodes(connection, ask)


def copy(ledger: Ledger, to: Ledger) -> Checkpoint:
    """Copy every row of a ledger to an empty one, in one transaction, and verify what came of it.

    Returns:
        The head that both now have.

    Raises:
        Refused: the other ledger holds something already.
        Tampered: the ledger does not verify, or its copy does not, or has another head.
    """
    with ledger.reading() as source, to.writing() as target:
        head = recomputed(source, origin=ledger.origin, keys=ledger.keys)
        for table in tables.TABLES.sorted_tables:
            if target.execute(sa.select(table).limit(1)).first() is not None:
                raise Refused("The other ledger is not empty; name a place that holds nothing.")
            with streamed(source, table) as rows:
                for part in rows.mappings().partitions(PART):
                    target.execute(table.insert(), [dict(row) for row in part])
        if recomputed(target, origin=to.origin, keys=to.keys) != head:
            raise Tampered("The copy has another head than the ledger; nothing was copied.")
        return head
