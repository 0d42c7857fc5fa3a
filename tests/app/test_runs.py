"""Rows of runs: only what was signed for, or a word that it is not; and no number from the rest."""

import shutil
from dataclasses import asdict

import pytest

from app import runs
from governance.canon import canonical, parse_json
from governance.errors import Refused, Tampered
from governance.statements import PROVENANCE, sign, statement
from governance.workspace import Workspace
from training.records.heartbeat import HEARTBEAT_FILE


@pytest.fixture
def run(workspace: Workspace) -> str:
    return runs.run_rows(workspace)[0].run


def test_a_finished_run_is_one_row_of_what_was_signed(workspace, run):
    [row] = runs.run_rows(workspace)
    assert row.state == "✓ finished, signed"
    assert (row.steps, row.samples, row.margin_s) == (640, 20480, 2.6)
    assert (row.score, row.score_interval) == ("83.0 %", "79.0 % to 87.0 %")


def test_the_score_shown_is_the_one_the_trainer_writes(workspace, run):
    from training.evaluate.heldout import ALL, Score  # noqa: PLC0415  heavy

    score = asdict(Score.of(53, 64))
    written = parse_json((workspace.runs / run / runs.EVALUATION_FILE).read_bytes())
    assert runs.SCORE == ALL
    assert set(written) == {ALL}
    assert set(written[ALL]) == set(score)


@pytest.mark.parametrize("name", ["result.json", "evaluation.json"])
def test_an_altered_result_shows_as_altered_and_shows_no_numbers(copy, run, name):
    path = copy.runs / run / name
    path.write_bytes(path.read_bytes().replace(b"6", b"7").replace(b"83", b"98"))
    [row] = runs.run_rows(copy)
    assert row.state.startswith(f"✕ The file {name}")
    assert (row.steps, row.score) == (None, "")


@pytest.mark.parametrize("name", [runs.METRICS_FILE, runs.SAMPLES_FILE])
def test_an_altered_file_of_a_finished_run_is_not_shown(copy, run, name):
    path = copy.runs / run / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(Tampered, match=f"{name} of run {run} was altered"):
        runs.run_files(copy, run, name)


def test_a_file_nobody_signed_for_is_not_shown(copy, run):
    (copy.runs / run / "added.png").write_bytes(b"picture")
    shown = runs.run_files(copy, run, "added.png", runs.SAMPLES_FILE)
    assert (shown.signed, set(shown.files)) == (True, {runs.SAMPLES_FILE})


def test_a_statement_by_another_key_than_the_trainers_is_refused(copy, run):
    forged = statement(PROVENANCE, subjects={"result.json": "0" * 64}, predicate={})
    path = copy.runs / run / "provenance.json"
    path.write_bytes(sign(forged, copy.keyring.signer("card")))
    with pytest.raises(Refused, match="No signature"):
        runs.run_files(copy, run, "result.json")


def test_a_result_signed_anew_is_not_the_one_the_ledger_recorded(copy, run):
    anew = statement(PROVENANCE, subjects={"result.json": "0" * 64}, predicate={})
    path = copy.runs / run / "provenance.json"
    path.write_bytes(sign(anew, copy.keyring.signer("trainer")))
    with pytest.raises(Tampered, match="not the one the ledger recorded"):
        runs.run_files(copy, run, "result.json")


def test_a_run_that_goes_on_shows_what_is_there_and_says_it_is_not_signed(copy):
    copy.ledger.spend("c" * 64, "run-b")
    copy.ledger.append("run.started", {"run": "run-b"})
    (copy.runs / "run-b").mkdir()
    (copy.runs / "run-b" / "run.json").write_bytes(canonical({"state": "running"}))
    latest, _ = runs.run_rows(copy)
    assert (latest.run, latest.state, latest.steps) == ("run-b", "◷ running, not signed yet", None)
    assert not runs.run_files(copy, "run-b", "run.json").signed


@pytest.mark.parametrize(
    ("age_s", "shown"),
    [
        (4, "◷ running: training, step 312, seen 4 s ago, 56 s left, not signed yet"),
        (16, "◷ running: no sign of life for 16 s (training, step 312), not signed yet"),
    ],
    ids=["alive", "stale after three periods"],
)
def test_a_run_that_goes_on_shows_how_old_its_last_sign_of_life_is(copy, age_s, shown):
    copy.ledger.spend("c" * 64, "run-b")
    folder = copy.runs / "run-b"
    folder.mkdir()
    (folder / "run.json").write_bytes(canonical({"state": "running"}))
    beat = {"at": 1000, "deadline_at": 1060, "phase": "training", "step": 312, "period_s": 5}
    (folder / HEARTBEAT_FILE).write_bytes(canonical(beat))
    assert runs.run_rows(copy, now=1000.0 + age_s)[0].state == shown


def test_a_run_whose_folder_is_gone_says_so(copy, run):
    shutil.rmtree(copy.runs / run)
    [row] = runs.run_rows(copy)
    assert row.state == f"✕ The folder of run {run} is gone; restore it."


def test_a_folder_the_ledger_does_not_know_is_no_run(copy):
    (copy.runs / "![px](x)").mkdir()
    assert len(runs.run_rows(copy)) == 1


def test_the_loss_is_the_mean_of_equal_stretches_and_a_torn_line_is_left_out():
    whole = b"".join(b'{"loss":%d,"step":%d}\n' % (step % 2, step) for step in range(1, 4001))
    rows = runs.loss_rows(whole + b'{"loss":99,"st')
    assert len(rows) == runs.PLOT_POINTS
    assert {row.loss for row in rows} == {0.5}
    assert rows[-1].step == 4000


def test_a_step_without_a_loss_is_no_point():
    assert runs.loss_rows(b'{"loss":null,"step":1}\n{"loss":2,"step":2}\n') == [
        runs.LossRow(step=2, loss=2.0)
    ]
    assert runs.loss_rows(b"") == []


@pytest.mark.parametrize(
    "line", [b"[1]", b'{"loss":1}', b'{"loss":"x","step":1}'], ids=["list", "no step", "text"]
)
def test_a_line_that_is_no_training_step_is_a_fault(line):
    with pytest.raises(Tampered, match="training step"):
        runs.loss_rows(line + b"\n")
