"""What a withdrawal means for runs: which of them saw a sample, from which checkpoint on.

The order in which a run sees its samples is a function of its seed and their number, so it is
worked out again from the cleared list and the run config, and held to the receipts.

Does not see: whether weights can still be made to show a sample, or a run that left no receipts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
from training.data import ClearedSamples
from training.receipt import Receipt

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
    """What a run saw: images in the order of the first epoch, checkpoints, and what it kept out."""

    run: str
    batch_size: int
    order: tuple[str, ...]
    heldout: tuple[str, ...]
    steps: tuple[int, ...]

    @classmethod
    def read(cls, folder: Path, cleared: Sequence[str], told: Mapping[int, str]) -> Self:
        """Work the order out again, and hold it to the receipts.

        Args:
            folder: of the run.
            cleared: digests of the cleared images, in the list's order.
            told: the receipts that the ledger was told, by the step of their checkpoint.

        Raises:
            EvidenceMissing: the run config is gone.
            Tampered, UsageError: it, or the list, is not what was trained with.
        """
        path = folder / "config.json"
        if not path.is_file():
            raise EvidenceMissing(f"The run config of {folder.name} is gone; restore config.json.")
        config = RunConfig.from_json(parse_json(path.read_bytes()))
        blank = np.empty((len(cleared), 0), dtype=np.uint8)
        samples = ClearedSamples(blank, tuple(map(bytes.fromhex, cleared)), ("",) * len(cleared))
        trained, heldout = samples.split(config.evaluation.heldout_share)
        _check_receipts(told, trained, config)
        order = trained.places(config.seed, 0, len(trained))
        return cls(
            folder.name,
            config.batch_size,
            tuple(trained.digests[place].hex() for place in order),
            tuple(digest.hex() for digest in heldout.digests),
            tuple(sorted(told)),
        )

    def impact(self, images: frozenset[str], state: str) -> Impact:
        """Return what the run had to do with images."""
        last = self.steps[-1] if self.steps else 0
        firsts = [n // self.batch_size + 1 for n, image in enumerate(self.order) if image in images]
        trained = [step for step in firsts if step <= last]
        return Impact(
            run=self.run,
            state=state,
            trained=len(trained),
            unseen=len(firsts) - len(trained),
            heldout=sum(image in images for image in self.heldout),
            first_step=trained[0] if trained else None,
            checkpoints=tuple(step for step in self.steps if trained and step >= trained[0]),
        )


def _check_receipts(told: Mapping[int, str], trained: ClearedSamples, config: RunConfig) -> None:
    """Hold the order to the receipts of the first epoch, in which each sample stands once.

    Raises:
        Tampered: the run saw other samples, or in another order.
    """
    receipt = Receipt()
    for step in sorted(told):
        if receipt.samples >= len(trained):
            return
        more = step * config.batch_size - receipt.samples
        places = trained.places(config.seed, receipt.samples, more)
        receipt = receipt.extended(trained.digests[place] for place in places)
        if receipt.value.hex() != told[step]:
            raise Tampered(
                f"The receipt of step {step} is not of these samples in this order: the cleared "
                "list or the run config is not the one that was trained with."
            )


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
