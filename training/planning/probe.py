"""A probe: what a run's own journal says of speed on this machine, in place of a projection.

Reads the folder of a run that trained here: `metrics.jsonl` (a line a step), `config.json`,
`run.json`, `clearance.json` and, once it ended, `evaluation.json`.

Does not see: another machine, another model, or a count of accelerators it did not run on.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from governance.canon import canonical, digest, write_whole
from governance.clearance import read_clearance
from governance.errors import EvidenceMissing, Tampered
from governance.records import json_object
from governance.statements import payload_of
from training.config import RunConfig, load_preset
from training.planning.interval import Interval
from training.planning.recipe import Recipe
from training.records.journal import Journal
from training.records.record import RunRecord

KEPT = ".probe.json"  # how the name of a probe ends that lies beside its preset
NEEDED = ("run.json", "config.json", "clearance.json")
FEWEST_STEPS = 20  # before their spread says something
TAIL = 20  # one step in so many is slower than what counts as slow, and one faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Speed as measured: operations a second, over all steps, in a slow step and in a fast one.

    `picture_s` is what drawing one picture took, None where the run drew none yet. `lost_s` went to
    reading, rehearsing and finishing.
    """

    run: str
    host: str
    config: RunConfig
    steps: int
    flops_per_s: Interval
    lost_s: float
    picture_s: float | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a run by its folder or its `metrics.jsonl`.

        Raises:
            EvidenceMissing: a file is gone, or there are too few steps to say anything.
            Tampered, UsageError: a file is not what a run writes.
        """
        if path.name.endswith(KEPT):
            return cls.kept(path)
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
        took = [b - a for a, b in zip([0.0, *seconds], seconds, strict=False)]
        if len(took) < FEWEST_STEPS:
            raise EvidenceMissing(
                f"Run {record.run} has {len(took)} steps; a probe needs {FEWEST_STEPS}. Train "
                "longer, or plan without it."
            )
        trained = RunConfig.from_json(config)
        stages = [int(str(line.get("stage", 0))) for line in lines]
        return cls(
            run=record.run,
            host=read_clearance(payload_of((folder / "clearance.json").read_bytes())).host,
            config=trained,
            steps=len(took),
            flops_per_s=_speed(Recipe.of(trained), stages, took),
            lost_s=record.training_began_at - record.started_at + record.reserve.seconds(),
            picture_s=_picture_s(folder / "evaluation.json"),
        )

    @classmethod
    def kept(cls, path: Path) -> Self:
        """Read a probe that was kept beside its preset.

        Raises:
            EvidenceMissing: the preset was changed since, and must be measured again.
            Tampered, UsageError: the file is not one we keep.
        """
        said = json_object(path.read_bytes(), path.name)
        config = load_preset(path.name.removesuffix(KEPT))
        measured = said.pop("recipe", None)
        if measured != digest(asdict(Recipe.of(config))):
            raise EvidenceMissing(
                f"{path.name} was measured of other settings than {config.preset} has now; train "
                "with it, and keep the new probe."
            )
        try:
            speed = Interval(*said.pop("flops_per_s"))
            return cls(config=config, flops_per_s=speed, **said)
        except (KeyError, TypeError):
            raise Tampered(f"{path.name} is no probe that we kept; restore it.") from None

    def keep(self, folder: Path) -> Path:
        """Write the probe beside its preset, and return where."""
        path = folder / f"{self.config.preset}{KEPT}"
        said = {**asdict(self), "recipe": digest(asdict(self.recipe))}
        del said["config"]
        speed = self.flops_per_s
        said["flops_per_s"] = [speed.value, speed.low, speed.high]
        write_whole(path, canonical(said) + b"\n")
        return path

    @property
    def recipe(self) -> Recipe:
        """Return the recipe that was measured."""
        return Recipe.of(self.config)

    def is_of(self, accelerator: str) -> bool:
        """Return whether it ran on such an accelerator, by the host class of its clearance."""
        return accelerator.casefold() in self.host.casefold()

    @property
    def source(self) -> str:
        """Return where the figures come from, in words."""
        return f"run {self.run} on {self.host}, {self.steps:,} steps"


def _speed(recipe: Recipe, stages: list[int], took: list[float]) -> Interval:
    """Return the operations a second of steps that took so long, each in its stage."""
    steps = [recipe.stages[stage] for stage in stages]
    done = [stage.batch_size * recipe.image_flops(stage) for stage in steps]
    speeds = sorted(flops / seconds for flops, seconds in zip(done, took, strict=True) if seconds)
    mean, tail = sum(done) / sum(took), len(speeds) // TAIL
    return Interval(mean, min(mean, speeds[tail]), max(mean, speeds[-1 - tail]))


def _picture_s(path: Path) -> float | None:
    if not path.is_file():
        return None
    said = json_object(path.read_bytes(), path.name).get("seconds_per_picture")
    return float(said) if isinstance(said, int | float) and said > 0 else None
