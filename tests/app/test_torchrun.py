"""`torchrun -m app train`: two processes under one clearance; one dies, and one alone goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
import yaml

from app import planted, workflow
from governance.canon import parse_json
from governance.cards.verification import verify_bundle
from governance.errors import EvidenceMissing
from governance.workspace import Workspace
from training.config import load_preset
from training.records.journal import Journal
from training.records.record import quiet

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("torchrun")]
SCRIPT = Path(__file__).with_name("small_preset.py")
BUDGET_S = 40.0
MISSING = EvidenceMissing.status


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which scenes were cleared, and beside them a preset named small."""
    folder = tmp_path_factory.mktemp("audited")
    (folder / "pramana.toml").write_text('operator = "a test"\ncompute_region = "IN"\n')
    planted.write(folder / "scenes", list(planted.scenes(96, seed=3)))
    workflow.audit(
        Workspace.at(folder), [str(folder / "scenes")], packs=["commercial"],
        as_of=date(2026, 11, 23), bars=quiet, workers=1,
    )  # fmt: skip
    settings = load_preset("micro").to_json()
    del settings["preset"]
    settings.update(image_px=16, batch_size=8)
    settings["model"].update(width=16, depth=1, heads=2, bottleneck=8)
    settings["text"].update(vocabulary=300, width=8, depth=1, heads=2, mlp_width=8)
    settings["schedule"].update(checkpoint_s=0.5, save_guess_s=0.2, finish_guess_s=1.0)
    settings["evaluation"].update(heldout_share=0.1, prompts=4, steps=2)
    (folder / "presets").mkdir()
    (folder / "presets" / "small.yaml").write_text(yaml.safe_dump(settings))
    return folder


def _train(folder: Path, *, processes: int, workspace: Path | None = None) -> list[str]:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    several = launch if processes > 1 else ()
    return [
        sys.executable, *several, str(SCRIPT), str(folder / "presets"),
        "--workspace", str(workspace or folder),
        "train", "--preset", "small", "--minutes", str(BUDGET_S / 60),
    ]  # fmt: skip


def _wait_for_a_checkpoint(runs: Path, process: subprocess.Popen) -> Path:
    while not (found := list(runs.glob("*/latest"))):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    return found[0].parent


def _second_process(parent: int) -> int:
    """Return the process with the rank 1 among the children of torchrun."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ranks = {pid: Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in children}
    return next(int(pid) for pid, said in ranks.items() if b"RANK=1" in said)


@pytest.fixture(scope="module")
def torn(audited: Path) -> tuple[Path, subprocess.Popen, str]:
    """A run of two processes of which the second was killed after a checkpoint."""
    process = subprocess.Popen(
        _train(audited, processes=2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    run = _wait_for_a_checkpoint(audited / ".pramana" / "runs", process)
    os.kill(_second_process(process.pid), signal.SIGKILL)
    _, said = process.communicate()
    return run, process, said


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_where_one_process_dies_the_others_end_and_one_alone_goes_on(
    audited: Path, torn, tmp_path: Path
) -> None:
    run, process, said = torn
    assert process.returncode == 1
    assert "Another process of this run is gone" in said
    ended = subprocess.run(
        _train(audited, processes=1), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    result = parse_json((run / "result.json").read_bytes())
    assert (result["state"], result["margin_s"] >= 0) == ("finished", True)
    lines = Journal(run / "receipts.jsonl").read()
    assert (lines[0]["processes"], lines[-1]["processes"]) == (2, 1)
    assert [line["last_sample"] for line in lines] == [8 * line["step"] for line in lines]
    workspace = Workspace(audited)
    assert [e.body["run"] for e in workspace.ledger.entries("clearance.spent")] == [run.name]
    assert len(workspace.ledger.entries("run.resumed")) == 1
    workspace.ledger.verify()
    bundle = workflow.export_card(workspace, run.name, tmp_path / "card")
    verify_bundle(bundle)


def test_what_the_first_process_refuses_ends_all_with_its_status(
    audited: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(audited / "pramana.toml", empty)
    ended = subprocess.run(
        _train(audited, processes=2, workspace=empty), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1  # torchrun's own; it lists what its processes ended with
    assert f"exitcode  : {MISSING} " in ended.stderr
    assert not list(empty.glob(".pramana/runs/*"))
