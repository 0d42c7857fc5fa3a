"""The command line: four verbs (audit, train, review, card), and verify and demo beside them.

Each verb parses, makes one call and prints. What is heavy is imported inside the verb that needs
it, so `--help` answers at once.
"""

import os
import sys
import time
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import click

from app.verbs.case import case
from app.verbs.draw import draw
from app.verbs.evaluate import evaluate
from app.verbs.keys import clearance as clearances
from app.verbs.keys import keys
from app.verbs.ledger import ledger as ledgers
from app.verbs.plan import plan
from app.verbs.redteam import redteam
from app.verbs.rights import prove, withdraw
from app.verbs.verify import verify
from app.verbs.waiver import waiver
from app.verbs.weights import weights
from governance.errors import PramanaError

BLOCKED = 3  # the exit status of an audit whose verdict is block, as of every refusal


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--workspace", default=".", show_default=True, type=click.Path(file_okay=False, path_type=Path),
    help="The folder that keeps the evidence.",
)  # fmt: skip
@click.option(
    "--ledger", metavar="URL",
    help="The database that keeps the ledger, postgresql://..., or PRAMANA_LEDGER; else a file.",
)  # fmt: skip
@click.version_option(package_name="pramana")
@click.pass_context
def cli(context: click.Context, workspace: Path, ledger: str | None) -> None:
    """No proof, no training.

    Audit an image-caption dataset, train on exactly what is cleared, and hand out a card in which
    every fact can be checked.

    Exit status: 0 yes, 1 fault, 2 usage, 3 refused, 4 tampered, 5 evidence missing.
    """
    context.obj = workspace
    if ledger:
        os.environ["PRAMANA_LEDGER"] = ledger  # for those that this process starts, too
        context.call_on_close(partial(os.environ.pop, "PRAMANA_LEDGER", None))


def _explain(context: click.Context, _: click.Parameter, name: str | None) -> None:
    """Print how a finding was come by, and end."""
    if name is None:
        return
    from rich.console import Console  # noqa: PLC0415  heavy

    from app.report import print_explained  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    print_explained(Console(), Workspace.at(context.obj), name)
    context.exit()


@cli.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--policy", "packs", multiple=True, default=("commercial",), show_default=True, metavar="PACK",
    help="A pack by name (commercial, dpdp) or the path of a YAML file; repeat for several.",
)  # fmt: skip
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE",
    help="Judge by the rules in force on this day; today when not given.",
)  # fmt: skip
@click.option(
    "--map", "mapped", multiple=True, metavar="COLUMN=WORD",
    help="Read a column of the source as a word of ours, for example url_text=caption.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--sealed",
    is_flag=True,
    help="Encrypt every picture in the workspace; training gets the keys of what is cleared.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option(
    "--reports", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Also write attribution, licences by source, hash table and data docs to a new folder.",
)  # fmt: skip
@click.option(
    "--explain", metavar="FINDING", is_eager=True, expose_value=False, callback=_explain,
    help="Say how a finding of the latest audit was come by, and exit; needs no SOURCE.",
)  # fmt: skip
@click.pass_obj
def audit(  # noqa: PLR0913  an argument an option
    workspace: Path,
    sources: tuple[str, ...],
    packs: tuple[str, ...],
    as_of: datetime | None,
    mapped: tuple[str, ...],
    *,
    workers: int,
    sealed: bool,
    as_json: bool,
    reports: Path | None,
) -> None:
    """Audit SOURCEs as one dataset and hold what is found against policies.

    A SOURCE is a folder of pictures with metadata.csv or .jsonl, a Parquet file, a WebDataset tar,
    a CSV or JSONL manifest of local paths, or a dataset's name.

    \b
    Examples:
        pramana audit photos/ --policy commercial --policy dpdp
        pramana audit a.parquet b.parquet --policy dpdp --as-of 2027-06-01 --json
        pramana audit photos/ --sealed
        pramana audit --explain "licence/no licence"
    """  # noqa: D301  \b is click's mark
    from rich.console import Console  # noqa: PLC0415  heavy

    from app import cases, progress, report, workflow  # noqa: PLC0415  heavy
    from governance.canon import check_unused  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    place = Workspace.at(workspace)
    if reports:
        check_unused(reports)  # told before an hour of work
    with progress.shown() as bars:
        audited = workflow.audit(
            place,
            sources,
            packs=packs,
            as_of=_day(as_of),
            bars=bars,
            workers=workers,
            mapping=_mapping(mapped),
            sealed=sealed,
        )
    if reports:
        from app.reports import write_reports  # noqa: PLC0415  heavy

        write_reports(reports, audited)
    if as_json:
        click.echo(report.audit_json(place, audited))
    else:
        report.print_audit(Console(), audited)
    for line in cases.open_notice(place):
        click.echo(line, err=True)
    if sealed:
        click.echo(
            "The workspace holds ciphertexts only; SOURCE stays in plain where it was.", err=True
        )
    sys.exit(BLOCKED if audited.decision.verdict == "block" else 0)


