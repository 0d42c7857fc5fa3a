"""A cleared dataset as the other rooms would leave it: sealed, decided, with keys and a ledger."""

import io
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governance.canon import file_sha256, sha256
from governance.clearance import Clearance, issue, read_clearance
from governance.errors import PramanaError
from governance.records import Decision
from governance.snapshot import MANIFEST, Shard, Snapshot, samples_root, seal, write_table
from governance.statements import payload_of
from governance.workspace import Workspace
from training import checkpoint
from training.config import RunConfig, load_preset
from training.evaluate.scenes import Scene, caption, every_scene, render
from training.records.record import Result
from training.start import start, terms_of
from training.state import Training

NOON = 1_764_500_400.0  # seconds since the epoch


@dataclass
class Ticking:
    """A clock that goes on a little each time it is asked: a run takes as many steps anywhere."""

    now: float = NOON
    tick_s: float = 0.05

    def __call__(self) -> float:
        self.now += self.tick_s
        return self.now


@dataclass
class House:
    """A workspace with one sealed snapshot, of which `cleared` is what may be trained on."""

    workspace: Workspace
    snapshot: Snapshot
    cleared: Path
    clock: Ticking = field(default_factory=Ticking)

    def decision(self) -> Decision:
        rows = pq.read_table(self.cleared)
        return Decision(
            snapshot=self.snapshot.root,
            samples=self.snapshot.samples,
            measures="1" * 64,
            audits="2" * 64,
            audit_code="3" * 64,
            findings="4" * 64,
            as_of="2026-11-23",
            verdict="pass",
            cleared_root=samples_root(rows),
            cleared=rows.num_rows,
            excluded=self.snapshot.samples - rows.num_rows,
            policies=(),
            rules=(),
        )

    def envelope(
        self, config: RunConfig, budget_s: float, *, now: float = NOON, told: bool = True
    ) -> bytes:
        terms = terms_of(config, budget_s)
        when = datetime.fromtimestamp(now, UTC)
        signer = self.workspace.keyring.signer("gate")
        envelope = issue(self.decision(), terms=terms, signer=signer, now=when)
        clearance = read_clearance(payload_of(envelope)).id
        if told:
            self.workspace.ledger.append("cleared", {"clearance": clearance})
        return envelope

    def clearance(self, config: RunConfig) -> Clearance:
        return read_clearance(payload_of(self.envelope(config, 60.0)))

    def start(self, envelope: bytes, config: RunConfig, budget_s: float, **changes) -> Result:
        arguments = {
            "folder": self.workspace.runs / "run-1",
            "envelope": envelope,
            "trust": self.workspace.keyring.trust(),
            "cleared": self.cleared,
            "snapshot": self.snapshot,
            "config": config,
            "ledger": self.workspace.ledger,
            "memory": self.workspace.memory,
            "started_at": NOON,
            "budget_s": budget_s,
            "clock": self.clock,
            **changes,
        }
        return start(**arguments)

    def stopped(self, config: RunConfig, envelope: bytes, budget_s: float, *, at_step: int) -> None:
        """Start a run and ask it to stop, as a scheduler would, after so many steps."""

        def bars(what: str, total: int | None):
            count = 0

            def advance(_: int) -> None:
                nonlocal count
                count += 1
                if what == "training" and count == at_step:
                    os.kill(os.getpid(), signal.SIGTERM)

            return advance

        with pytest.raises(PramanaError, match="asked to stop") as raised:
            self.start(envelope, config, budget_s, bars=bars)
        assert raised.value.status == 1

    def told(self, kind: str) -> list[dict]:
        return [dict(entry.body) for entry in self.workspace.ledger.entries(kind)]


@dataclass(frozen=True)
class Finished:
    house: House
    config: RunConfig
    envelope: bytes
    result: Result

    @property
    def run(self) -> Path:
        return self.house.workspace.runs / "run-1"


