"""How many durable acts a second the ledger takes, and how long its proofs and its whole check.

Both databases in one run, and beside them what this disk does alone: a small write and a flush,
again and again. An act is one transaction with its state row, its leaf, its nodes and its signed
head; a batch is 1,000 acts under one head.

    python benchmarks/trust_ledger.py
    python benchmarks/trust_ledger.py --entries 10000 --acts 100

Does not see: a server on another machine, or a disk that lies about flushing.
"""

import argparse
import contextlib
import multiprocessing
import os
import platform
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.synchronize import Barrier
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from postgres_server import Absent, new_schema, serving
from securesystemslib.signer import CryptoSigner

from governance.trail.database import file_url
from governance.trail.ledger import Ledger
from governance.trail.log import Act

ORIGIN = "benchmark/ledger"
BATCH = 1000
WRITERS = 4
ASKED = 100  # proofs, of which the median is printed
processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Side:
    """One database: what it is called, and how to get an empty place in it."""

    name: str
    place: Callable[[str], str]


@contextlib.contextmanager
def sides(folder: Path) -> Iterator[list[Side]]:
    """Yield SQLite, and PostgreSQL where a server can be had."""
    sqlite = Side(
        f"SQLite {sqlite3.sqlite_version}", lambda name: file_url(folder / name / "ledger.db")
    )
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(serving())
        except Absent as reason:
            print(f"no PostgreSQL: {reason}")
            yield [sqlite]
            return
        with sa.create_engine(server, poolclass=sa.NullPool).connect() as connection:
            told = connection.exec_driver_sql("SHOW server_version").scalar_one()
        postgresql = f"PostgreSQL {told.split()[0]}"
        yield [sqlite, Side(postgresql, lambda name: new_schema(server, name))]


def ledger_at(url: str, private: bytes) -> Ledger:
    """Return the ledger at a URL, under a key in PEM."""
    signer = CryptoSigner(load_pem_private_key(private, password=None))
    return Ledger(url, ORIGIN, (signer.public_key,), lambda: signer)


def flushes(folder: Path, count: int) -> float:
    """Return how often a second this disk writes 4 KiB and flushes them."""
    with (folder / "flushed").open("wb") as stream:
        begun = time.perf_counter()
        for _ in range(count):
            stream.write(b"\0" * 4096)
            stream.flush()
            os.fdatasync(stream.fileno())
        return count / (time.perf_counter() - begun)


def one_by_one(url: str, private: bytes, acts: int) -> list[float]:
    """Spend clearances, an act each, and return the seconds of every one."""
    ledger, seconds = ledger_at(url, private), []
    ledger.append("begun", {})
    for number in range(acts):
        begun = time.perf_counter()
        ledger.spend(f"{number:064x}", f"{number:016x}")
        seconds.append(time.perf_counter() - begun)
    return seconds


