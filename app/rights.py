"""What a withdrawal means for runs: which of them saw a sample, from which checkpoint on.

The order in which a run sees its samples is a function of its seed, their number and shapes, so it
is worked out again from the cleared list, the run config and what the run wrote down of shapes and
of steps, and held to the receipts: where a file was altered, these say so.

Does not see: whether weights can still be made to show a sample, or a run that left no receipts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np

from governance.canon import parse_json, printable
from governance.clearance import ISSUED
from governance.errors import EvidenceMissing, PramanaError, Tampered
from governance.records import RUN_ENDS, SPENT
from governance.rights.clocks import clock_lines
from governance.rights.handles import SEARCHED
from governance.rights.requests import Answer
from governance.rights.withdrawals import Withdrawal, withdrawals
from governance.workspace import Workspace
from training.config import RunConfig
from training.data.opening import SHAPES_FILE
from training.data.order import Order, ShapeNumbers
from training.data.samples import ClearedSamples
from training.records.journal import Journal
from training.records.receipt import Receipt

METRICS_FILE = "metrics.jsonl"
SHOWN = 20  # checkpoints named one by one
LOOSE = (
    "Only exact bytes count: a copy that was saved anew is another file. Trained weights stay as "
    "they are; whether they must change is not settled in law, ask counsel."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What one run had to do with withdrawn images.

    `trained` counts those its weights saw, `unseen` those it was to see and did not, `heldout`
    those it was only judged on. `first_step` is the step that first saw one, and `checkpoints` are
    the steps of the checkpoints from there on. `fault` says why none of this can be told, and then
    the run counts as one that saw them all.
    """

    run: str
    state: str
    trained: int = 0
    unseen: int = 0
    heldout: int = 0
    first_step: int | None = None
    checkpoints: tuple[int, ...] = ()
    fault: str = ""


