"""A run that ended, over data that was really audited, and what it drew, evaluated."""

import io
import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from app import planted, workflow
from app.clearing import clear
from app.drawn import Evaluated, evaluate
from governance.canon import canonical, file_sha256, write_whole
from governance.cards.bundle import make_bundle
from governance.clearance import Terms, read_clearance
from governance.records import as_object
from governance.statements import payload_of
from governance.workspace import Workspace
from training.config import RunConfig, load_preset
from training.export import export
from training.model import build
from training.output.check import PictureCheck
from training.records.record import Result, quiet
from training.text.tokens import load_tokenizer, make_tokenizer

HOUSE, REFUSED = "a house by the sea", "a nude figure called zebrafinch"
TRAINED = list(planted.scenes(24, seed=3))


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace where 24 scenes were audited, and whose one run ended with an untrained model."""
    pytest.importorskip("nudenet", reason="the detector's weights are not installed")
    folder = tmp_path_factory.mktemp("ended")
    planted.write(folder / "scenes", TRAINED)
    workspace = Workspace.at(folder)
    (folder / "pramana.toml").write_text('operator = "a test"\ncompute_region = "IN"\n')
    workflow.audit(
        workspace,
        [str(folder / "scenes")],
        packs=["commercial"],
        as_of=date(2026, 11, 23),
        bars=quiet,
        workers=1,
    )
    _run(workspace)
    return workspace


def _run(workspace: Workspace) -> None:
    """Leave what a finished run leaves, as the program clears and signs it."""
    config = _tiny()
    terms = Terms(run_config=config.digest, budget_s=60.0, host="cpu-2")
    envelope = clear(workspace, workspace.latest_decision(), terms, preset="micro")
    clearance = read_clearance(payload_of(envelope)).id
    folder = workspace.runs / clearance[:16]
    workspace.ledger.spend(clearance, folder.name)
    export(build(config, load_tokenizer(make_tokenizer([HOUSE], 300))), config, folder / "pipeline")
    model = folder / "pipeline"
    files = {p.relative_to(model).as_posix(): p for p in model.rglob("*") if p.is_file()}
    result = Result(
        run=folder.name, preset="micro", clearance=clearance, state="finished", steps=1,
        samples_seen=8, receipt="0" * 64, checkpoint="0" * 64, seconds=1.0, margin_s=1.0,
        train_s=1.0, parameters=1, flops=1.0, joules=1.0, joules_low=1.0, joules_high=1.0,
        joules_method="estimate", cost=None, currency="", captions_truncated=0,
        pipeline={name: file_sha256(path) for name, path in files.items()},
    )  # fmt: skip
    for name, data in {
        "clearance.json": envelope,
        "config.json": canonical({"preset": "micro", "image_px": 16}),
        "metrics.jsonl": b"",
        "receipts.jsonl": b"",
        "result.json": canonical(result.to_json()),
        "samples.png": TRAINED[0].picture,
    }.items():
        write_whole(folder / name, data)
    digest = file_sha256(folder / "result.json")
    workspace.ledger.append("run.finished", {"run": folder.name, "result": digest})
    workflow.sign_run(workspace, folder)


def _tiny() -> RunConfig:
    settings = load_preset("micro").to_json()
    small = {"width": 16, "depth": 1, "heads": 2, "bottleneck": 8}
    text = {"vocabulary": 300, "width": 8, "depth": 1, "heads": 2, "mlp_width": 8}
    return RunConfig.from_json(
        {
            **settings,
            "image_px": 16,
            "model": {**as_object(settings["model"], "a model"), **small},
            "text": {**as_object(settings["text"], "a text"), **text},
        }
    )


@pytest.fixture(scope="session")
def evaluated(ended: Workspace, tmp_path_factory) -> tuple[Workspace, Evaluated]:
    """Three prompts, one of them refused, one drawn as a copy of a training picture. Look only."""
    folder = shutil.copytree(ended.folder, tmp_path_factory.mktemp("evaluated") / "copy")
    workspace = Workspace(folder)
    return workspace, _asked(
        workspace, [HOUSE, REFUSED, "a boat"], pictures=[_trained(), _noise(1)]
    )


@pytest.fixture
def copy(ended: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(ended.folder, tmp_path / "copy"))


@pytest.fixture
def signed(evaluated: tuple[Workspace, Evaluated], tmp_path: Path) -> Workspace:
    """An evaluated workspace that a test may alter."""
    return Workspace(shutil.copytree(evaluated[0].folder, tmp_path / "signed"))


def _trained() -> Image.Image:
    """A cleared training picture as a model would draw it that knows it by heart: other bytes."""
    return Image.open(io.BytesIO(TRAINED[5].picture)).convert("RGB")


def _noise(seed: int) -> Image.Image:
    return Image.effect_noise((64, 64), 90 + seed).convert("RGB")


def _asked(
    workspace: Workspace,
    prompts: Sequence[str],
    *,
    pictures: Sequence[Image.Image] | None = None,
    check: PictureCheck | None = None,
) -> Evaluated:
    path = workspace.folder / "prompts.txt"
    path.write_text("\n".join(prompts) + "\n\n", "utf-8")
    artist = None if pictures is None else lambda _places: iter(pictures)
    found = evaluate(workspace, "latest", prompts=path, check=check, artist=artist, bars=quiet)
    path.unlink()
    return found


@pytest.fixture(scope="session")
def asked() -> Callable[..., Evaluated]:
    """Evaluate with these prompts, drawn by the run's model or given as pictures."""
    return _asked


@pytest.fixture(scope="session")
def bundle(evaluated: tuple[Workspace, Evaluated], tmp_path_factory) -> Path:
    workspace, found = evaluated
    copied = Workspace(shutil.copytree(workspace.folder, tmp_path_factory.mktemp("made") / "copy"))
    return make_bundle(copied, copied.runs / found.run, copied.folder / "card")
