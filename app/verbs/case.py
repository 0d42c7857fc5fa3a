"""`pramana case`: suspected samples that a person has to look into."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from governance.cases import Outcome


@click.group()
def case() -> None:
    """List cases of suspected samples, or close one."""


@case.command("list")
@click.pass_obj
def list_cases(workspace: Path) -> None:
    """List each case, and say where an open one is reported.

    \b
    Example:
        pramana case list
    """  # noqa: D301
    from app import cases  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    for line in cases.case_lines(Workspace.at(workspace)):
        click.echo(line)


@case.command("close")
@click.argument("sha256")
@click.option("--reference", required=True, help="Of the report, or of why none was owed.")
@click.option("--by", required=True, help="Who closes it.")
@click.option(
    "--outcome", type=click.Choice(["reported", "not-reportable"]), default="reported",
    show_default=True,
)  # fmt: skip
@click.pass_obj
def close_case(workspace: Path, sha256: str, reference: str, by: str, outcome: "Outcome") -> None:
    """Close the case of the image whose SHA-256 begins so. The sample stays excluded for ever.

    Nothing is reported by this command, and nothing is deleted.

    \b
    Example:
        pramana case close 9f86d081884c --reference "NCRP 2311260012" --by "A. Rao"
    """  # noqa: D301
    from governance import cases  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    place = Workspace.at(workspace)
    for found in cases.close_case(place, sha256, reference=reference, by=by, outcome=outcome):
        click.echo(f"closed {found.sha256[:12]} ({found.rule}); audit again to open the gate")