def scene_rows(count: int, *, seed: int = 7, side_px: int = 40) -> list[tuple[Scene, bytes]]:
    """Return scenes and their PNG bytes; the last 64 combinations never occur."""
    rng = np.random.default_rng(seed)
    scenes = every_scene()
    seen = [scenes[i] for i in np.random.default_rng(0).permutation(480)[:-64]]
    rows = []
    for number in range(count):
        scene, stream = seen[number % len(seen)], io.BytesIO()
        render(scene, side_px, rng).save(stream, format="PNG")
        rows.append((scene, stream.getvalue()))
    return rows


def sealed(folder: Path, pictures: list[bytes], captions: list[str]) -> Snapshot:
    """Seal pictures as a snapshot of two shards."""
    shards, rows, half = [], [], len(pictures) // 2
    incoming = folder / ".incoming" / "shards"
    incoming.mkdir(parents=True)
    for number, span in enumerate((slice(0, half), slice(half, None))):
        path = incoming / f"{number}.parquet"
        pq.write_table(pa.table({"image": pictures[span]}), path, row_group_size=16)
        size = path.stat().st_size
        name = f"shards/{path.name}"
        shards.append(
            Shard(path=name, sha256=file_sha256(path), size_bytes=size, rows=len(pictures[span]))
        )
        for row, (data, text) in enumerate(zip(pictures[span], captions[span], strict=True)):
            rows.append(
                {
                    "id": f"{number}-{row}",
                    "shard": number,
                    "row": row,
                    "sha256": sha256(data),
                    "size_bytes": len(data),
                    "caption": text,
                    "source": "made",
                    "attributes": "{}",
                    "extra": "{}",
                }
            )
    return seal(
        folder,
        rows=pa.Table.from_pylist(rows, schema=MANIFEST),
        shards=shards,
        sources=["made"],
    )


def housed(folder: Path, pictures: list[bytes], captions: list[str]) -> House:
    """Return a workspace in which every eighth sample of these was excluded."""
    workspace = Workspace.at(folder)
    snapshot = sealed(workspace.snapshots, pictures, captions)
    kept = [n for n in range(snapshot.samples) if n % 8]
    cleared = folder / "cleared.parquet"
    write_table(cleared, snapshot.manifest().take(kept))
    return House(workspace, snapshot, cleared)


@pytest.fixture
def house(tmp_path: Path) -> House:
    rows = scene_rows(96)
    return housed(tmp_path, [data for _, data in rows], [caption(scene) for scene, _ in rows])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that ended in time, to be looked at only."""
    rows = scene_rows(96)
    captions = [caption(scene) for scene, _ in rows]
    house = housed(tmp_path_factory.mktemp("finished"), [data for _, data in rows], captions)
    config = shrunk()
    envelope = house.envelope(config, 12.0)
    return Finished(house, config, envelope, house.start(envelope, config, 12.0))


@pytest.fixture
def make_house(tmp_path: Path) -> Callable[[list[bytes], list[str]], House]:
    return lambda pictures, captions: housed(tmp_path / "other", pictures, captions)


@pytest.fixture
def tiny() -> RunConfig:
    return shrunk()


def shrunk() -> RunConfig:
    """Return the micro preset, shrunk until a step takes a few milliseconds."""
    micro = load_preset("micro")
    return replace(
        micro,
        image_px=16,
        batch_size=8,
        model=replace(micro.model, width=16, depth=1, heads=2, bottleneck=8),
        text=replace(micro.text, vocabulary=300, width=8, depth=1, heads=2, mlp_width=8),
        schedule=replace(micro.schedule, checkpoint_s=2.0, save_guess_s=0.2, finish_guess_s=1.0),
        evaluation=replace(micro.evaluation, heldout_share=0.1, prompts=4, steps=2),
    )


@pytest.fixture
def run(house: House) -> Path:
    """Where the one run of a house lies."""
    return house.workspace.runs / "run-1"


@pytest.fixture
def saved() -> Callable[[Path, Training], str]:
    """Write a checkpoint and wait for it; return its digest."""

    def save(run: Path, training: Training) -> str:
        with ThreadPoolExecutor(1) as writer:
            return checkpoint.begin(run, training, writer).result().digest

    return save
