"""Attacks on a run: its weights, records and deadline while it was down, and what never was a run.

Does not see: another program that trains on the plain pictures; `limits` says so.
"""

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import edit, flip
from app.redteam.scratch import BUDGET_S, RUN, Scratch, Ticking, tiny
from governance.canon import Json, canonical, digest, file_sha256, parse_json
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.records import as_object

RECORDED: Final = "a run goes on from the checkpoint that the ledger was told of, byte for byte"
DEADLINE: Final = "a run that comes back comes back to the deadline it had"
INERT: Final = "a checkpoint is tensors and JSON: loading it runs no code"
CHAINED: Final = "a model without its chain is never shown as one that has it"
WEIGHTS = "weights.safetensors"


class _Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self._mark),)


def _while_down(attack: Callable[[Scratch], object]) -> Callable[[Scratch], Victim]:
    """Return an attack on a run that was cut off, which then goes on."""

    def act(scratch: Scratch) -> Victim:
        attack(scratch)
        return scratch.resume

    return act


def _edit_weights(scratch: Scratch) -> None:
    flip(_checkpoint(scratch) / WEIGHTS, at=-1)


def _vouch_for_weights(scratch: Scratch) -> None:
    """Edit the weights, and write their new digest into the receipts as well."""
    from training.checkpoint import FILES  # noqa: PLC0415  heavy

    _edit_weights(scratch)
    folder, path = _checkpoint(scratch), scratch.run / "receipts.jsonl"
    *lines, last = path.read_bytes().splitlines()
    record = {**_record(last), "checkpoint": digest({n: file_sha256(folder / n) for n in FILES})}
    path.write_bytes(b"".join(line + b"\n" for line in (*lines, canonical(record))))


def _edit_receipt(scratch: Scratch) -> None:
    edit(scratch.run / "receipts.jsonl", b'"receipt":"', b'"receipt":"0')


def _edit_counts(scratch: Scratch) -> None:
    edit(_checkpoint(scratch) / "counts.json", b'"step":', b'"step":9')


def _point_elsewhere(scratch: Scratch) -> None:
    (scratch.run / "latest").write_text("../../../../scenes")


def _move_deadline(scratch: Scratch) -> None:
    edit(scratch.run / "run.json", f'"budget_s":{BUDGET_S:g}'.encode(), b'"budget_s":99')


def _begin_later(scratch: Scratch) -> None:
    from training.records.record import RunRecord  # noqa: PLC0415  heavy

    record = RunRecord.read(scratch.run)
    if record is None:
        raise ValueError("the run left no record")
    replace(record, started_at=record.started_at + 1).write(scratch.run)


def _forget_record(scratch: Scratch) -> None:
    (scratch.run / "run.json").unlink()


def _pickled(scratch: Scratch) -> None:
    """Put a pickle where the weights were."""
    (_checkpoint(scratch) / WEIGHTS).write_bytes(pickle.dumps(_Bomb(scratch.folder / "owned")))


def _pickle_loaded(scratch: Scratch) -> Victim:
    """Put a pickle where the weights were, under a digest that an insider told the ledger."""
    from training import checkpoint  # noqa: PLC0415  heavy

    _pickled(scratch)
    folder, mark = _checkpoint(scratch), scratch.folder / "owned"
    recorded = digest({name: file_sha256(folder / name) for name in checkpoint.FILES})
    step = checkpoint.latest_step(scratch.run) or 0

    def victim() -> object:
        try:
            checkpoint.load(scratch.run, step, recorded=recorded, config=tiny())
        except Tampered as fault:
            if "cannot be read" not in str(fault):  # its digest is the one recorded
                raise
            return None if mark.exists() else Unharmed("safetensors read no tensors, ran nothing")
        return None

    return victim


def _late(scratch: Scratch) -> Victim:
    """Come back after the deadline, within the life of the clearance."""
    envelope = (scratch.run / "clearance.json").read_bytes()
    late = Ticking()
    late.now += BUDGET_S
    return partial(scratch.train, envelope, run=RUN, clock=late)


def _resumed_after_its_end(scratch: Scratch) -> Victim:
    return partial(scratch.train, (scratch.run / "clearance.json").read_bytes(), run=RUN)


