"""Where a ledger lies: an SQLite file (WAL, synchronous=FULL), or a PostgreSQL database by its URL.

One writer at a time: `BEGIN IMMEDIATE` in SQLite, an advisory lock of the transaction in
PostgreSQL. A reader sees one moment. A commit that returned is on the disk.

Does not see: what is written; a disk that lies about flushing; how the server is backed up.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from governance.errors import PramanaError, Tampered, UsageError

BUSY_S = 30  # how long an append waits for another process's append
MOUNTS = Path("/proc/mounts")
# SQLite's WAL needs memory that all processes share, which no network file system gives.
# Source: sqlite.org/wal.html, "All processes using a database must be on the same host computer".
NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|beegfs|gpfs|virtiofs"
    r"|fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs|ceph\S*|blobfuse2?|juicefs|goofys|mount-s3)"
)
LOCK = 0x7072616D616E61  # "pramana": an advisory lock is a number that everybody knows
FIRST = {  # what a transaction says first, by dialect and whether it will write
    ("sqlite", True): "BEGIN IMMEDIATE",
    ("sqlite", False): "BEGIN",
    # Read committed, whatever the server's default is: the state is read after the lock is held.
    ("postgresql", True): "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
    f"SET LOCAL lock_timeout = '{BUSY_S}s'; "
    "SELECT set_config('synchronous_commit', 'on', true) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local'); "
    f"SELECT pg_advisory_xact_lock({LOCK})",
    ("postgresql", False): "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A place that was understood. It keeps no connection open, so a process may fork."""

    engine: sa.Engine

    @classmethod
    def at(cls, text: str) -> Self:
        """Read a URL: `sqlite:////folder/ledger.db` or `postgresql://user@host/name`.

        Raises:
            UsageError: it is of another kind, its driver is not installed, or SQLite would write
                to a network file system.
        """
        try:
            url = sa.make_url(text)
        except (exc.ArgumentError, ValueError):
            raise UsageError(f"This is no URL of a ledger. {_ALLOWED}") from None
        if url.drivername == "sqlite" and url.database not in {None, "", ":memory:"}:
            check_local(Path(url.database or ""))
            engine = sa.create_engine(
                url, connect_args={"timeout": BUSY_S}, poolclass=pool.NullPool
            )
            event.listen(engine, "connect", _settle)
            return cls(engine)
        if url.drivername not in {"postgresql", "postgresql+psycopg"}:
            raise UsageError(f"A ledger cannot lie in {url.drivername}. {_ALLOWED}")
        try:
            return cls(
                sa.create_engine(
                    url.set(drivername="postgresql+psycopg"),
                    connect_args={"connect_timeout": BUSY_S},
                    poolclass=pool.NullPool,
                )
            )
        except ModuleNotFoundError:
            raise UsageError(
                "A ledger in PostgreSQL needs the driver psycopg: pip install 'pramana[postgres]'."
            ) from None

    @property
    def file(self) -> Path | None:
        """The SQLite file; None when a server keeps the ledger."""
        url = self.engine.url
        return Path(str(url.database)) if url.drivername == "sqlite" else None

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[sa.Connection]:
        """Open the database for one transaction, which is durable once the block has ended well.

        Raises:
            IntegrityError: a constraint does not hold; nothing was written.
            PramanaError: it cannot be read or written.
            Tampered: the file is damaged.
        """
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.engine.begin() as connection:
                connection.exec_driver_sql(FIRST[self.engine.dialect.name, write])
                yield connection
        except exc.IntegrityError:
            raise
        except (exc.OperationalError, exc.ProgrammingError) as fault:
            raise PramanaError(
                f"The ledger could not be read or written: {_words(fault)}."
            ) from None
        except exc.DatabaseError as fault:
            raise Tampered(
                f"The ledger is damaged: {_words(fault)}. Restore it from a copy."
            ) from None


_ALLOWED = "Give sqlite:////folder/ledger.db or postgresql://user@host/name."


def file_url(path: Path) -> str:
    """Return the URL of a ledger in an SQLite file."""
    return sa.URL.create("sqlite", database=str(path.absolute())).render_as_string()


def check_local(path: Path, mounts: str | None = None) -> None:
    """Raise UsageError when an SQLite file would lie on a network file system.

    Args:
        path: the file; it need not exist yet.
        mounts: lines as in proc(5) /proc/mounts; None reads them, and where there are none (not
            Linux) nothing is known.
    """
    if mounts is None:
        mounts = MOUNTS.read_text() if MOUNTS.exists() else ""
    place, kinds = path.absolute().resolve(), {}
    for line in mounts.splitlines():
        _, mounted, kind, *_ = line.split(" ")
        kinds[Path(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), mounted))] = kind
    kind = next((kinds[folder] for folder in place.parents if folder in kinds), "")
    if NETWORK.fullmatch(kind):
        raise UsageError(
            f"The ledger would lie on a network file system ({kind}), where SQLite's log is not "
            "safe. Put it on a local disk, or in PostgreSQL: postgresql://user@host/name."
        )


def _words(fault: exc.DBAPIError) -> str:
    """Return what the driver says, in one line; libpq never says the password."""
    return " ".join(str(fault.orig).split()).rstrip(".")


def _settle(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the transaction says BEGIN itself
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
