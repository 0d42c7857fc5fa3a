"""Withdrawals and runs that really happened: audited scenes, a tiny model, its own receipts."""

import csv
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app import planted, workflow
from app.clearing import clear
from app.rights import Impact, answer_lines, impact_line, impacts
from governance.canon import sha256
from governance.clearance import Terms
from governance.errors import Refused
from governance.records import Decision
from governance.rights.requests import Request, withdraw
from governance.rights.withdrawals import check_not_withdrawn
from governance.workspace import Workspace
from training.config import DataConfig, RunConfig, StageConfig, load_preset
from training.data.cleared import ClearedList
from training.data.samples import ClearedSamples
from training.records.journal import Journal
from training.records.receipt import Receipt, ReceiptLine
from training.records.record import quiet
from training.start import host_class, start

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rights")]
RUN, BUDGET_S, SCENES = "run-1", 12.0, 96
TODAY = date(2026, 11, 23)


@dataclass
class Ticking:
    """A clock that goes on a little each time it is asked; at one tick it does something."""

    now: float = 0.0
    asked: int = 0
    at: int = 0
    then: Callable[[], object] = int

    def __call__(self) -> float:
        self.asked += 1
        self.now += 0.05
        if self.asked == self.at:
            self.then()
        return self.now


def _config(batch_size: int = 8) -> RunConfig:
    """Return the micro preset, shrunk until a step takes a few milliseconds."""
    micro = load_preset("micro")
    return replace(
        micro,
        image_px=16,
        batch_size=batch_size,
        parts=1,
        model=replace(micro.model, width=16, depth=1, heads=2, bottleneck=8),
        text=replace(micro.text, vocabulary=300, width=8, depth=1, heads=2, mlp_width=8),
        schedule=replace(micro.schedule, checkpoint_s=0.5, save_guess_s=0.2, finish_guess_s=1.0),
        evaluation=replace(micro.evaluation, heldout_share=0.1, prompts=4, steps=2),
    )


def _scenes(folder: Path) -> Path:
    """Write scenes of which every third names whoever consented."""
    planted.write(folder, list(planted.scenes(SCENES, seed=3)))
    path = folder / "metadata.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "consent_ref"])
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow({**row, "consent_ref": f"consent-{number}" if number % 3 == 0 else ""})
    return folder


def _audited(workspace: Workspace, scenes: Path) -> workflow.Audited:
    return workflow.audit(
        workspace, [str(scenes)], packs=["commercial"], as_of=TODAY, bars=quiet, workers=1
    )