@cli.command()
@click.option("--preset", default="micro", show_default=True, help="Which model and recipe.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="The budget, in minutes.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="The budget, in hours.")
@click.option(
    "--clearance", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use this clearance instead of asking the gate for one.",
)  # fmt: skip
@click.pass_obj
def train(
    workspace: Path,
    preset: str,
    minutes: float | None,
    hours: float | None,
    clearance: Path | None,
) -> None:
    """Train on what the latest audit cleared, to a wall-clock deadline.

    Everything, the export included, ends at or before the budget does. A run that
    was cut off goes on from its last checkpoint, to its old deadline. Several processes
    share the work when torchrun starts them; their number may change from one start to
    the next, but accelerators are counted in the clearance.

    \b
    Example:
        pramana train --preset micro --minutes 2
        torchrun --nproc-per-node 2 -m app train --preset micro --minutes 2
    """  # noqa: D301
    from app import progress, report, workflow  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy
    from training.team.launch import launched  # noqa: PLC0415  heavy

    if (minutes is None) == (hours is None):
        raise click.UsageError("Give the budget as --minutes M or as --hours H, one of them.")
    budget_s = 60.0 * (minutes if minutes is not None else 60.0 * (hours or 0.0))
    place = Workspace.at(workspace)
    with progress.shown() as bars:
        folder, result = workflow.train(
            place, preset=preset, budget_s=budget_s, started_at=_began(), bars=bars,
            envelope=clearance.read_bytes() if clearance else None,
        )  # fmt: skip
    launch = launched()
    if launch and launch.rank:  # the first process tells
        return
    click.echo(f"run {folder.name}: {result.summary()}")
    for line in report.scores(folder):
        click.echo(line)
    click.echo(f"pipeline {folder / 'pipeline'} · samples {folder / 'samples.png'}")
    click.echo(f"next: pramana --workspace {workspace} card {folder.name} --out card/")


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="The first free one from 8501.")
@click.pass_obj
def review(workspace: Path, port: int | None) -> None:
    """Open the screens: findings and decision, audit trail, card.

    \b
    Example:
        pramana review
    """  # noqa: D301
    from app.review import run  # noqa: PLC0415  heavy

    sys.exit(run(workspace, port))


@cli.command()
@click.argument("run")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.pass_obj
def card(workspace: Path, run: str, out: Path) -> None:
    """Write the card and evidence of RUN as a folder anybody can verify.

    RUN is the beginning of a run's id, or `latest`.

    \b
    Example:
        pramana card latest --out card/
    """  # noqa: D301
    from app import workflow  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    folder = workflow.export_card(Workspace.at(workspace), run, out)
    click.echo(f"card {folder / 'README.md'}\nverify it: pramana verify {folder}")


@cli.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path))
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=1.5, show_default=True)
def demo(out: Path, minutes: float) -> None:
    """Show the whole path on scenes drawn here, in about four minutes.

    2,000 scenes with planted problems are refused, mended, cleared and trained on.

    \b
    Example:
        pramana demo
    """  # noqa: D301
    from app.demo import show  # noqa: PLC0415  heavy

    show(out, minutes=minutes)


for verb in (
    case, clearances, draw, evaluate, keys, ledgers, plan, prove, redteam, verify, waiver, withdraw,
    weights,
):  # fmt: skip
    cli.add_command(verb)


def main() -> None:
    """Run the command line and end the process with the right exit status."""
    _began()
    try:
        cli(standalone_mode=False)
    except PramanaError as fault:
        click.echo(str(fault), err=True)
        sys.exit(fault.status)
    except click.Abort:
        click.echo("Stopped. What was finished is kept; run the same command to go on.", err=True)
        sys.exit(1)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except OSError as fault:
        click.echo(f"The system refused: {fault.strerror} ({fault.filename}).", err=True)
        sys.exit(1)


def _mapping(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    for column, sign, word in pairs:
        if not (column and sign and word):
            raise click.UsageError(f"--map takes COLUMN=WORD, not {column + sign + word!r}.")
    return {column: word for column, _, word in pairs}


def _day(given: datetime | None) -> date:
    return given.date() if given else datetime.now(UTC).date()


_start: list[float] = []


def _began() -> float:
    """Return when this command began, in seconds since the epoch: the budget counts from here."""
    if not _start:
        _start.append(time.time())
    return _start[0]
