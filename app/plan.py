"""The plan as people ask for it: machines, hours and a place; figures with interval and source.

Joins what `training` reckons with what `policies` knows of prices, grids and claims. Each figure
says whether it was measured or is projected; what no row gives is named as missing.

Does not see: whether machines are to be had, and whether the model will be any good.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from app import offers
from app.offers import Money, Offer
from governance.canon import Json
from governance.errors import UsageError
from governance.places import country_of
from policies import claims
from policies.claims import Judged, Verdict
from training.config import load_preset
from training.planning.interval import Interval
from training.planning.memory import Memory
from training.planning.plan import Basis, Fleet, Plan, Speed, StagePlan, make_plan, memory_of
from training.planning.probe import Probe
from training.planning.recipe import PRX_24H, Recipe

SETUPS = ("64xH100", "256xA100", "1000xRTX4090")  # those of the article of March 2026
PROCESSOR = "cpu"
PACKED_BYTES = Interval(0.323, 0.2, 0.5)  # a pixel; the ends are assumed: pictures differ
MEASURED_ON = "photographs, measured by us 2026-11"
STATE_BYTES = 2  # of a number of a caption's states as they are kept
MILLION = 1e6
_GPUS = re.compile(r"([1-9][0-9]{0,5})\s*[xX*]\s*([A-Za-z][A-Za-z0-9-]*(?: [0-9]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked: machines by count and kind, hours, a region, a provider, and what to train."""

    gpus: str
    hours: float
    region: str
    provider: str = ""
    preset: str = ""
    parameters: float = 0.0
    probe: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the plan. Without an interval the figure is not known, and `source` says why."""

    name: str
    unit: str
    interval: Interval | None
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A number of machines held to the whole recipe: does it end in time, and does it fit."""

    gpus: str
    plan: Plan
    rent: Money | None
    fits: str
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Everything the plan says."""

    asked: Asked
    plan: Plan
    figures: tuple[Figure, ...]
    offers: tuple[Offer, ...]
    setups: tuple[Setup, ...]
    claims: tuple[Judged, ...]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the plan as JSON: figures, offers, set-ups, claims, and what is missing."""
        asked = {**asdict(self.asked), "probe": str(self.asked.probe or "")}
        return {
            "asked": asked,
            "recipe": self.plan.recipe.name,
            "figures": [asdict(figure) for figure in self.figures],
            "offers": [{**o.row.model_dump(), **asdict(o.money)} for o in self.offers],
            "setups": [
                {"gpus": s.gpus, "hours": asdict(s.plan.whole_hours), "fits": s.fits,
                 "usd": asdict(s.rent.usd) if s.rent else None,
                 "verdict": s.verdict, "why": s.why, "basis": s.plan.speed.basis}
                for s in self.setups
            ],
            "claims": [
                {**j.claim.model_dump(), "verdict": j.verdict, "arithmetic": j.arithmetic}
                for j in self.claims
            ],
            "missing": list(self.missing),
        }  # fmt: skip


def plan(asked: Asked) -> Planned:
    """Return the plan for what is asked.

    Raises:
        UsageError: machines, region, preset or probe are not what a plan can be made of.
        EvidenceMissing: the probe's files are gone.
    """
    country = country_of(asked.region)
    if country is None:
        raise UsageError(
            f"{asked.region!r} names no country; give a code, a name or a region, such as IN."
        )
    probe = Probe.read(asked.probe) if asked.probe else None
    fleet, recipe = fleet_of(asked.gpus), _recipe(asked, probe)
    made = _made(recipe, fleet, hours=asked.hours, probe=probe)
    found = offers.offers(
        fleet.accelerator, accelerator_hours=made.accelerator_hours, country=country
    )
    chosen = offers.usual(found, country=country, provider=asked.provider)
    if asked.provider and not chosen:
        raise UsageError(
            f"No row of prices.csv has a price of {asked.provider} for {fleet.accelerator}; there "
            f"are {', '.join(sorted({o.row.provider for o in found})) or 'none'}."
        )
    electricity, missing = _electricity(made, country)
    money = _money_figures(made, chosen)
    setups = () if recipe.open_ended else tuple(_setup(recipe, g, country) for g in SETUPS)
    return Planned(
        asked=asked,
        plan=made,
        figures=(*_training(made), *money, *electricity),
        offers=found,
        setups=setups,
        claims=tuple(
            claims.judge(c, flops=PRX_24H.flops, country=country) for c in claims.claims()
        ),
        missing=(
            *missing,
            *_unlisted(recipe),
            *offers.unlisted(fleet.accelerator, country),
            *_unknown(money),
        ),
    )


def fleet_of(gpus: str) -> Fleet:
    """Return the machines that `32xH200` names; `1xcpu` is a machine that only a probe knows.

    Raises:
        UsageError: it is no count and kind, or a kind that no row knows.
    """
    match = _GPUS.fullmatch(gpus.strip())
    names = {name.casefold(): name for name in (*claims.accelerators(), PROCESSOR)}
    name = names.get(match[2].replace(" ", "").casefold()) if match else None
    if match is None or name is None:
        raise UsageError(
            f"{gpus!r} is no count and kind of machines; write 32xH200. Known kinds are "
            f"{', '.join(sorted(names.values()))}."
        )
    return Fleet(
        count=int(match[1]),
        accelerator=name,
        peak_flops=_fact(name, "peak_flops"),
        memory_bytes=_fact(name, "memory_bytes"),
    )


