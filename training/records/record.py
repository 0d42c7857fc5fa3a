"""What a run writes about itself, and what it tells while it goes on.

Does not see: whether it is true. The ledger holds the same figures, and it is signed.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

from governance.canon import Json, canonical, write_whole
from governance.errors import Tampered
from governance.records import as_object, json_object
from training.budget import Reserve

State: TypeAlias = Literal["running", "finished", "late", "expired", "halted"]
Bar: TypeAlias = Callable[[int], object]  # told how many more are done
Bars: TypeAlias = Callable[[str, int | None], Bar]  # told what begins, and how many there are
RUN_FILE, RESULT_FILE = "run.json", "result.json"


def quiet(_what: str, _total: int | None) -> Bar:
    """Show nothing."""
    return lambda _count: None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """`run.json`: when the run began, until when it may last. Times are seconds since the epoch.

    `training_began_at` is where the training window opens, and `setup_s` what reading took before
    it, which a run that comes back needs again; both are 0 until then. `reserve` is what the latest
    checkpoint knew of finishing, saving and steps, so that a run that comes back late does not
    guess; `steps_expected` how many steps it thought there would be in all. `forecast` was made
    once, early on, and `compiled` says whether compiling paid, where that was tried.
    """

    run: str
    clearance: str
    started_at: float
    budget_s: float
    state: State = "running"
    training_began_at: float = 0.0
    setup_s: float = 0.0
    reserve: Reserve | None = None
    steps_expected: int = 0
    forecast: Mapping[str, Json] | None = None
    compiled: Mapping[str, Json] | None = None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the record of a run folder, or None on a fresh start. Raises Tampered."""
        path = folder / RUN_FILE
        if not path.is_file():
            return None
        try:
            said = json_object(path.read_bytes(), RUN_FILE)
            kept = said.pop("reserve", None)
            return cls(**said, reserve=Reserve(**as_object(kept, "a reserve")) if kept else None)
        except TypeError as fault:
            raise Tampered(f"{RUN_FILE} is not the record of a run: {fault}.") from None

    def started(self) -> dict[str, Json]:
        """Return what the ledger is told at the start, and holds the record to afterwards."""
        return {
            "run": self.run,
            "clearance": self.clearance,
            "started_at": self.started_at,
            "budget_s": self.budget_s,
        }

    def write(self, folder: Path) -> None:
        """Write the record into its folder."""
        write_whole(folder / RUN_FILE, canonical(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`result.json`: how a run ended.

    `receipt` covers every sample seen. `margin_s` is positive when the run ended in time. `joules`
    sum over the receipt lines, so over training and its checkpoints, and `joules_method` says how
    they are known; `flops` are counted from shapes, of training alone. `cost` is of the whole run
    at the rate its operator declared, None where none is declared. `forecast` is what was expected
    early on, and by which share it was off; None where nothing was. `pipeline` is SHA-256 by name.
    """

    run: str
    preset: str
    clearance: str
    state: State
    steps: int
    samples_seen: int
    receipt: str
    checkpoint: str
    seconds: float
    margin_s: float
    train_s: float
    parameters: int
    flops: float
    joules: float
    joules_low: float
    joules_high: float
    joules_method: str
    cost: float | None
    currency: str
    captions_truncated: int
    forecast: Mapping[str, Json] | None = None
    pipeline: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        """Return the result as JSON."""
        return asdict(self)

    def summary(self) -> str:
        """Return one line for people."""
        side = "before" if self.margin_s >= 0 else "after"
        return (
            f"{self.state} {abs(self.margin_s):.1f} s {side} the deadline, {self.steps:,} steps on "
            f"{self.samples_seen:,} samples"
        )
