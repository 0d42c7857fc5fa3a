"""The plan: what a number of accelerators can train within a budget, before any of it is spent.

Arithmetic over shapes, peaks and shares that are handed in, each an interval; a probe of a run on
such machines replaces the share of the peak by what was measured. Loss appears nowhere.

Does not see: prices and grids, which `policies` keeps and `app` joins; whether the model is good;
a network, a disk or a neighbour that slows the machines down.
"""

import math
from dataclasses import dataclass
from typing import Literal

from governance.errors import UsageError
from training.planning.flops import Shape
from training.planning.interval import Interval
from training.planning.memory import Memory, image_bytes, state_bytes
from training.planning.probe import Probe
from training.planning.recipe import Recipe, Stage

Basis = Literal["measured", "projected"]
HEADROOM_SHARE = 0.03  # of the budget, kept for what nobody planned
GRADIENT_BYTES = Interval(4, 2, 4)  # a parameter: fp32, or bf16 on the wire
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Accelerators of one kind: operations a second at best, and bytes; None where not known."""

    count: int
    accelerator: str
    peak_flops: float | None
    memory_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Operations a second that one accelerator really does, and how that is known.

    `lost_s` of a run goes to reading and finishing, `picture_s` to drawing one picture; None where
    that was not measured.
    """

    flops_per_s: Interval
    basis: Basis
    source: str
    lost_s: float | None = None
    picture_s: float | None = None

    @classmethod
    def projected(cls, fleet: Fleet, share: Interval, source: str) -> "Speed":
        """Return a share of the peak. Raises UsageError where no peak is known."""
        if fleet.peak_flops is None:
            raise UsageError(
                f"The peak of {fleet.accelerator} is not known: hardware.csv has no row of its "
                "peak_flops. Add one with its source, or give a --probe."
            )
        said = f"{share.value:.1%} of {fleet.peak_flops / 1e12:.0f} TFLOP/s; {source}"
        return cls(flops_per_s=share.times(fleet.peak_flops), basis="projected", source=said)

    @classmethod
    def probed(cls, fleet: Fleet, probe: Probe, recipe: Recipe) -> "Speed":
        """Return what a probe measured: measured for its own recipe on one accelerator only.

        Raises:
            UsageError: the probe ran on another kind of machine.
        """
        if not probe.is_of(fleet.accelerator):
            raise UsageError(
                f"The probe ran on {probe.host}, and the plan is for {fleet.accelerator}: a speed "
                "measured on one says nothing of the other. Probe there, or plan without it."
            )
        same = recipe == probe.recipe and fleet.count == 1
        return cls(
            flops_per_s=probe.flops_per_s,
            basis="measured" if same else "projected",
            source=probe.source if same else f"scaled from {probe.source}",
            lost_s=probe.lost_s,
            picture_s=probe.picture_s if recipe == probe.recipe else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """A stage as it would run. `step_s` are seconds a step, `busy` accelerators that get work."""

    stage: Stage
    busy: int
    steps: Interval
    images: Interval
    step_s: Interval
    hours: float
    memory: Memory | None
    network_bytes_per_s: Interval  # each way, so that gradients take no longer than the step


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What comes of a budget. `whole_hours` is what the recipe would take as it was written."""

    recipe: Recipe
    fleet: Fleet
    hours: float
    speed: Speed
    stages: tuple[StagePlan, ...]
    images: Interval
    flops: Interval
    whole_hours: Interval
    hfu: Interval | None
    mfu: Interval | None
    picture_s: Interval

    @property
    def accelerator_hours(self) -> float:
        """Return what is paid for."""
        return self.fleet.count * self.hours

    @property
    def in_time(self) -> bool | None:
        """Return whether the whole recipe ends within the hours; None where it cannot be told."""
        if self.whole_hours.high <= self.hours:
            return True
        return False if self.whole_hours.low > self.hours else None


def make_plan(recipe: Recipe, fleet: Fleet, *, hours: float, speed: Speed) -> Plan:
    """Return the plan of a recipe within a budget.

    Every stage gets its share of the time, or that which its operations have in the recipe; a batch
    that has fewer pictures than there are accelerators leaves the others idle.

    Raises:
        UsageError: the budget leaves no time to train.
    """
    usable_s = hours * HOUR_S * (1 - HEADROOM_SHARE) - (speed.lost_s or 0.0)
    if usable_s <= 0:
        raise UsageError(
            f"{hours:g} h leave no time to train: {speed.lost_s:.0f} s go to reading and "
            "finishing. Allow more."
        )
    whole_s = sum((_stage_flops(recipe, fleet, stage) for stage in recipe.stages), start=0.0)
    stages = tuple(
        _stage_plan(recipe, fleet, stage, speed=speed, seconds=usable_s * share)
        for stage, share in zip(recipe.stages, _time_shares(recipe, fleet, whole_s), strict=True)
    )
    images = _sum([stage.images for stage in stages])
    flops = _sum([s.images.times(recipe.image_flops(s.stage)) for s in stages])
    model_flops = _sum([s.images.times(recipe.model_flops(s.stage)) for s in stages])
    drawn, drawing = speed.picture_s, speed.flops_per_s.under(recipe.drawing_flops())
    peak = fleet.peak_flops and fleet.peak_flops * fleet.count * hours * HOUR_S
    return Plan(
        recipe=recipe,
        fleet=fleet,
        hours=hours,
        speed=speed,
        stages=stages,
        images=images,
        flops=flops,
        whole_hours=_whole_hours(speed, whole_s),
        hfu=flops.times(1 / peak) if peak else None,
        mfu=model_flops.times(1 / peak) if peak else None,
        picture_s=Interval.exactly(drawn) if drawn else drawing,
    )


def memory_of(recipe: Recipe, fleet: Fleet, stage: Stage, *, shards: int = 1) -> Memory | None:
    """Return what an accelerator must hold in a stage; None where its size is not known."""
    if fleet.memory_bytes is None:
        return None
    image = image_bytes(recipe.shape, image_px=stage.image_px, text_tokens=recipe.text_tokens)
    return Memory(
        state=state_bytes(recipe.shape, turns=recipe.turns),
        image=image,
        capacity=fleet.memory_bytes,
        shards=shards,
        frozen=recipe.frozen_bytes,
    )


def network_bytes(shape: Shape, count: int, *, shares: bool = False) -> Interval:
    """Return the bytes that each accelerator sends a step: a ring all-reduce of the gradients.

    Where the state is shared (`shares`), weights are gathered twice and gradients scattered once,
    which is half as much again (ZeRO, arXiv 1910.02054, section 7.2).

    Source: 2 (g - 1) / g times the gradients, Patarasuk and Yuan 2009.
    """
    rounds = 3 if shares else 2
    return GRADIENT_BYTES.times(rounds * (count - 1) / count * shape.parameters())


def _time_shares(recipe: Recipe, fleet: Fleet, whole: float) -> list[float]:
    """Return each stage's share of the time: what it says, or its share of the operations."""
    return [
        _stage_flops(recipe, fleet, stage) / whole if stage.time_share is None else stage.time_share
        for stage in recipe.stages
    ]


def _stage_flops(recipe: Recipe, fleet: Fleet, stage: Stage) -> float:
    """Return the operations that the busiest accelerator does in a stage."""
    busy = min(fleet.count, stage.batch_size)
    return stage.steps * math.ceil(stage.batch_size / busy) * recipe.image_flops(stage)


def _stage_plan(
    recipe: Recipe, fleet: Fleet, stage: Stage, *, speed: Speed, seconds: float
) -> StagePlan:
    busy = min(fleet.count, stage.batch_size)
    flops = _stage_flops(recipe, fleet, stage) / stage.steps
    steps = _floored(speed.flops_per_s.times(seconds / flops))
    step_s = speed.flops_per_s.under(flops)
    sent = network_bytes(recipe.shape, busy, shares=recipe.shares)
    return StagePlan(
        stage=stage,
        busy=busy,
        steps=steps,
        images=steps.times(stage.batch_size),
        step_s=step_s,
        hours=seconds / HOUR_S,
        memory=memory_of(recipe, fleet, stage, shards=fleet.count if recipe.shares else 1),
        network_bytes_per_s=sent.by(step_s),
    )


def _whole_hours(speed: Speed, flops: float) -> Interval:
    alone = speed.flops_per_s.under(flops).times(1 / (HOUR_S * (1 - HEADROOM_SHARE)))
    lost = (speed.lost_s or 0.0) / HOUR_S
    return Interval(alone.value + lost, alone.low + lost, alone.high + lost)


def _floored(steps: Interval) -> Interval:
    return Interval(*(float(int(end)) for end in (steps.value, steps.low, steps.high)))


def _sum(parts: list[Interval]) -> Interval:
    return Interval(
        sum(p.value for p in parts), sum(p.low for p in parts), sum(p.high for p in parts)
    )