def _signed_for(scratch: Scratch) -> Victim:
    """Swap the weights of a finished run before somebody exports it."""
    flip(_weights(scratch.run / "pipeline"))
    return lambda: scratch.export(scratch.folder / "again")


def _never_cleared(scratch: Scratch) -> Victim:
    """Bring weights that another program trained, as a run of this workspace."""
    folder = scratch.workspace.runs / "raw"
    shutil.copytree(scratch.run / "pipeline", folder / "pipeline")
    flip(_weights(folder / "pipeline"))

    def victim() -> None:
        from app import workflow  # noqa: PLC0415  heavy

        workflow.export_card(scratch.workspace, "raw", scratch.folder / "raw-card")

    return victim


def _borrowed_chain(scratch: Scratch) -> Victim:
    """Bring them with the whole chain of a run that was cleared."""
    folder = scratch.workspace.runs / "raw"
    shutil.copytree(scratch.run, folder)
    flip(_weights(folder / "pipeline"))

    def victim() -> None:
        from app import workflow  # noqa: PLC0415  heavy

        workflow.export_card(scratch.workspace, "raw", scratch.folder / "raw-card")

    return victim


def _checkpoint(scratch: Scratch) -> Path:
    return scratch.run / "checkpoints" / (scratch.run / "latest").read_text()


def _weights(pipeline: Path) -> Path:
    return pipeline / "transformer" / "diffusion_pytorch_model.safetensors"


def _record(line: bytes) -> dict[str, Json]:
    return as_object(parse_json(line), "a receipt")


_resume = partial(
    Attack, threat="weights swapped", holds=RECORDED, error=Tampered, ground="cut off"
)
_time = partial(Attack, threat="deadline moved", holds=DEADLINE, error=Tampered, ground="cut off")
_chain = partial(Attack, threat="training on raw data", holds=CHAINED, ground="finished")

ATTACKS: Final = (
    _resume(
        name="the weights are edited while the run is down", act=_while_down(_edit_weights),
        check="was recorded when it was made",
    ),
    _resume(
        name="the weights are edited, and the receipts vouch for them",
        act=_while_down(_vouch_for_weights), check="are not those that the ledger was told",
    ),
    _resume(
        name="a receipt is edited", act=_while_down(_edit_receipt),
        check="are not those that the ledger was told",
    ),
    _resume(
        name="the counts of a checkpoint are edited", act=_while_down(_edit_counts),
        check="was recorded when it was made",
    ),
    _resume(
        name="the pointer to the checkpoint leads elsewhere", act=_while_down(_point_elsewhere),
        check="names no checkpoint",
    ),
    _resume(
        name="the weights are swapped before the card is made", act=_signed_for,
        ground="finished", check="was altered after the run ended",
    ),
    _time(
        name="the budget in the run's record is raised", act=_while_down(_move_deadline),
        check="is not what the ledger was told",
    ),
    _time(
        name="its start is moved", act=_while_down(_begin_later),
        check="is not what the ledger was told",
    ),
    _time(
        name="the record is deleted, for a new budget", act=_while_down(_forget_record),
        error=Refused, check="clearance (5)",
    ),
    _time(name="a run comes back after its deadline", act=_late, error=Refused, check="expired"),
    _time(
        name="a finished run is started again", act=_resumed_after_its_end, ground="finished",
        error=Refused, check="is over",
    ),
    Attack(
        name="a pickle is put where the weights were", threat="malicious pickle", holds=INERT,
        act=_while_down(_pickled), ground="cut off", error=Tampered,
        check="was recorded when it was made",
    ),
    Attack(
        name="a pickle is loaded under a digest that an insider recorded",
        threat="malicious pickle", holds=INERT, act=_pickle_loaded, ground="cut off",
    ),
    _chain(
        name="weights of another program are shown as a run", act=_never_cleared,
        error=EvidenceMissing, check="has not ended",
    ),
    _chain(
        name="they are shown with the chain of a cleared run", act=_borrowed_chain,
        error=Tampered, check="was altered after the run ended",
    ),
)  # fmt: skip
