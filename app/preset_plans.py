"""The plan that stands beside each preset, as a page of Markdown made from the same figures.

A preset for a CPU was measured, and its probe lies beside it; one for accelerators is projected.

Does not see: whether anybody ever trained it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.plan import Asked, Figure, Planned, plan
from training.config import PRESETS
from training.planning.probe import KEPT

REGION = "IN"
_FEW, _MANY = 100, 1e12  # between them a figure is written out


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a preset is meant to be trained, and for how long."""

    gpus: str
    hours: float


PLACES: Mapping[str, Place] = {
    "micro": Place(gpus="1xcpu", hours=90 / 3600),
    "cpu_5m": Place(gpus="1xcpu", hours=300 / 3600),
    "h200_20m": Place(gpus="1xH200", hours=1 / 3),
    "h200x8_24h": Place(gpus="8xH200", hours=24.0),
    "h200x32_24h": Place(gpus="32xH200", hours=24.0),
}


def path_of(preset: str) -> Path:
    """Return where the plan of a preset lies."""
    return PRESETS / f"{preset}.plan.md"


def page(preset: str) -> str:
    """Return the plan of a preset as Markdown. What `plan` raises passes through."""
    place, probe = PLACES[preset], PRESETS / f"{preset}{KEPT}"
    asked = Asked(
        gpus=place.gpus,
        hours=place.hours,
        region=REGION,
        preset=preset,
        probe=probe if probe.is_file() else None,
    )
    return _page(plan(asked))


def _page(made: Planned) -> str:
    recipe, asked = made.plan.recipe, made.asked
    sources = list(dict.fromkeys(figure.source for figure in made.figures))
    basis = "measured" if made.plan.speed.basis == "measured" else "projected"
    hours = f"{asked.hours:g} h" if asked.hours >= 1 else f"{asked.hours * 60:g} minutes"
    millions = recipe.shape.parameters() / 1e6
    told = (
        f"{millions:,.4g} million parameters of the denoiser on {asked.gpus} for {hours}; prices "
        f"and electricity of {asked.region}. Its speed is **{basis}**. Made by `make plans`."
    )
    head = [
        f"# The plan of `{recipe.name}`",
        "",
        told,
        "",
        "| | figure | from | to | unit | basis | source |",
        "|---|--:|--:|--:|---|---|---|",
    ]
    rows = [_row(figure, sources.index(figure.source) + 1) for figure in made.figures]
    notes = [f"{number}. {source}" for number, source in enumerate(sources, 1)]
    lacking = [f"- not known: {line}" for line in made.missing]
    return "\n".join([*head, *rows, "", *notes, "", *lacking]).rstrip() + "\n"


def _row(figure: Figure, source: int) -> str:
    ends = ("not known", "", "")
    if figure.interval:
        found = (figure.interval.value, figure.interval.low, figure.interval.high)
        ends = tuple(_number(end) for end in found)  # type: ignore[assignment]  # three of them
    return "| " + " | ".join((figure.name, *ends, figure.unit, figure.basis, f"[{source}]")) + " |"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < _FEW or value >= _MANY else f"{value:,.0f}"
