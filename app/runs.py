"""Runs, as a screen shows them: files in, rows of text and numbers out.

Of a finished run only bytes that its trainer signed for are handed out; of one that goes on, what
is there, and it says so.

Does not see: whether the trainer told the truth. Its receipts and the ledger bind it to the data.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from app.view import minute, percent
from governance.attest import DRAWN
from governance.canon import parse_json, sha256
from governance.cards.drawn_files import drawn_evidence
from governance.errors import EvidenceMissing, PramanaError, Tampered
from governance.records import FINISHED, SPENT, as_object, json_object
from governance.statements import PROVENANCE, open_envelope, read_statement
from governance.verify import PROVENANCE_FILE, RESULT_FILE
from governance.workspace import Workspace
from training.records.heartbeat import HEARTBEAT_FILE, Sign

METRICS_FILE, SAMPLES_FILE, EVALUATION_FILE = "metrics.jsonl", "samples.png", "evaluation.json"
RUN_FILE = "run.json"
SCORE: Final = "all_attributes"  # in the evaluation; its module needs torch, so it is named here
PLOT_POINTS: Final = 400  # more than a plot has pixels for


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run that used a clearance. `margin_s` is what was left at the deadline, in seconds."""

    run: str
    started: str
    state: str
    steps: int | None = None
    samples: int | None = None
    margin_s: float | None = None
    score: str = ""
    score_interval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """One point of a loss plot: the mean over the steps up to this one."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRow:
    """One figure of what a run draws: a share of `pictures`, as text."""

    what: str
    share: str
    interval: str
    pictures: int
    note: str


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Files of a run, as the bytes that were checked. `signed`: the trainer signed for each."""

    signed: bool
    files: Mapping[str, bytes]


def run_rows(workspace: Workspace, *, now: float | None = None) -> list[RunRow]:
    """Return every run the ledger knows of, the latest first; what does not hold says so.

    `now` is in seconds since the epoch; it says how old a sign of life is.
    """
    now = time.time() if now is None else now
    started = [(str(e.body["run"]), e.at) for e in workspace.ledger.entries(SPENT)]
    return [_run_row(workspace, name, minute(at), now=now) for name, at in reversed(started)]


def run_files(workspace: Workspace, run: str, *names: str) -> RunFiles:
    """Return those files of a run that are there; of a finished run, only what was signed for.

    Raises:
        EvidenceMissing: the folder of the run, or its statement, is gone.
        Refused: the statement is not signed by a trainer key that is trusted.
        Tampered: a file is not the one that was signed for.
    """
    folder = workspace.runs / run
    if not folder.is_dir():
        raise EvidenceMissing(f"The folder of run {run} is gone; restore it.")
    found = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    ended = {str(e.body["run"]): e.body["result"] for e in workspace.ledger.entries(FINISHED)}
    if run not in ended:
        return RunFiles(signed=False, files=found)
    subjects = _signed_for(workspace, run)
    if subjects.get(RESULT_FILE) != ended[run]:
        raise Tampered(f"The result signed for run {run} is not the one the ledger recorded.")
    for name, data in found.items():
        if name in subjects and sha256(data) != subjects[name]:
            raise Tampered(f"The file {name} of run {run} was altered after the run; restore it.")
    return RunFiles(signed=True, files={n: d for n, d in found.items() if n in subjects})


def loss_rows(metrics: bytes) -> list[LossRow]:
    """Return the loss by step, as means over equal stretches. Raises UsageError, Tampered."""
    whole, _, _torn = metrics.rpartition(b"\n")  # a run may be writing its last line right now
    steps = [as_object(parse_json(line), "a training step") for line in whole.splitlines()]
    try:
        points = [(int(s["step"]), float(s["loss"])) for s in steps if s.get("loss") is not None]
    except (KeyError, TypeError, ValueError):
        raise Tampered("A training step lacks its number or its loss; restore the run.") from None
    width = -(-len(points) // PLOT_POINTS) or 1
    stretches = [points[at : at + width] for at in range(0, len(points), width)]
    return [LossRow(step=s[-1][0], loss=fmean(loss for _, loss in s)) for s in stretches]


def drawn_rows(workspace: Workspace, run: str) -> list[DrawnRow]:
    """Return the figures of what a run draws, as the auditor signed them; none where nobody asked.

    No picture is among them: they lie in their snapshot.

    Raises:
        EvidenceMissing, Tampered, Refused: as `drawn_evidence`.
    """
    record = drawn_evidence(workspace, run).get(DRAWN)
    figures = json_object(record, DRAWN)["figures"] if record else []
    return [
        DrawnRow(
            what=row["name"],
            share=percent(row["estimate"]),
            interval=f"{percent(row['low'])} to {percent(row['high'])}",
            pictures=row["n"],
            note=row["note"],
        )
        for row in figures
    ]


def _signed_for(workspace: Workspace, run: str) -> dict[str, str]:
    """Return the files of a finished run that its trainer signed for: name to SHA-256."""
    path = workspace.runs / run / PROVENANCE_FILE
    if not path.is_file():
        raise EvidenceMissing(f"The {PROVENANCE_FILE} of run {run} is gone; restore it.")
    trusted = workspace.keyring.trust().of("trainer")
    return read_statement(open_envelope(path.read_bytes(), trusted), PROVENANCE)[0]


def _run_row(workspace: Workspace, run: str, started: str, *, now: float) -> RunRow:
    try:
        kept = run_files(workspace, run, RUN_FILE, RESULT_FILE, EVALUATION_FILE, HEARTBEAT_FILE)
        beat = kept.files.get(HEARTBEAT_FILE) if not kept.signed else None
        life = Sign.read(beat).told(now) if beat else ""
        known = {name: as_object(parse_json(data), name) for name, data in kept.files.items()}
    except PramanaError as fault:
        return RunRow(run=run, started=started, state=f"✕ {fault}")
    said = known.get(RESULT_FILE if kept.signed else RUN_FILE, {})
    state = str(said.get("state", "unknown"))
    if life and state == "running":
        state = f"{state}: {life}"
    sign = "✓" if state == "finished" else "○"
    score, interval = _score(known.get(EVALUATION_FILE, {}))
    return RunRow(
        run=run,
        started=started,
        state=f"{sign} {state}, signed" if kept.signed else f"◷ {state}, not signed yet",
        steps=said.get("steps"),
        samples=said.get("samples_seen"),
        margin_s=said.get("margin_s"),
        score=score,
        score_interval=interval,
    )


def _score(evaluation: Mapping[str, object]) -> tuple[str, str]:
    """Return the share of unseen scenes drawn with every attribute right, and its interval."""
    score = evaluation.get(SCORE)
    if not isinstance(score, Mapping):
        return "", ""
    share, low, high = (percent(float(score[end])) for end in ("share", "low", "high"))
    return share, f"{low} to {high}"