def _train(
    workspace: Workspace, decision: Decision, run: str, clock: Ticking, config: RunConfig
) -> None:
    terms = Terms(run_config=config.digest, budget_s=BUDGET_S, host=host_class())
    envelope = clear(workspace, decision, terms, preset="micro")
    clock.now = time.time() + 1.0  # after the clearance was issued
    start(
        folder=workspace.runs / run,
        envelope=envelope,
        trust=workspace.keyring.trust(),
        cleared=workspace.decision_folder(decision.id) / "cleared.parquet",
        snapshot=workspace.snapshot(decision.snapshot),
        config=config,
        ledger=workspace.ledger,
        memory=workspace.memory,
        started_at=clock.now,
        budget_s=BUDGET_S,
        clock=clock,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which scenes were audited, cleared and trained on. Do not alter it."""
    folder = tmp_path_factory.mktemp("trained")
    workspace = Workspace.at(folder / "workspace")
    decision = _audited(workspace, _scenes(folder / "scenes")).decision
    assert decision.verdict == "pass"
    _train(workspace, decision, RUN, Ticking(), _config())
    return workspace


@pytest.fixture
def own(trained: Workspace, tmp_path: Path) -> Workspace:
    """A copy that a test may alter."""
    return Workspace(Path(shutil.copytree(trained.folder, tmp_path / "workspace")))


@dataclass(frozen=True)
class Witnessed:
    """What the training reader's own order says, walked batch by batch as the loop does."""

    first_step: dict[str, int]
    heldout: set[str]
    lines: list[ReceiptLine]


@pytest.fixture(scope="module")
def walked(trained: Workspace) -> Witnessed:
    """Walk through the run again with the pictures themselves, and hold that to its receipts."""
    decision, config = trained.latest_decision(), _config()
    listed = ClearedList.read(trained.decision_folder(decision.id) / "cleared.parquet")
    envelope = (trained.runs / RUN / "clearance.json").read_bytes()
    samples = ClearedSamples.open(
        workflow.read_clearance(workflow.payload_of(envelope)),
        listed=listed,
        snapshot=trained.snapshot(decision.snapshot),
        image_px=config.image_px,
    )
    seen, heldout = samples.split(config.evaluation.heldout_share)
    journal = Journal(trained.runs / RUN / "receipts.jsonl").read()
    lines = [ReceiptLine.from_json(line) for line in journal]
    by_step = {line.step: line.receipt for line in lines}
    receipt, first = Receipt(), dict[str, int]()
    for step in range(1, lines[-1].step + 1):
        places = seen.places(config.seed, receipt.samples, config.batch_size)
        digests = [seen.digests[place] for place in places]
        receipt = receipt.extended(digests)
        for digest in digests:
            first.setdefault(digest.hex(), step)
        assert by_step.get(step, receipt.value.hex()) == receipt.value.hex()
    return Witnessed(first, {digest.hex() for digest in heldout.digests}, lines)


def test_the_step_and_checkpoints_that_saw_a_sample_are_those_of_the_receipts(
    trained: Workspace, walked: Witnessed
) -> None:
    assert len(walked.lines) > 4
    assert set(walked.first_step.values()) >= set(range(1, 10))
    for image, step in walked.first_step.items():
        (impact,) = impacts(trained, frozenset({image}))
        since = tuple(line.step for line in walked.lines if line.step >= step)
        assert impact == Impact(
            run=RUN, state="finished", trained=1, first_step=step, checkpoints=since
        )


def test_a_sample_that_was_kept_out_is_told_apart(trained: Workspace, walked: Witnessed) -> None:
    assert walked.heldout
    image = min(walked.heldout)
    (impact,) = impacts(trained, frozenset({image}))
    assert impact == Impact(run=RUN, state="finished", heldout=1)
    assert "kept 1 out of training" in impact_line(impact)


def test_an_image_the_run_was_not_cleared_on_touches_nothing(trained: Workspace) -> None:
    assert impacts(trained, frozenset({sha256(b"another")})) == []


def test_a_run_config_that_was_edited_hides_nothing(own: Workspace, walked: Witnessed) -> None:
    path = own.runs / RUN / "config.json"
    path.write_bytes(path.read_bytes().replace(b'"seed":', b'"seed":1'))
    (impact,) = impacts(own, frozenset(walked.first_step))
    assert "receipt of step" in impact.fault
    assert "counts as trained on all of them" in impact_line(impact)


def test_withdrawing_a_person_names_the_run_and_the_next_audit_leaves_them_out(
    own: Workspace, trained: Workspace
) -> None:
    decision = own.latest_decision()
    answer = withdraw(own, Request(subjects=("consent-0", "consent-3")), now=datetime.now(UTC))
    assert len(answer.found.images) == 2
    said = "\n".join(answer_lines(own, answer))
    assert f"run {RUN} (finished)" in said
    terms = Terms(run_config=_config().digest, budget_s=BUDGET_S, host=host_class())
    with pytest.raises(Refused, match=r"2 of the samples .* were withdrawn"):
        clear(own, decision, terms, preset="micro")
    with pytest.raises(Refused, match=r"2 of the samples .* were withdrawn"):
        workflow.train(
            own,
            preset="micro",
            budget_s=BUDGET_S,
            started_at=time.time(),
            bars=quiet,
            envelope=(own.runs / RUN / "clearance.json").read_bytes(),
        )
    again = _audited(own, trained.folder.parent / "scenes")
    assert (again.left_out, again.snapshot.samples) == (2, SCENES - 2)
    assert answer.found.images.isdisjoint(again.snapshot.manifest()["sha256"].to_pylist())
    check_not_withdrawn(own, again.decision)


def test_a_run_that_goes_on_is_stopped_and_says_what_it_never_came_to(
    own: Workspace, walked: Witnessed
) -> None:
    decision = own.latest_decision()
    images = frozenset(own.cleared(decision)["sha256"].to_pylist())

    def meanwhile() -> None:
        withdraw(own, Request(images=tuple(images)), now=datetime.now(UTC))

    with pytest.raises(Refused, match="revoked while the run went on"):
        _train(own, decision, "run-2", Ticking(at=40, then=meanwhile), _config(batch_size=1))
    assert {entry.body["run"] for entry in own.ledger.entries("card.flagged")} == {RUN, "run-2"}
    assert [entry.body["run"] for entry in own.ledger.entries("run.halted")] == ["run-2"]
    told = [entry.body for entry in own.ledger.entries("run.checkpoint")]
    steps = tuple(body["step"] for body in told if body["run"] == "run-2")
    last = steps[-1]  # of a batch of one
    impact = impacts(own, images)[1]
    assert impact == Impact(
        run="run-2", state="halted", trained=last, unseen=len(walked.first_step) - last,
        heldout=len(walked.heldout), first_step=1, checkpoints=steps,
    )  # fmt: skip
    assert impact.unseen > 0
    assert f"never came to {impact.unseen}, whose captions" in impact_line(impact)


def test_a_run_of_several_shapes_and_stages_is_walked_by_what_it_wrote_down(own: Workspace) -> None:
    decision, plain = own.latest_decision(), _config()
    first = StageConfig(time_share=0.4, image_px=8, batch_size=4, repa=True)
    shaped = DataConfig(keep="packed", shapes=3, widest=2.0)
    config = replace(plain, earlier=(first,), data=shaped, model=replace(plain.model, patch_px=4))
    _train(own, decision, "run-2", Ticking(), config)
    images = frozenset(own.cleared(decision)["sha256"].to_pylist())
    told = [e.body for e in own.ledger.entries("run.checkpoint") if e.body["run"] == "run-2"]
    steps = tuple(body["step"] for body in told)
    impact = impacts(own, images)[1]
    assert (impact.fault, impact.first_step, impact.checkpoints) == ("", 1, steps)
    assert impact.trained + impact.unseen + impact.heldout == len(images)
    for name in ("shapes.bin", "metrics.jsonl"):
        path = own.runs / "run-2" / name
        written = path.read_bytes()
        path.write_bytes(written[:-1] if name == "shapes.bin" else _one_step_lost(written))
        assert impacts(own, images)[1].fault
        path.unlink()
        assert f"The {name} of run run-2 is gone" in impacts(own, images)[1].fault
        path.write_bytes(written)
    assert impacts(own, images)[1] == impact


def _one_step_lost(metrics: bytes) -> bytes:
    """Return metrics with a step left out and another there twice, so that they are as long."""
    lines = metrics.splitlines(keepends=True)
    return b"".join([*lines[:2], *lines[3:], lines[-1]])
