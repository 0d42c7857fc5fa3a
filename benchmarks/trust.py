"""What trust costs, all in one run: acts, proofs, bundles, absence, and reading by digest.

Each part is a script of its own beside this one, with more to ask of it; here are their figures
under one roof, and the time it takes to verify a whole bundle, in a new process and in one that is
warm.

    python benchmarks/trust.py
    python benchmarks/trust.py --quick
    python benchmarks/trust.py --bundle demo/card

Does not see: a server on another machine, a disk that lies about flushing, or a bundle larger than
the one that was made or named.
"""

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import trust_ledger
import trust_presence
import trust_reader
from rich.console import Console
from rich.table import Table
from securesystemslib.signer import CryptoSigner

from app import planted, workflow
from app.redteam.ground import elsewhere
from audits.reading.ingest import ingest
from governance.cards.verification import verify_bundle
from governance.sealing.sealed import NewKeys, read_keys
from governance.signers.trust import TRUST_FILE, Trust
from governance.workspace import Workspace
from training.records.record import quiet

LIBRARIES: Final = ("cryptography", "pyarrow", "securesystemslib", "sqlalchemy")
CPUINFO: Final = Path("/proc/cpuinfo")
BUDGET_S = 20.0  # of the run whose bundle is verified
TURNS = 7  # of verifying a bundle, of which the median is printed
Figures = Iterator[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured: acts told one by one, entries, samples, pictures, turns, scenes."""

    acts: int
    entries: tuple[int, ...]
    samples: tuple[int, ...]
    pictures: int
    turns: int
    scenes: int


WHOLE: Final = Effort(
    acts=1000,
    entries=(10_000, 1_000_000),
    samples=(10_000, 1_000_000),
    pictures=64,
    turns=60,
    scenes=2000,
)
QUICK: Final = Effort(
    acts=60, entries=(10_000,), samples=(10_000,), pictures=16, turns=4, scenes=48
)


def ledgers(effort: Effort, folder: Path) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the databases, and what each of them takes, a row a figure."""
    private = CryptoSigner.generate_ed25519().private_bytes
    with trust_ledger.sides(folder) as both:
        told = [
            list(trust_ledger.figures(side, private, acts=effort.acts, lengths=effort.entries))
            for side in both
        ]
        names = [side.name for side in both]
    rows = [(row[0][0], *(figure for _, figure in row)) for row in zip(*told, strict=True)]
    # Processes that this one begins are as large as it is: what memory verifying takes beside that
    # cannot be told here, and trust_ledger.py alone says it.
    return names, [row for row in rows if "memory" not in row[0]]


def bundles(bundle: Path, trust: Path) -> Figures:
    """Yield the seconds it takes to verify a bundle in a new process, and in a warm one."""
    files = [path for path in bundle.rglob("*") if path.is_file()]
    mb = sum(path.stat().st_size for path in files) / 1e6
    yield "files", f"{len(files)}"
    yield "MB", f"{mb:.1f}"
    command = [sys.executable, "-P", "-m", "app", "verify", str(bundle), "--trust", str(trust)]
    cold = []
    for _ in range(TURNS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  our own
        cold.append(time.perf_counter() - began)
    yield "verified in a new process, s (at most 2)", f"{statistics.median(cold):.2f}"
    warm, pinned = [], Trust.from_bytes(trust.read_bytes())
    for _ in range(TURNS):
        began = time.perf_counter()
        if any(check.status for check in verify_bundle(bundle, pinned)):
            raise SystemExit("The bundle does not verify; nothing was measured.")
        warm.append(time.perf_counter() - began)
    yield "verified in a warm process, s", f"{statistics.median(warm):.3f}"


def absences(effort: Effort) -> Figures:
    """Yield what it takes to prove that a picture is not among so many samples."""
    for count in effort.samples:
        leaves_s, prove_s, size_bytes, check_s = trust_presence.measured(count)
        yield (
            f"{count:,}", f"{leaves_s:.2f}", f"{prove_s:.2f}", f"{size_bytes:,}",
            f"{check_s * 1e3:.2f}",
        )  # fmt: skip


def readers(effort: Effort, folder: Path) -> Iterator[str]:
    """Yield what hashing and encryption cost the reader that training uses."""
    source = folder / "set.parquet"
    mean_bytes = trust_reader.render(source, effort.pictures)
    plain = ingest([str(source)], snapshots=folder / "plain")
    sealed = ingest([str(source)], snapshots=folder / "sealed", keys=NewKeys(folder / "keys"))
    sealed = replace(sealed, keys=read_keys(folder / "keys", sealed.root))
    turns = trust_reader.measured(trust_reader.sides(plain, sealed, image_px=64), effort.turns)
    yield f"{effort.pictures} JPEGs of {trust_reader.SIDE_PX} px, {mean_bytes:,} bytes each"
    yield from trust_reader.report(turns, effort.pictures)


@contextlib.contextmanager
def made(bundle: Path | None, scenes: int) -> Iterator[tuple[Path, Path]]:
    """Yield a bundle and the trust file to hold it to; one is made where none is named."""
    if bundle:
        yield bundle, bundle / TRUST_FILE
        return
    with tempfile.TemporaryDirectory() as name, elsewhere(Path(name)):
        folder = Path(name)
        planted.write(folder / "scenes", list(planted.scenes(scenes, seed=1)))
        place = Workspace.at(folder / "workspace")
        today = datetime.now(UTC).date()
        workflow.audit(
            place, [str(folder / "scenes")], packs=["commercial"], as_of=today, bars=quiet
        )
        run, _ = workflow.train(
            place, preset="micro", budget_s=BUDGET_S, started_at=time.time(), bars=quiet
        )
        trust = place.keyring.folder / TRUST_FILE
        yield workflow.export_card(place, run.name, folder / "card"), trust


def processor() -> str:
    """Return the processor's own name, as far as Linux tells it."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main() -> None:
    """Measure every part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="Smaller sizes, in under a minute.")
    parser.add_argument("--bundle", type=Path, help="A bundle to verify; one is made if none.")
    asked = parser.parse_args()
    effort, console = QUICK if asked.quick else WHOLE, Console(width=110, highlight=False)
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    console.print(f"Python {platform.python_version()}, {libraries}")
    console.print(f"{processor()}, {os.cpu_count()} core(s)")
    with tempfile.TemporaryDirectory() as name:
        before = trust_ledger.flushes(Path(name), effort.acts)
        names, rows = ledgers(effort, Path(name))
        after = trust_ledger.flushes(Path(name), effort.acts)
    disk = f"{before:,.0f} flushed writes/s before, {after:,.0f} after"
    console.print(_table(f"ledger; the disk alone: {disk}", names, rows))
    with made(asked.bundle, effort.scenes) as (bundle, trust):
        console.print(_table("a whole bundle", [""], bundles(bundle, trust)))
    columns = ["leaves s", "tree and proof s", "proof bytes", "check ms"]
    console.print(_table("absence among so many samples", columns, absences(effort)))
    console.print("reader of training, hashing and encryption", style="bold")
    with tempfile.TemporaryDirectory() as name:
        for line in readers(effort, Path(name)):
            console.print(line, markup=False)


def _table(title: str, columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.show_header = any(columns)
    for place, name in enumerate(("", *columns)):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
