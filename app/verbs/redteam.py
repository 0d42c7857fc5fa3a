"""`pramana redteam`: every attack we know of, tried on a scratch copy, and what stopped it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.redteam.attack import Outcome

SIGNS = {  # and the style of the line
    "stopped": ("✓", ""), "not stopped": ("✕", "bold red"), "documented limit": ("○", "dim"),
}  # fmt: skip
NO_PROPERTY = "what cannot be stopped here"


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Keep the scratch copies in a new folder, to look at.",
)  # fmt: skip
@click.option("--only", default="", metavar="WORD", help="Attacks whose name or threat says WORD.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def redteam(*, out: Path | None, only: str, as_json: bool) -> None:
    """Try every attack we know of on a scratch workspace, and say what stopped each.

    Pictures are drawn, audited, cleared and trained on for it. Your own workspace, keys, ledger and
    memory are not touched. Exit status 0 means that every attack that was run was stopped.

    \b
    Examples:
        pramana redteam
        pramana redteam --only replayed --json
    """  # noqa: D301
    import sys  # noqa: PLC0415  heavy
    import tempfile  # noqa: PLC0415  heavy

    from app import progress  # noqa: PLC0415  heavy
    from app.redteam import table  # noqa: PLC0415  heavy
    from governance.canon import check_unused  # noqa: PLC0415  heavy

    attacks = table.chosen(only)
    with tempfile.TemporaryDirectory(prefix="pramana-redteam-") as scratch:
        folder = out or Path(scratch)
        if out:
            check_unused(out)
            out.mkdir(parents=True, exist_ok=True)
        with progress.shown() as bars:
            found = [*table.outcomes(folder.resolve(), attacks, bars), *table.limits(only)]
    _say(found, as_json=as_json)
    sys.exit(any(outcome.ended == "not stopped" for outcome in found))


def _say(found: "Sequence[Outcome]", *, as_json: bool) -> None:
    from governance.canon import canonical  # noqa: PLC0415  heavy

    counts = {end: sum(outcome.ended == end for outcome in found) for end in SIGNS}
    if as_json:
        rows = [outcome.to_json() for outcome in found]
        click.echo(canonical({"outcomes": rows, "counts": counts}).decode())
        return
    _print(found)
    click.echo(
        f"{counts['stopped']} attacks stopped, {counts['not stopped']} not stopped, "
        f"{counts['documented limit']} documented limits"
    )


def _print(found: "Sequence[Outcome]") -> None:
    """Print the attacks by threat and property, a line each."""
    from itertools import groupby  # noqa: PLC0415  heavy

    from rich.console import Console  # noqa: PLC0415  heavy
    from rich.table import Table  # noqa: PLC0415  heavy
    from rich.text import Text  # noqa: PLC0415  heavy

    console = Console()
    ordered = sorted(found, key=lambda o: (o.threat, not o.holds, o.holds))
    for (threat, holds), group in groupby(ordered, key=lambda o: (o.threat, o.holds)):
        console.print(Text.assemble((f"\n{threat}", "bold"), f": {holds or NO_PROPERTY}"))
        table = Table.grid(padding=(0, 1), expand=True)
        for ratio in (None, 4, 4, None):
            table.add_column(ratio=ratio, overflow="fold")
        for outcome in group:
            sign, style = SIGNS[outcome.ended]
            by = f"NOT STOPPED. {outcome.by}" if outcome.ended == "not stopped" else outcome.by
            status = "" if outcome.status is None else f"exit {outcome.status}"
            table.add_row(sign, Text(outcome.name), Text(by), status, style=style)
        console.print(table)
    console.print()
