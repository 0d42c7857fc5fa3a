"""`pramana evaluate`: what a run draws for neutral prompts goes through the audits, too."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.drawn import Evaluated

GROUPS = "captions: "  # how the names of such figures begin


@click.command()
@click.argument("run")
@click.option(
    "--prompts", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Prompts of your own, one a line, in place of the neutral ones.",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(1, 100_000),
    help="Pictures to draw, the prompts over and over; one a prompt when not given.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_obj
def evaluate(
    workspace: Path, run: str, *, prompts: Path | None, count: int | None, as_json: bool
) -> None:
    """Draw with RUN for neutral prompts, and audit what it drew.

    The pictures go through the door of `draw` and are sealed as a snapshot. The audits then say
    how many show nudity or a face, and how many repeat a training picture; the auditor signs, and
    the next card shows it. RUN is the beginning of a run's id, or `latest`.

    \b
    Examples:
        pramana evaluate latest
        pramana evaluate latest --prompts prompts.txt --count 500 --json
    """  # noqa: D301
    from app import cases, draw, drawn, progress  # noqa: PLC0415  heavy
    from audits.screening.detector import Weights  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    place = Workspace.at(workspace)
    check = draw.check_by(Weights.installed())
    with progress.shown() as bars:
        found = drawn.evaluate(place, run, prompts=prompts, count=count, check=check, bars=bars)
    if as_json:
        click.echo(json.dumps({**found.record, "sha256": found.record_sha256}))
    else:
        _print(found)
    for line in cases.open_notice(place):
        click.echo(line, err=True)


def _print(found: "Evaluated") -> None:
    click.echo(f"run {found.run}: {found.samples:,} pictures sealed as {found.snapshot[:12]}")
    pictured = [figure for figure in found.figures if not figure.name.startswith(GROUPS)]
    for figure in pictured:
        click.echo(
            f"{figure.name}: {figure.estimate:.1%} (95 % interval {figure.low:.1%} to "
            f"{figure.high:.1%}) of {figure.n:,}"
        )
    if groups := len(found.figures) - len(pictured):
        click.echo(f"shares of {groups} groups that the prompts name: drawn.json of the run")
    for rule, count in found.refused.items():
        click.echo(f"refused at the door by {rule}: {count:,}", err=True)
    click.echo(f"signed {found.record_sha256[:12]}; the next card shows it")
