"""`pramana prove` and `pramana withdraw`: what a rights-holder, or a person shown, asks for."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--image", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file that is asked about.",
)  # fmt: skip
@click.option("--run", default="", help="Ask what this run was cleared on; an id, or latest.")
@click.option("--snapshot", default="", metavar="ROOT", help="Ask the latest decision on this one.")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="PROOF.json",
)  # fmt: skip
@click.pass_obj
def prove(workspace: Path, *, image: Path, run: str, snapshot: str, out: Path) -> None:
    """Prove that exactly this file is, or is not, in what was audited and cleared.

    Whoever gets PROOF.json checks it with the trust file alone. It shows no caption, and of other
    samples two digests each. Without --run or --snapshot the latest decision is asked.

    \b
    Examples:
        pramana prove --image photo.jpg --out proof.json
        pramana verify proof.json --trust trust.json
    """  # noqa: D301
    from governance.canon import write_whole  # noqa: PLC0415  heavy
    from governance.rights.disclosure import make_presence_file  # noqa: PLC0415  heavy
    from governance.rights.presence_file import check_presence_file  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    if run and snapshot:
        raise click.UsageError("Ask about a --run or about a --snapshot, one of them.")
    place = Workspace.at(workspace)
    place.memory.check(place.ledger, place.keyring.trust())
    write_whole(out, make_presence_file(place, image, run=run, snapshot=snapshot))
    for check in check_presence_file(out, place.keyring.trust()):
        click.echo(f"{'✕' if check.status else '✓'} {check.what}")
        if check.detail:
            click.echo(f"  {check.detail}")
    click.echo(f"proof {out}; hand it out with the trust file: pramana keys trust --out trust.json")


@click.command()
@click.option("--sample", "samples", multiple=True, metavar="ID")
@click.option("--sha256", "images", multiple=True, metavar="HEX", help="Of the file's bytes.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Or a web host.")
@click.option(
    "--subject", "subjects", multiple=True, metavar="WHO",
    help="A consent reference, or what the data calls subject or person_id.",
)  # fmt: skip
@click.option("--reason", default="", help="Kept beside the record, never in the ledger.")
@click.option("--by", default="", metavar="WHO", help="Who asks, or who closes a task.")
@click.option("--keep-keys", is_flag=True, help="Erase no key; a law may ask to preserve.")
@click.option("--list", "listed", is_flag=True, help="List the tasks, the first due on top.")
@click.option("--done", default="", metavar="TASK", help="Close a task; needs --by and --note.")
@click.option("--note", default="", help="What was done.")
@click.pass_obj
def withdraw(  # noqa: PLR0913  an option each
    workspace: Path,
    *,
    samples: tuple[str, ...],
    images: tuple[str, ...],
    sources: tuple[str, ...],
    subjects: tuple[str, ...],
    reason: str,
    by: str,
    keep_keys: bool,
    listed: bool,
    done: str,
    note: str,
) -> None:
    """Take samples back: no new snapshot holds them, and nothing trains on them any more.

    Names the runs and checkpoints that saw them, flags their cards, stops runs that go on, and
    opens a task with its last day. Of encrypted pictures the keys are erased, for good. Options can
    be repeated.

    \b
    Examples:
        pramana withdraw --subject consent-0042 --reason "wrote to us on 2 March"
        pramana withdraw --source photos.example.org --sample img_0007
        pramana withdraw --list
        pramana withdraw --done 9f86d081 --by "A. Rao" --note "told the person on 9 March"
    """  # noqa: D301
    from datetime import UTC, datetime  # noqa: PLC0415  heavy

    from app import rights as told  # noqa: PLC0415  heavy
    from governance.rights import requests as rights  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    named = bool(samples or images or sources or subjects)
    if named + listed + bool(done) != 1:
        raise click.UsageError("Name what is withdrawn, or --list, or --done TASK: one of these.")
    place, now = Workspace.at(workspace), datetime.now(UTC)
    place.memory.check(place.ledger, place.keyring.trust())
    if listed:
        lines = told.list_lines(place, now.date())
    elif done:
        lines = iter([told.task_line(rights.close(place, done, by=by, note=note))])
    else:
        request = rights.Request(
            samples=samples,
            images=tuple(image.lower() for image in images),
            sources=sources,
            subjects=subjects,
            reason=reason,
            by=by,
        )
        answer = rights.withdraw(place, request, now=now, keep_keys=keep_keys)
        lines = told.answer_lines(place, answer)
    for line in lines:
        click.echo(line)
