"""Scratch: a small workspace of an attack's own, and what its owners would do with it.

Does not see: the size of real data. Fifty scenes go the same path as fifty million would.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from governance.clearance import Terms
from governance.records import Decision
from governance.signers.keys import Keyring, signer_at
from governance.signers.trust import Trust
from governance.snapshot import Snapshot
from governance.workspace import Workspace

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from app.workflow import Audited
    from training.config import RunConfig
    from training.records.record import Result

Ground: TypeAlias = Literal["audited", "cut off", "finished", "sealed", "waivable", "waived"]
PACKS: Final = ("commercial",)
BUDGET_S, TICK_S = 6.0, 0.05
RUN: Final = "run-1"
OWNER, ENGINEER, LAWYERS, OFFICER = "olga", "emil", ("lena", "luis"), "dora"
PEOPLE: Final = (
    ("owner", OWNER),
    ("engineer", ENGINEER),
    *(("legal", name) for name in LAWYERS),
    ("dpo", OFFICER),
    ("dpo", LAWYERS[0]),  # one person, two keys
    ("legal", OWNER),
)
# Rules by which samples are excluded here, and that a waiver could set aside.
DISPUTED, FORBIDDEN = "COM-LICENCE-DISPUTED", "COM-LICENCE-FORBIDDEN"


@dataclass
class Ticking:
    """A clock that goes on a little each time it is asked, so that a run is as long anywhere."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        self.now += TICK_S
        return self.now


