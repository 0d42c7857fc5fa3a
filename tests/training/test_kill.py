"""SIGKILL at a random moment loses little: the run goes on from its last checkpoint."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from governance.canon import canonical, parse_json
from training import checkpoint
from training.data.cleared import ClearedList
from training.data.samples import ClearedSamples
from training.records.receipt import Receipt
from training.records.record import RunRecord

BUDGET_S = 40.0
SCRIPT = """
import sys
from pathlib import Path
from governance.canon import parse_json
from governance.workspace import Workspace
from training.config import RunConfig
from training.start import start

place, snapshot, started_at, budget_s = sys.argv[1:]
workspace = Workspace.at(Path(place))
start(
    folder=workspace.runs / "run-1",
    envelope=(Path(place) / "envelope.json").read_bytes(),
    trust=workspace.keyring.trust(),
    cleared=Path(place) / "cleared.parquet",
    snapshot=workspace.snapshot(snapshot),
    config=RunConfig.from_json(parse_json((Path(place) / "config.json").read_bytes())),
    ledger=workspace.ledger,
    memory=workspace.memory,
    started_at=float(started_at),
    budget_s=float(budget_s),
)
"""


def _killed(arguments: list[str], run: Path) -> int:
    """Start the run, kill it some time after its next checkpoint, return that checkpoint's step."""
    before = checkpoint.latest_step(run)
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments])
    while checkpoint.latest_step(run) == before:
        assert process.poll() is None, "the run ended before it wrote a checkpoint"
        time.sleep(0.02)
    time.sleep(random.uniform(0.0, 0.7))  # noqa: S311  any moment will do
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return checkpoint.latest_step(run)


@pytest.mark.slow
def test_a_run_killed_twice_ends_at_its_first_deadline_with_an_unbroken_receipt(
    house, tiny
) -> None:
    quick = {**tiny.to_json(), "schedule": {**tiny.to_json()["schedule"], "checkpoint_s": 0.4}}
    config = type(tiny).from_json(quick)
    place, run = house.workspace.folder, house.workspace.runs / "run-1"
    began_at = time.time()
    envelope = house.envelope(config, BUDGET_S, now=began_at)
    (place / "envelope.json").write_bytes(envelope)
    (place / "config.json").write_bytes(canonical(quick))
    arguments = [str(place), house.snapshot.root, str(began_at), str(BUDGET_S)]
    first = _killed(arguments, run)
    second = _killed(arguments, run)
    assert second > first

    result = house.start(envelope, config, BUDGET_S, started_at=time.time(), clock=None)

    assert time.time() <= began_at + BUDGET_S
    assert (result.state, RunRecord.read(run).started_at) == ("finished", began_at)
    resumed = [told["step"] for told in house.told("run.resumed")]
    assert len(resumed) == 2
    assert resumed[0] >= first
    assert resumed[1] >= second
    lines = (run / "metrics.jsonl").read_bytes().splitlines()
    steps = [parse_json(line)["step"] for line in lines]
    assert steps == list(range(1, result.steps + 1))
    samples = ClearedSamples.open(
        house.clearance(config),
        listed=ClearedList.read(house.cleared),
        snapshot=house.snapshot,
        image_px=config.image_px,
    )
    trained, _ = samples.split(config.evaluation.heldout_share)
    places = trained.places(config.seed, 0, result.samples_seen)
    replayed = Receipt().extended(trained.digests[place] for place in places)
    assert result.receipt == replayed.value.hex()
    house.workspace.ledger.verify()
