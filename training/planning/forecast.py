"""Forecast: early in a run, how many pictures it will see and what it will take, told once.

Later stages are slower or faster by their operations; joules go on at the rate they went. At the
end the run says how far off it was.

Does not see: kills and downtime to come, or a neighbour on the machine who begins later.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Self

from governance.canon import Json
from training.config import RunConfig
from training.planning.recipe import Recipe

FORECAST_AT = 0.02  # of the budget: made at the first checkpoint after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was expected of the whole run, `at_s` seconds after it began; `cost` None if unknown."""

    at_s: float
    samples: float
    joules: float
    cost: float | None

    @classmethod
    def early(
        cls,
        config: RunConfig,
        *,
        at_s: float,
        samples: int,
        step: int,
        elapsed_share: float,
        steps_left: float,
        joules: float,
        cost: float | None,
    ) -> Self:
        """Return the forecast from what was until now.

        Args:
            config: of the run.
            at_s: seconds since the run began.
            samples: seen so far.
            step: the steps so far.
            elapsed_share: of the training time, 0..1.
            steps_left: how many more there would be if all were like those so far.
            joules: so far.
            cost: of the whole budget, None where no rate is declared.
        """
        more = steps_left * batches_to_come(config, elapsed_share)
        taken = joules * (1 + steps_left / max(step, 1))
        return cls(at_s=at_s, samples=samples + more, joules=taken, cost=cost)

    def off(self, *, samples: int, joules: float, cost: float | None) -> dict[str, Json]:
        """Return the forecast, and by which share of what came it was too high, or too low."""
        came = {"samples": samples, "joules": joules, "cost": cost}
        said: dict[str, Json] = asdict(self)
        return {**said, **{f"{name}_off": _off(said[name], came[name]) for name in came}}


def batches_to_come(config: RunConfig, elapsed_share: float) -> float:
    """Return how many pictures the rest of the run sees in the time of a step as they are now.

    It is the batch size of now while the stage lasts, and then that of pictures that take as many
    operations.
    """
    recipe, now = Recipe.of(config), config.stage_at(elapsed_share)
    done = recipe.stages[now].batch_size * recipe.image_flops(recipe.stages[now])
    ends = [*accumulate(stage.time_share for stage in config.earlier), 1.0]
    begins = [0.0, *ends[:-1]]
    left = [max(0.0, end - max(at, elapsed_share)) for at, end in zip(begins, ends, strict=True)]
    each = [done / recipe.image_flops(stage) for stage in recipe.stages]
    whole = sum(left)
    if not whole:
        return each[-1]
    return sum(share * batch for share, batch in zip(left, each, strict=True)) / whole


def read_forecast(said: Mapping[str, Json] | None) -> Forecast | None:
    """Read a forecast that a run kept, if it made one. Raises TypeError for another shape."""
    return Forecast(**said) if said else None  # type: ignore[arg-type]  # asdict of one


def _off(said: Json, came: float | None) -> float | None:
    return said / came - 1 if isinstance(said, int | float) and came else None