def _fact(of: str, what: str) -> float | None:
    return None if of == PROCESSOR else claims.fact(of, what).value


def _recipe(asked: Asked, probe: Probe | None) -> Recipe:
    if asked.preset:
        return Recipe.of(load_preset(asked.preset))
    if asked.parameters:
        return PRX_24H.resized(asked.parameters)
    return probe.recipe if probe else PRX_24H


def _made(recipe: Recipe, fleet: Fleet, *, hours: float, probe: Probe | None = None) -> Plan:
    if probe:
        return make_plan(recipe, fleet, hours=hours, speed=Speed.probed(fleet, probe, recipe))
    share = claims.fact("recipe", "peak_share")
    speed = Speed.projected(fleet, Interval(*(share.interval or (0, 0, 0))), share.read)
    return make_plan(recipe, fleet, hours=hours, speed=speed)


def _training(made: Plan) -> list[Figure]:
    """Return images, steps, operations and memory, stage by stage."""
    basis, source = made.speed.basis, made.speed.source
    shapes: Basis = "projected"
    figures = [_figure("pictures trained on", "", made.images, basis, source)]
    for number, stage in enumerate(made.stages, 1):
        name = f"stage {number}, {stage.stage.image_px} px"
        figures += [
            _figure(f"{name}: steps of {stage.stage.batch_size}", "", stage.steps, basis, source),
            _figure(f"{name}: a step", "s", stage.step_s, basis, source),
            *_memory(made, stage, name),
        ]
        if stage.busy > 1:
            needed = stage.network_bytes_per_s.times(1e-9)
            why = "a ring all-reduce of the gradients, no longer than the step; 4 or 2 bytes each"
            if made.recipe.shares:
                why = f"weights gathered twice, and {why.replace('all-reduce', 'scatter')}"
            figures.append(_figure(f"{name}: network", "GB/s each", needed, shapes, why))
    figures += [
        _figure("operations", "FLOP", made.flops, basis, source),
        _figure("HFU, teachers included", "%", _percent(made.hfu), basis, source),
        _figure("MFU, dense model alone", "%", _percent(made.mfu), basis, source),
    ]
    figures += _kept(made.recipe)
    if not made.recipe.open_ended:
        said = f"{made.recipe.images / MILLION:.2f} million pictures, {made.recipe.source}"
        figures.append(_figure("the whole recipe", "h", made.whole_hours, basis, said))
    return figures


def _memory(made: Plan, stage: StagePlan, name: str) -> list[Figure]:
    if stage.memory is None:
        lacking = f"no row hardware.csv {made.fleet.accelerator}/memory_bytes"
        return [_figure(f"{name}: pictures at once that fit", "", None, "projected", lacking)]
    memory, whose = stage.memory, "whole on each"
    if memory.shards > 1:
        whose = f"state shared by {memory.shards}"
    elif not memory.fits:
        shards = memory_of(made.recipe, made.fleet, stage.stage, shards=made.fleet.count)
        memory, whose = shards or memory, f"state shared by {made.fleet.count}"
    verdict = "fits" if memory.fits else "does not fit"
    said = (
        f"{verdict}, {whose}: {memory.state / memory.shards / 1e9:.1f} GB of state, "
        f"{memory.frozen / 1e9:.1f} GB of frozen networks and "
        f"{memory.image.low / 1e9:.2g} to {memory.image.high / 1e9:.2g} GB a picture in "
        f"{memory.capacity / 1e9:.0f} GB; {_parts(made, stage, memory)}"
    )
    most = Interval.exactly(memory.most_images)
    return [_figure(f"{name}: pictures at once that fit", "", most, "projected", said)]


