"""Compiling the denoiser's blocks, if that pays within what is left of the run.

Decided in the run: steps are timed as they are, the blocks are compiled, steps are timed again, and
the faster way is kept. Everything happens within steps, so the deadline is charged for all of it.

Does not see: a stage with larger pictures that comes later, for which blocks are compiled once
more; and what a neighbour on the machine did to one half of the comparison.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal

import torch

from governance.canon import Json
from training.denoiser import THROUGH, attend
from training.team.sharding import work_by

if TYPE_CHECKING:
    from diffusers import PRXTransformer2DModel

GUESS_S = 60.0  # before it is measured: blocks of 3.6 million parameters took 53 s on a CPU
GAIN_SHARE = 0.2  # of a step, before it is measured: 21 to 39 % of processor time were saved there
MARGIN = 2.0  # how often a guess must pay for itself before it is tried
SETTLING = 3  # steps that are not timed, after a start and after compiling
TIMED = 12  # steps that are, of each way
Phase = Literal["as they are", "compiling", "compiled", "decided"]


def compile_pays(*, eager_s: float, compiled_s: float, compile_s: float, steps_left: float) -> bool:
    """Return whether compiling saves more seconds over the steps to come than it takes."""
    return steps_left * (eager_s - compiled_s) > compile_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, and the seconds of a step on which that stands; None what was not timed."""

    compiled: bool
    at_step: int
    eager_s: float
    compiled_s: float | None
    compile_s: float | None
    why: str

    def to_json(self) -> dict[str, Json]:
        """Return the decision as JSON."""
        return asdict(self)


@dataclass(slots=True, eq=False, kw_only=True)
class Trial:
    """Both ways, tried one after the other. `use` puts blocks compiled, or as they are, to work.

    `agreed` returns what the first process says, for all must go the same way; `told` hears it.
    """

    use: Callable[[bool], None]
    agreed: Callable[[bool], bool]
    told: Callable[[Decision], None]
    train_s: float = 0.0
    phase: Phase = "as they are"
    decision: Decision | None = None
    steps: int = 0
    took: list[float] = field(default_factory=list)
    eager_s: float = 0.0
    spent_s: float = 0.0

    def stepped(self, train_s: float, *, steps_left: float) -> None:
        """Take note of a step; go on to the next phase when this one has seen enough.

        Args:
            train_s: seconds of all steps so far.
            steps_left: about how many are to come.
        """
        if self.phase == "decided":
            return
        self.steps += 1
        self.took.append(train_s - self.train_s)
        self.train_s = train_s
        if len(self.took) < SETTLING + (0 if self.phase == "compiling" else TIMED):
            return
        if self.phase == "as they are":
            self._try(steps_left)
        elif self.phase == "compiling":
            self.spent_s, self.took, self.phase = sum(self.took), [0.0] * SETTLING, "compiled"
        else:
            self._decide(steps_left)

    def _try(self, steps_left: float) -> None:
        """Compile, unless not even the guess would pay."""
        self.eager_s, self.took = median(self.took[SETTLING:]), []
        hoped_s = (1 - GAIN_SHARE) * self.eager_s
        pays = compile_pays(
            eager_s=self.eager_s,
            compiled_s=hoped_s,
            compile_s=MARGIN * GUESS_S,
            steps_left=steps_left,
        )
        if not self.agreed(pays):
            self._close(compiled=False, why="too little time is left for a guess of it to pay")
            return
        self.use(True)  # noqa: FBT003  its only argument
        self.phase = "compiling"

    def _decide(self, steps_left: float) -> None:
        """Keep the faster way. What compiling took is spent either way."""
        compiled_s = median(self.took[SETTLING:])
        pays = compile_pays(
            eager_s=self.eager_s, compiled_s=compiled_s, compile_s=0.0, steps_left=steps_left
        )
        kept = self.agreed(pays)
        self.use(kept)
        why = "compiled steps are faster" if kept else "compiled steps are no faster"
        self._close(compiled=kept, why=why, compiled_s=compiled_s)

    def _close(self, *, compiled: bool, why: str, compiled_s: float | None = None) -> None:
        compile_s = None
        if compiled_s is not None:  # what the first steps took beyond what they take afterwards
            compile_s = max(0.0, self.spent_s - SETTLING * compiled_s)
        self.decision = Decision(
            compiled=compiled,
            at_step=self.steps,
            eager_s=self.eager_s,
            compiled_s=compiled_s,
            compile_s=compile_s,
            why=why,
        )
        self.phase = "decided"
        self.told(self.decision)


def through_blocks(transformer: "PRXTransformer2DModel") -> Callable[[bool], None]:
    """Return what puts the transformer's blocks to work compiled, or as they are.

    One compiled function serves all blocks, for they are alike and their weights are its arguments.
    """
    compiled = torch.compile(attend, fullgraph=True)
    spread = THROUGH in vars(transformer)

    def use(faster: bool) -> None:  # noqa: FBT001  its only argument
        work = compiled if faster else attend
        if spread:
            work_by(transformer, work)
        else:
            setattr(transformer, THROUGH, work)

    return use