def by_four(url: str, private: bytes, acts: int) -> float:
    """Return the acts a second that four processes tell one ledger together."""
    ledger, gate = ledger_at(url, private), processes.Barrier(WRITERS + 1)
    ledger.append("begun", {})
    writers = [
        processes.Process(target=_write, args=(url, private, gate, who, acts // WRITERS))
        for who in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    gate.wait()
    begun = time.perf_counter()
    for writer in writers:
        writer.join()
    taken = time.perf_counter() - begun
    told = ledger.verify().size - 1
    if told != acts // WRITERS * WRITERS:
        raise SystemExit(f"{told} acts were recorded of {acts}; a process failed.")
    return told / taken


def _write(url: str, private: bytes, gate: Barrier, who: int, acts: int) -> None:
    ledger = ledger_at(url, private)
    ledger.size()
    gate.wait()
    for number in range(acts):
        ledger.spend(f"{who:032x}{number:032x}", f"{who:08x}{number:08x}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """What a ledger of one length takes: entries told a second, then seconds, and memory in MB."""

    told: float
    inclusion_s: float
    consistency_s: float
    verify_s: float
    verify_mb: float


def measured(url: str, private: bytes, entries: int) -> Length:
    """Tell a ledger so many entries in batches, then ask it for proofs and check all of it."""
    ledger, begun = ledger_at(url, private), time.perf_counter()
    for start in range(0, entries, BATCH):
        ledger.append_many(_acts(start, min(start + BATCH, entries)))
    told = entries / (time.perf_counter() - begun)
    numbers = range(0, entries, max(1, entries // ASKED))
    inclusion_s = _median(lambda number: ledger.inclusion(number, entries), numbers)
    consistency_s = _median(lambda number: ledger.consistency(number + 1, entries), numbers)
    with processes.Pool(1) as pool:  # a process of its own: its memory is that of verifying
        verify_s, verify_mb = pool.apply(_verify, (url, private, entries))
    return Length(
        told=told,
        inclusion_s=inclusion_s,
        consistency_s=consistency_s,
        verify_s=verify_s,
        verify_mb=verify_mb,
    )


def _median(ask: Callable[[int], object], numbers: Sequence[int]) -> float:
    seconds = []
    for number in numbers:
        begun = time.perf_counter()
        ask(number)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _verify(url: str, private: bytes, entries: int) -> tuple[float, float]:
    """Return the seconds that checking takes, and the MB by which memory peaks above before."""
    ledger = ledger_at(url, private)
    ledger.size()
    before, begun = _peak_mb(), time.perf_counter()
    if ledger.verify().size != entries:
        raise SystemExit("The ledger has another size than it was given; nothing was measured.")
    return time.perf_counter() - begun, _peak_mb() - before


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


def _acts(start: int, end: int) -> Iterator[Act]:
    for number in range(start, end):
        body = {"snapshot": "a" * 64, "audits": "b" * 64, "part": f"shard-{number:07}"}
        yield "measured", {**body, "sha256": f"{number:064x}"}


def main() -> None:
    """Measure every side and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--acts", type=int, default=1000, help="acts told one by one")
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="the disk to use; a temporary folder if none")
    given = parser.parse_args()
    names = ("sqlalchemy", "cryptography", "securesystemslib")
    print(f"{platform.python_implementation()} {platform.python_version()},", end=" ")
    print(f"{os.cpu_count()} cores,", ", ".join(f"{name} {version(name)}" for name in names))
    private = CryptoSigner.generate_ed25519().private_bytes
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, sides(Path(folder)) as both:
        print(f"the disk alone: {flushes(Path(folder), given.acts):,.0f} flushed writes/s\n")
        columns = [
            list(figures(side, private, acts=given.acts, lengths=given.entries)) for side in both
        ]
    print(" " * 44 + "".join(f"{side.name:>20}" for side in both))
    for row in zip(*columns, strict=True):
        print(f"{row[0][0]:<44}" + "".join(f"{value:>20}" for _, value in row))


def figures(
    side: Side, private: bytes, *, acts: int, lengths: Sequence[int]
) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table: what was measured, and the figure."""
    seconds = sorted(one_by_one(side.place("one"), private, acts))
    yield "durable acts/s, one process", f"{acts / sum(seconds):,.0f}"
    yield "  one of these, median, ms", f"{1e3 * statistics.median(seconds):.1f}"
    yield "  the slowest in a hundred, ms", f"{1e3 * seconds[int(0.99 * acts)]:.1f}"
    yield "durable acts/s, four processes", f"{by_four(side.place('four'), private, acts):,.0f}"
    for entries in lengths:
        found = measured(side.place(f"length_{entries}"), private, entries)
        yield f"{entries:,} entries: told a second, by 1,000", f"{found.told:,.0f}"
        yield "  inclusion proof, ms", f"{1e3 * found.inclusion_s:.2f}"
        yield "  consistency proof, ms", f"{1e3 * found.consistency_s:.2f}"
        yield "  checking all of it, s", f"{found.verify_s:.2f}"
        yield "  and the memory that takes, MB", f"{found.verify_mb:.0f}"


if __name__ == "__main__":
    main()
