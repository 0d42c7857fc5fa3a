"""A PostgreSQL server of one's own: in a temporary folder, on a socket, until the block ends.

Tests and benchmarks use it. It is as durable as a server is: it flushes each commit.

Does not see: a server across a network, which adds its round trips to every act.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc, pool

START_S = 30  # how long a new server may take until it answers


class Absent(Exception):  # noqa: N818  a reason to go without
    """There is no server to be had here, and why."""


@contextlib.contextmanager
def serving(settings: Sequence[str] = ()) -> Iterator[str]:
    """Start a server with settings (`name=value`) and yield its URL. Raises Absent."""
    binaries, user = _binaries(), _user()
    # A socket has a short path, and whoever the server runs as must come through to it.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if user:
            shutil.chown(folder, user)
        make = (binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust")
        subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)  # noqa: S603
        places = (f"unix_socket_directories={folder}", "listen_addresses=")
        options = [word for setting in (*places, *settings) for word in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603
                [binaries / "postgres", "-D", folder / "data", *options],
                user=user, cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip
        url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        try:
            _wait_for(url)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: it waits for no session
            server.wait(START_S)
    finally:
        shutil.rmtree(folder)


def new_schema(server: str, name: str, settings: str = "") -> str:
    """Make an empty schema on a server, and return the URL of a ledger that lies in it."""
    engine = sa.create_engine(server, poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    options = f"-csearch_path={name} {settings}".strip()
    return engine.url.update_query_dict({"options": options}).render_as_string(hide_password=False)


def _binaries() -> Path:
    """Return the newest folder of PostgreSQL's own programs. Raises Absent."""
    try:
        import psycopg  # noqa: F401, PLC0415  the driver
    except ModuleNotFoundError:
        raise Absent(
            "the driver psycopg is not installed: pip install 'pramana[postgres]'"
        ) from None
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(debian, key=lambda path: int(path.parts[-3]))
    program = found[-1] if found else shutil.which("initdb")
    if program is None:
        raise Absent("PostgreSQL's initdb is not installed (Debian: apt-get install postgresql)")
    return Path(program).resolve().parent


def _user() -> str | None:
    """Return whom to run the server as: it refuses root. None: as who we are. Raises Absent."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in known), None)
    if user is None:
        raise Absent("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return user


def _wait_for(url: str) -> None:
    engine, end = sa.create_engine(url, poolclass=pool.NullPool), time.monotonic() + START_S
    while True:
        try:
            engine.connect().close()
        except exc.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
