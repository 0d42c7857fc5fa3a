"""`pramana plan`: what machines can train in given hours, and what that costs, before it does."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from app.plan import Planned
    from training.planning.interval import Interval


@click.command()
@click.option("--gpus", default="32xH200", show_default=True, help="Machines: count and kind.")
@click.option(
    "--hours", default=24.0, show_default=True, type=click.FloatRange(0, min_open=True),
    help="From the first second to the last, the export included.",
)  # fmt: skip
@click.option("--region", default="IN", show_default=True, help="A country, or a cloud's region.")
@click.option("--provider", default="", help="Only the prices of this one.")
@click.option("--preset", default="", help="A preset, in place of the recipe of PRX part 3.")
@click.option(
    "--params", type=click.FloatRange(0, min_open=True),
    help="That recipe with a model of about so many parameters.",
)  # fmt: skip
@click.option(
    "--probe", type=click.Path(exists=True, path_type=Path), metavar="FILE",
    help="metrics.jsonl of a run on such a machine: measured in place of projected.",
)  # fmt: skip
@click.option("--claims", is_flag=True, help="Also what was claimed, with our arithmetic.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan(  # noqa: PLR0913  an argument an option
    *,
    gpus: str,
    hours: float,
    region: str,
    provider: str,
    preset: str,
    params: float | None,
    probe: Path | None,
    claims: bool,
    as_json: bool,
) -> None:
    """Say what machines can train within a budget, at what cost.

    Pictures, steps, memory, rent with and without GST, electricity and CO2, each between
    two ends and with its source. Without a probe of such a machine all of it is projected.

    \b
    Examples:
        pramana plan --gpus 32xH200 --hours 24 --region IN
        pramana plan --gpus 1xcpu --hours 0.05 --probe .pramana/runs/RUN/metrics.jsonl
    """  # noqa: D301
    import json  # noqa: PLC0415  heavy

    from rich.console import Console  # noqa: PLC0415  heavy

    from app import plan as plans  # noqa: PLC0415  heavy

    if preset and params:
        raise click.UsageError("Give --preset or --params, one of them.")
    asked = plans.Asked(
        gpus=gpus,
        hours=hours,
        region=region,
        provider=provider,
        preset=preset,
        parameters=params or 0.0,
        probe=probe,
    )
    made = plans.plan(asked)
    if as_json:
        click.echo(json.dumps(made.to_json(), ensure_ascii=False))
        return
    console = Console()
    _print_plan(console, made)
    if claims:
        _print_claims(console, made)


def _print_plan(console: "Console", made: "Planned") -> None:
    from rich import box  # noqa: PLC0415  heavy
    from rich.table import Table  # noqa: PLC0415  heavy

    said, sources = made.plan, list(dict.fromkeys(f.source for f in made.figures))
    console.print(
        f"{said.recipe.name}: {said.recipe.shape.parameters() / 1e6:,.4g} million parameters on "
        f"{made.asked.gpus} for {made.asked.hours:g} h in {made.asked.region}, "
        f"{said.accelerator_hours:,.4g} accelerator-hours\n",
        highlight=False,
    )
    table = Table(box=box.SIMPLE, header_style="dim")
    for name in ("", "figure", "from", "to", "unit", "", "source"):
        table.add_column(name, justify="right" if name in ("figure", "from", "to") else "left")
    for figure in made.figures:
        table.add_row(
            figure.name, *_ends(figure.interval), figure.unit, figure.basis,
            f"[{sources.index(figure.source) + 1}]",
        )  # fmt: skip
    console.print(table, markup=False)
    for number, source in enumerate(sources, 1):
        console.print(f"[{number}] {source}", markup=False, highlight=False, style="dim")
    _print_offers(console, made)
    for line in made.missing:
        console.print(f"not known: {line}", markup=False, highlight=False)


def _print_offers(console: "Console", made: "Planned") -> None:
    from rich import box  # noqa: PLC0415  heavy
    from rich.table import Table  # noqa: PLC0415  heavy

    if not made.offers:
        return
    table = Table(box=box.SIMPLE, header_style="dim", title="projected rent by provider")
    for name in ("provider", "country", "kind", "USD", "INR", "INR with GST", "read"):
        table.add_column(name, justify="right" if name.startswith(("USD", "INR")) else "left")
    for offer in made.offers:
        row, money = offer.row, offer.money
        taxed = _ends(money.inr_taxed)[0]
        table.add_row(
            row.provider, row.country or "any", row.kind, _ends(money.usd)[0],
            _ends(money.inr)[0], taxed, f"{row.date} {row.confidence}",
        )  # fmt: skip
    console.print(table)


def _print_claims(console: "Console", made: "Planned") -> None:
    for setup in made.setups:
        rent = f"USD {_ends(setup.rent.usd)[0]} rent" if setup.rent else "rent not known"
        console.print(
            f"\n{setup.verdict}, projected: {made.plan.recipe.name} on {setup.gpus} in 24 h "
            f"({rent})\n  {setup.why}",
            markup=False, highlight=False,
        )  # fmt: skip
    for judged in made.claims:
        claim = judged.claim
        console.print(
            f"\n{judged.verdict}: {claim.says} ({claim.source}, {claim.date})\n"
            f"  would have to hold: {claim.holds_if}\n"
            f"  our arithmetic: {judged.arithmetic}\n  why: {claim.why}",
            markup=False, highlight=False,
        )  # fmt: skip


def _ends(interval: "Interval | None") -> tuple[str, str, str]:
    """Return value, low and high as people write them."""
    if interval is None:
        return "not known", "", ""
    ends = (interval.value, interval.low, interval.high)
    return tuple(_number(end) for end in ends)  # type: ignore[return-value]


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 or value >= 1e12 else f"{value:,.0f}"  # noqa: PLR2004