@dataclass(frozen=True, slots=True)
class Scratch:
    """Ground of one attack's own: pictures, workspace, and what their owners would do with them."""

    folder: Path

    @property
    def scenes(self) -> Path:
        """The folder of pictures that was audited."""
        return self.folder / "scenes"

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace(self.folder / "workspace")

    @property
    def bundle(self) -> Path:
        """Where the bundle of the finished run lies."""
        return self.folder / "card"

    @property
    def run(self) -> Path:
        """The folder of the run that was made with the ground."""
        return self.workspace.runs / RUN

    @property
    def keyring(self) -> Keyring:
        """The private keys, as a thief would have them."""
        return self.workspace.keyring

    @property
    def trust(self) -> Trust:
        """The trust file as it stands."""
        return self.keyring.trust()

    @property
    def decision(self) -> Decision:
        """The latest decision."""
        return self.workspace.latest_decision()

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the latest decision."""
        return self.workspace.snapshot(self.decision.snapshot)

    @property
    def cleared(self) -> Path:
        """The list of cleared samples."""
        return self.workspace.decision_folder(self.decision.id) / "cleared.parquet"

    @property
    def pinned(self) -> Trust:
        """The trust file an outsider was given when the ground was made."""
        return Trust.from_bytes((self.folder / "pinned.json").read_bytes())

    def person(self, role: str, name: str) -> "Signer":
        """Return the signer of a person."""
        return signer_at(self.keyring.folder / "people" / f"{name}-{role}.pem", role)

    def audit(
        self,
        source: Path | None = None,
        *,
        packs: Sequence[str] = PACKS,
        sealed: bool = False,
        days_on: int = 0,
    ) -> "Audited":
        """Audit a source as its owner would, or the pictures again. Raises what an audit raises."""
        from app import workflow  # noqa: PLC0415  heavy
        from training.records.record import quiet  # noqa: PLC0415  heavy

        return workflow.audit(
            self.workspace,
            [str(source or self.scenes)],
            packs=packs,
            as_of=datetime.now(UTC).date() + timedelta(days=days_on),
            bars=quiet,
            workers=1,
            sealed=sealed,
        )

    def ask(self, config: "RunConfig | None" = None) -> bytes:
        """Ask the gate for a clearance under the latest decision. Raises what the gate raises."""
        from app.clearing import clear  # noqa: PLC0415  heavy
        from app.weights import weights_of  # noqa: PLC0415  heavy

        config = config or tiny()
        weights = weights_of(self.workspace, config)
        return clear(self.workspace, self.decision, terms(config), preset="micro", weights=weights)

    def train(
        self,
        envelope: bytes | None = None,
        *,
        run: str = "run-2",
        config: "RunConfig | None" = None,
        budget_s: float = BUDGET_S,
        clock: Callable[[], float] | None = None,
        at_step: Callable[[int], object] = int,
        cleared: Path | None = None,
    ) -> "Result":
        """Train the smallest model there is, under a clearance or what the gate gives.

        Args:
            envelope: a clearance; None asks the gate.
            run: the name of the run.
            config: another run config than the tiny one.
            budget_s: another budget.
            clock: another clock.
            at_step: told the number of each step, and may do as it likes.
            cleared: another list of samples.

        Raises:
            PramanaError: what the gate and the trainer raise.
        """
        from app import workflow  # noqa: PLC0415  heavy
        from app.clearing import check_may_train  # noqa: PLC0415  heavy
        from app.keeper import unlock  # noqa: PLC0415  heavy
        from training.start import start  # noqa: PLC0415  heavy

        workspace, envelope = self.workspace, envelope or self.ask()
        clock = clock or Ticking()
        decision, folder = self.decision, workspace.runs / run
        check_may_train(workspace, decision)
        result = start(
            folder=folder,
            envelope=envelope,
            trust=self.trust,
            cleared=cleared or self.cleared,
            snapshot=workspace.snapshot(decision.snapshot),
            config=config or tiny(),
            ledger=workspace.ledger,
            memory=workspace.memory,
            unlock=partial(unlock, workspace, folder),
            started_at=clock(),
            budget_s=budget_s,
            clock=clock,
            bars=_stepping(at_step),
        )
        workflow.sign_run(workspace, folder)
        return result

    def resume(self) -> "Result":
        """Go on with the run that was cut off. Raises what the trainer raises."""
        envelope = (self.run / "clearance.json").read_bytes()
        clock = Ticking(now=_began(self.run) + BUDGET_S / 2)
        return self.train(envelope, run=RUN, clock=clock)

    def export(self, out: Path) -> Path:
        """Write the bundle of the run. Raises what exporting raises."""
        from app import workflow  # noqa: PLC0415  heavy

        return workflow.export_card(self.workspace, RUN, out)


def tiny() -> "RunConfig":
    """Return the micro preset, shrunk until a step takes a few milliseconds."""
    from training.config import load_preset  # noqa: PLC0415  heavy

    micro = load_preset("micro")
    return replace(
        micro,
        image_px=16,
        batch_size=8,
        model=replace(micro.model, width=16, depth=1, heads=2, bottleneck=8),
        text=replace(micro.text, vocabulary=300, width=8, depth=1, heads=2, mlp_width=8),
        schedule=replace(micro.schedule, checkpoint_s=1.0, save_guess_s=0.2, finish_guess_s=1.0),
        evaluation=replace(micro.evaluation, heldout_share=0.1, prompts=4, steps=2),
    )


def terms(config: "RunConfig | None" = None) -> Terms:
    """Return what a clearance of a run binds; of the tiny run where no other is given."""
    from training.start import terms_of  # noqa: PLC0415  heavy

    return terms_of(config or tiny(), BUDGET_S)


def _stepping(
    at_step: Callable[[int], object],
) -> Callable[[str, int | None], Callable[[int], int]]:
    """Return bars that show nothing, and tell of each step of training."""
    count = 0

    def advanced(what: str, done: int) -> int:
        nonlocal count
        if what == "training":
            count += 1
            at_step(count)
        return done

    return lambda what, _total: partial(advanced, what)


def _began(run: Path) -> float:
    from training.records.record import RunRecord  # noqa: PLC0415  heavy

    record = RunRecord.read(run)
    return record.started_at if record else 0.0
