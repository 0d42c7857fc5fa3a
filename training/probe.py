"""A probe: what a run's own journal says of speed on this machine, in place of a projection.

Reads the folder of a run that trained here: `metrics.jsonl` (a line a step), `config.json`,
`run.json`, `clearance.json` and, once it ended, `evaluation.json`.

Does not see: another machine, another model, or a count of accelerators it did not run on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from governance.clearance import read_clearance
from governance.errors import EvidenceMissing
from governance.records import json_object
from governance.statements import payload_of
from training.config import RunConfig
from training.interval import Interval
from training.journal import Journal
from training.recipe import Recipe
from training.record import RunRecord

NEEDED = ("run.json", "config.json", "clearance.json")
FEWEST_STEPS = 20  # before a median says something


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Speed as measured: seconds a step, their mean, fifth and ninety-fifth hundredth.

    `picture_s` is what drawing one picture took, None where the run drew none yet. `lost_s` went to
    reading, rehearsing and finishing.
    """

    run: str
    host: str
    config: RunConfig
    steps: int
    step_s: Interval
    lost_s: float
    picture_s: float | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a run by its folder or its `metrics.jsonl`.

        Raises:
            EvidenceMissing: a file is gone, or there are too few steps to say anything.
            Tampered, UsageError: a file is not what a run writes.
        """
        folder = path.parent if path.is_file() else path
        record = RunRecord.read(folder)
        missing = [name for name in NEEDED if not (folder / name).is_file()]
        if record is None or record.reserve is None or missing:
            raise EvidenceMissing(
                f"{folder.name} is no folder of a run that trained: it lacks "
                f"{', '.join(missing) or 'a first step'}; name .pramana/runs/RUN/metrics.jsonl."
            )
        config = json_object((folder / "config.json").read_bytes(), "config.json")
        lines = Journal(folder / "metrics.jsonl").read()
        seconds = [float(str(line["seconds"])) for line in lines]
        took = sorted(b - a for a, b in zip([0.0, *seconds], seconds, strict=False))
        if len(took) < FEWEST_STEPS:
            raise EvidenceMissing(
                f"Run {record.run} has {len(took)} steps; a probe needs {FEWEST_STEPS}. Train "
                "longer, or plan without it."
            )
        return cls(
            run=record.run,
            host=read_clearance(payload_of((folder / "clearance.json").read_bytes())).host,
            config=RunConfig.from_json(config),
            steps=len(took),
            step_s=_spread(took),
            lost_s=record.training_began_at - record.started_at + record.reserve.seconds(),
            picture_s=_picture_s(folder / "evaluation.json"),
        )

    @property
    def recipe(self) -> Recipe:
        """Return the recipe that was measured."""
        return Recipe.of(self.config)

    @property
    def flops_per_s(self) -> Interval:
        """Return the operations a second that training reached."""
        recipe = self.recipe
        return self.step_s.under(self.config.batch_size * recipe.image_flops(recipe.stages[0]))

    def is_of(self, accelerator: str) -> bool:
        """Return whether it ran on such an accelerator, by the host class of its clearance."""
        return accelerator.casefold() in self.host.casefold()

    @property
    def source(self) -> str:
        """Return where the figures come from, in words."""
        return f"run {self.run} on {self.host}, {self.steps:,} steps"


def _spread(took: list[float]) -> Interval:
    """Return the mean of sorted seconds, between a fast one and a slow one."""
    mean, count = sum(took) / len(took), len(took)
    return Interval(mean, min(mean, took[count // 20]), max(mean, took[count - 1 - count // 20]))


def _picture_s(path: Path) -> float | None:
    if not path.is_file():
        return None
    said = json_object(path.read_bytes(), path.name).get("seconds_per_picture")
    return float(said) if isinstance(said, int | float) and said > 0 else None
