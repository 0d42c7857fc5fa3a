"""`pramana draw`: pictures from a model; prompts are read first, and pictures looked at."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.draw import Drawn

REFUSED = 3  # the exit status where anything was refused


@click.command()
@click.argument("model", metavar="RUN_OR_FOLDER")
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31))
@click.option("--steps", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--guidance", default=3.0, show_default=True, type=click.FloatRange(0, 100),
    help="How hard the prompt pulls.",
)  # fmt: skip
@click.option("--jpeg", is_flag=True, help="JPEG in place of PNG.")
@click.option("--label", is_flag=True, help="Write 'AI-generated' into a corner, to be seen.")
@click.option(
    "--sign", is_flag=True,
    help="Also a C2PA manifest, by a self-issued certificate that viewers call untrusted.",
)  # fmt: skip
@click.option(
    "--chain", type=click.Path(dir_okay=False, path_type=Path), metavar="PEM",
    help="Sign with your own C2PA certificate chain, leaf first, and --key.",
)  # fmt: skip
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), metavar="PEM")
@click.option(
    "--persons", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Names of persons that are not drawn, one a line.",
)  # fmt: skip
@click.option("--unchecked", is_flag=True, help="Write pictures that no detector looked at.")
@click.pass_obj
def draw(  # noqa: PLR0913  an argument an option
    workspace: Path,
    *,
    model: str,
    prompts: tuple[str, ...],
    out: Path,
    seed: int,
    steps: int,
    guidance: float,
    jpeg: bool,
    label: bool,
    sign: bool,
    chain: Path | None,
    key: Path | None,
    persons: Path | None,
    unchecked: bool,
) -> None:
    """Draw PROMPTs with a run, a bundle or an exported folder.

    Prompts are held to a blocklist, pictures to a nudity detector; what is refused is not
    written, and is logged by rule. Every picture says in its metadata that a model made it.

    \b
    Example:
        pramana draw latest "a red circle on the left of a white background" --out drawn/
    """  # noqa: D301
    from app import draw as drawing  # noqa: PLC0415  heavy
    from app import progress  # noqa: PLC0415  heavy
    from audits.screening.detector import Weights  # noqa: PLC0415  heavy

    asked = drawing.Asked(
        target=model,
        prompts=prompts,
        out=out,
        seed=seed,
        steps=steps,
        guidance=guidance,
        form="jpeg" if jpeg else "png",
        label=label,
        sign=sign,
        chain=chain,
        key=key,
        persons=persons,
    )
    check = None if unchecked else drawing.check_by(Weights.installed())
    with progress.shown() as bars:
        drawn = drawing.draw(workspace, asked, check=check, bars=bars)
    _print(drawn)
    sys.exit(REFUSED if drawn.refused else 0)


def _print(drawn: "Drawn") -> None:
    for place, name in sorted(drawn.files.items()):
        click.echo(f"prompt {place + 1}: {drawn.folder / name}")
    for refusal in drawn.refused:
        click.echo(
            f"prompt {refusal.place + 1}: refused at the {refusal.at} by {refusal.rule}: "
            f"{drawn.why[refusal.rule]}",
            err=True,
        )
    if not drawn.checked:
        click.echo("No detector looked at these pictures; only the words were read.", err=True)