def _parts(made: Plan, stage: StagePlan, memory: Memory) -> str:
    """Return whether the parts of a batch, one after the other, fit and spread evenly."""
    parts, count = made.recipe.parts, made.fleet.count
    if parts == 1:  # nobody said how a batch is split
        needed = -(-stage.stage.batch_size // stage.busy)
        return f"{needed} a step are needed, in parts if fewer fit"
    if parts % count:
        return f"{parts} parts do not spread over {count}: choose parts that {count} divides"
    size = stage.stage.batch_size // parts
    fits = "fits" if size <= memory.most_images else "does not surely fit: choose more parts"
    each = parts // count
    return f"{each} part{'s' * (each > 1)} of {size} a step, one after the other; each {fits}"


def _kept(recipe: Recipe) -> list[Figure]:
    """Return what a million pictures take on disk, and their captions' states, where kept."""
    figures = []
    if recipe.packs:
        for side in sorted({stage.image_px for stage in recipe.stages}):
            packed = PACKED_BYTES.times(side**2 * MILLION / 1e9)
            why = f"JPEG, quality 92: 85 KB at 512 px and 337 KB at 1024 px, {MEASURED_ON}"
            figures.append(
                _figure(f"a million pictures, {side} px", "GB", packed, "projected", why)
            )
    if recipe.encoder_flops and recipe.keeps_text:
        states = recipe.text_tokens * recipe.shape.text_width * STATE_BYTES * MILLION / 1e9
        why = f"bf16, all of {recipe.text_tokens} tokens; a shorter caption takes less"
        most = Interval(states, 0.0, states)
        figures.append(_figure("a million captions' states", "GB at most", most, "projected", why))
    return figures


def _money_figures(made: Plan, chosen: tuple[Offer, ...]) -> list[Figure]:
    """Return the rent, with and without tax, and what drawing a million pictures costs."""
    rent = offers.rent(chosen)
    names = ", ".join(sorted({offer.row.provider for offer in chosen}))
    said = f"median of {names}; rent alone" if rent else (
        f"no row of prices.csv has a price of {made.fleet.accelerator} here"
    )  # fmt: skip
    dates = ", ".join(sorted({offer.row.date for offer in chosen}))
    said = f"{said} ({dates})" if dates else said
    taxed = f"{said}; GST {claims.fact('IN', 'gst_share').read}"
    hours = made.picture_s.times(MILLION / 3600.0)
    measured: Basis = "measured" if made.speed.picture_s else "projected"
    each = rent.usd.times(1 / made.accelerator_hours) if rent else None
    drawn = hours.times(each) if each else None
    return [
        _figure("rent", "USD", rent.usd if rent else None, "projected", said),
        _figure("rent", "INR", rent.inr if rent else None, "projected", said),
        _figure("rent with GST", "USD", rent.usd_taxed if rent else None, "projected", taxed),
        _figure("rent with GST", "INR", rent.inr_taxed if rent else None, "projected", taxed),
        _figure("drawing a picture", "s", made.picture_s, measured, made.speed.source),
        _figure("drawing a million", "machine-hours", hours, measured, made.speed.source),
        _figure("drawing a million", "USD", drawn, "projected", said),
    ]


def _electricity(made: Plan, country: str) -> tuple[list[Figure], list[str]]:
    found = offers.energy_kwh(made.fleet.accelerator, made.accelerator_hours)
    if found is None:
        lacking = f"hardware.csv {made.fleet.accelerator}/watts"
        return [_figure("electricity", "kWh", None, "projected", f"no row {lacking}")], [lacking]
    kwh, missing = found
    watts = claims.fact(made.fleet.accelerator, "watts").read
    emitted = offers.tonnes_co2(kwh, country)
    lacking = f"grid.csv {country}"
    co2, source = emitted or (None, f"no row {lacking}")
    if emitted is None:
        missing = [*missing, lacking]
    return [
        _figure("electricity", "kWh", kwh, "projected", f"{watts}; the room as assumed"),
        _figure("CO2", "t", co2, "projected", source),
    ], missing


def _setup(recipe: Recipe, gpus: str, country: str) -> Setup:
    """Hold a set-up to the whole recipe within 24 hours."""
    fleet = fleet_of(gpus)
    made = _made(recipe, fleet, hours=24.0)
    rent = offers.rent(offers.usual(
        offers.offers(fleet.accelerator, accelerator_hours=made.accelerator_hours, country=country),
        country=country,
    ))  # fmt: skip
    whole = all(stage.memory and stage.memory.fits for stage in made.stages)
    idle = max(fleet.count - stage.busy for stage in made.stages)
    took = made.whole_hours
    says = [f"computing takes {took.low:.1f} to {took.high:.1f} h at the H200's share of the peak"]
    if not whole:
        says.append("the state does not fit on one and must be shared over the network")
    if idle:
        says.append(f"{idle} have nothing to do in the stage whose batch is smaller")
    network = max(stage.network_bytes_per_s.value for stage in made.stages) / 1e9
    says.append(f"the network must give each {network:.0f} GB/s, and what it gives is not known")
    verdict: Verdict = "not supported" if made.in_time is False else "cannot be told"
    if made.in_time and whole and not idle:
        verdict = "supported"
    return Setup(
        gpus=gpus,
        plan=made,
        rent=rent,
        fits="on each" if whole else "only shared",
        verdict=verdict,
        why="; ".join(says),
    )


def _unlisted(recipe: Recipe) -> list[str]:
    return [
        f"operations and size of the weights {name}; counted as none" for name in recipe.unknown
    ]


def _unknown(figures: list[Figure]) -> list[str]:
    return sorted({figure.source for figure in figures if figure.interval is None})


def _percent(share: Interval | None) -> Interval | None:
    return share.times(100.0) if share else None


def _figure(name: str, unit: str, interval: Interval | None, basis: Basis, source: str) -> Figure:
    said = source if interval or source.startswith("no row") else f"not known; {source}"
    return Figure(name=name, unit=unit, interval=interval, basis=basis, source=said)