def impacts(workspace: Workspace, images: frozenset[str]) -> list[Impact]:
    """Return what each run of a workspace had to do with images, in the order of their starts.

    Runs that were not cleared on any of them are left out.
    """
    ledger, found = workspace.ledger, list[Impact]()
    decisions = {str(e.body["clearance"]): str(e.body["decision"]) for e in ledger.entries(ISSUED)}
    ended = {str(e.body["run"]): kind for kind in RUN_ENDS for e in ledger.entries(kind)}
    told = defaultdict[str, dict[int, str]](dict)
    for body in (entry.body for entry in ledger.entries("run.checkpoint")):
        told[str(body["run"])][int(str(body["step"]))] = str(body["receipt"])
    for entry in ledger.entries(SPENT):
        clearance, run = str(entry.body["clearance"]), str(entry.body["run"])
        state = ended.get(run, "run.not ended").removeprefix("run.")
        try:
            cleared = workspace.cleared(workspace.decision(decisions[clearance]))
            digests = cleared["sha256"].to_pylist()
            if not images.isdisjoint(digests):
                seen = _Seen.read(workspace.runs / run, digests, told[run])
                found.append(seen.impact(images, state))
        except (PramanaError, KeyError) as fault:  # told with the run, which is not let off
            found.append(Impact(run=run, state=state, fault=str(fault)))
    return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a run saw: the step that first saw each image, checkpoints, and what it kept out."""

    run: str
    first: Mapping[str, int]
    trained: frozenset[str]
    heldout: frozenset[str]
    steps: tuple[int, ...]

    @classmethod
    def read(cls, folder: Path, cleared: Sequence[str], told: Mapping[int, str]) -> Self:
        """Work the order out again, and hold it to the receipts.

        Args:
            folder: of the run.
            cleared: digests of the cleared images, in the list's order.
            told: the receipts that the ledger was told, by the step of their checkpoint.

        Raises:
            EvidenceMissing: a file of the run is gone.
            Tampered, UsageError: it, or the list, is not what was trained with.
        """
        config = RunConfig.from_json(parse_json(_kept(folder, "config.json")))
        blank = np.empty((len(cleared), 0), dtype=np.uint8)
        digests = tuple(map(bytes.fromhex, cleared))
        shapes = _shapes(folder, config, len(cleared))
        samples = ClearedSamples(blank, digests, ("",) * len(cleared), shapes)
        trained, heldout = samples.split(config.evaluation.heldout_share)
        return cls(
            folder.name,
            _first_steps(folder, trained, config, told),
            frozenset(digest.hex() for digest in trained.digests),
            frozenset(digest.hex() for digest in heldout.digests),
            tuple(sorted(told)),
        )

    def impact(self, images: frozenset[str], state: str) -> Impact:
        """Return what the run had to do with images."""
        meant = images & self.trained
        trained = sorted(self.first[image] for image in meant if image in self.first)
        return Impact(
            run=self.run,
            state=state,
            trained=len(trained),
            unseen=len(meant) - len(trained),
            heldout=len(images & self.heldout),
            first_step=trained[0] if trained else None,
            checkpoints=tuple(step for step in self.steps if trained and step >= trained[0]),
        )


def _kept(folder: Path, name: str) -> bytes:
    """Return what a run wrote down. Raises EvidenceMissing."""
    path = folder / name
    if not path.is_file():
        raise EvidenceMissing(f"The {name} of run {folder.name} is gone; restore it.")
    return path.read_bytes()


def _shapes(folder: Path, config: RunConfig, samples: int) -> ShapeNumbers:
    """Return the shape of each cleared sample. Raises EvidenceMissing, Tampered."""
    if config.data.shapes == 1:
        return np.zeros(samples, np.uint8)
    shapes = np.frombuffer(_kept(folder, SHAPES_FILE), np.uint8)
    if len(shapes) != samples:
        raise Tampered(
            f"{SHAPES_FILE} of run {folder.name} speaks of {len(shapes)} samples and {samples} "
            "were cleared; restore it."
        )
    return shapes


def _ends(folder: Path, config: RunConfig, last: int) -> Iterable[int]:
    """Return how many samples were seen after each step, up to the last one that was told.

    Where stages have batches of other sizes, the run's metrics say when one followed on another.

    Raises:
        EvidenceMissing: the metrics are gone, or end before that step.
        Tampered: they do not count samples.
    """
    if not config.earlier:
        return range(config.batch_size, last * config.batch_size + 1, config.batch_size)
    _kept(folder, METRICS_FILE)
    lines = Journal(folder / METRICS_FILE).read()[:last]
    if len(lines) < last:
        raise EvidenceMissing(
            f"The {METRICS_FILE} of run {folder.name} ends at step {len(lines)}, and a checkpoint "
            f"of step {last} was told; restore it."
        )
    ends = [line.get("samples") for line in lines]
    if not all(isinstance(end, int) for end in ends):
        raise Tampered(f"A line of {METRICS_FILE} of run {folder.name} counts no samples.")
    return [int(str(end)) for end in ends]


def _first_steps(
    folder: Path, trained: ClearedSamples, config: RunConfig, told: Mapping[int, str]
) -> dict[str, int]:
    """Return the step that first saw each image, held to the receipts until all were seen.

    Raises:
        EvidenceMissing: a file of the run is gone.
        Tampered: the run saw other samples, or in another order.
    """
    order = Order.of(config, trained.shape_numbers)
    receipt, first, all_seen = Receipt(), dict[str, int](), len(set(trained.digests))
    for step, end in enumerate(_ends(folder, config, max(told, default=0)), start=1):
        _, places = order.after(receipt.samples, end - receipt.samples)
        digests = [trained.digests[place] for place in places]
        receipt = receipt.extended(digests)
        for digest in digests:
            first.setdefault(digest.hex(), step)
        if told.get(step, receipt.value.hex()) != receipt.value.hex():
            raise Tampered(
                f"The receipt of step {step} is not of these samples in this order: the cleared "
                "list or the run config is not the one that was trained with."
            )
        if len(first) == all_seen and step in told:
            break
    return first


def answer_lines(workspace: Workspace, answer: Answer) -> Iterator[str]:
    """Yield what a person is told who withdrew samples."""
    found = answer.found
    head = "withdrawn" if answer.is_new else "withdrawn before, nothing new"
    yield f"{head}: pictures {len(found.images)}, in the {found.snapshots} snapshots searched"
    yield f"  looked at: {SEARCHED}"
    yield from (
        f"✕ snapshot {root[:12]} could not be searched; restore it" for root in found.unread
    )
    touched = impacts(workspace, found.images)
    yield from map(impact_line, touched)
    if not touched:
        yield "no run was cleared on any of them"
    if answer.erased:
        yield f"keys of encrypted pictures erased: {answer.erased}; nobody can read them again here"
    if answer.preserved:
        yield (
            f"not erased: {answer.preserved}, because a case was opened on the picture (`pramana "
            "case list`); ask counsel before deleting"
        )
    yield from map(task_line, answer.withdrawals)
    yield "The next `pramana audit` leaves them out; until then nothing trains on what holds them."
    yield LOOSE


def impact_line(impact: Impact) -> str:
    """Return one line on what a run had to do with withdrawn pictures."""
    name = f"run {impact.run} ({impact.state})"
    if impact.fault:
        return f"✕ {name}: counts as trained on all of them, for it cannot be shown. {impact.fault}"
    said = []
    if impact.checkpoints:
        said.append(
            f"trained on {impact.trained}, first at step {impact.first_step}, so in the "
            f"checkpoints of step {_steps(impact.checkpoints)}"
        )
    if impact.unseen:
        said.append(f"never came to {impact.unseen}, whose captions are in its vocabulary")
    if impact.heldout:
        said.append(f"kept {impact.heldout} out of training, to be judged on")
    again = "; its card is flagged, export it again" if impact.state == "finished" else ""
    return f"{name}: {'; '.join(said)}{again}"


def _steps(steps: Sequence[int]) -> str:
    """Return steps as text: all of them where they are few, else the ends and how many."""
    if len(steps) <= SHOWN:
        return ", ".join(map(str, steps))
    return f"{steps[0]} to {steps[-1]}, which are {len(steps)}"


def task_line(made: Withdrawal, today: date | None = None) -> str:
    """Return one line on a task: what it covers, and by when it is due."""
    head = f"task {made.task}: pictures {len(made.images)}, asked {made.at[:10]}"
    if made.closing:
        by, note = printable(made.closing.by), printable(made.closing.note)
        return f"{head}, done {made.closing.at[:10]} by {by}: {note}"
    late = "OVERDUE, " if today and made.due_on < today.isoformat() else ""
    return f"{head}, {late}due {made.due_on} ({made.clock})"


def list_lines(workspace: Workspace, today: date) -> Iterator[str]:
    """Yield all tasks, the open ones first and of these the one that is due first; then the law."""
    made = withdrawals(workspace)
    for withdrawal in sorted(made, key=lambda w: (w.closing is not None, w.due_on)):
        yield task_line(withdrawal, today)
        if withdrawal.reason:
            yield f"  {printable(withdrawal.reason)}"
    if not made:
        yield "Nothing was withdrawn."
    yield from clock_lines(today)
