"""`pramana verify`: every digest, proof and signature of something, computed anew."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from governance.signers.trust import Trust
    from governance.verify import Check


@click.command()
@click.argument("target", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--trust", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A trust.json you hold already; without it a bundle's own keys are used.",
)  # fmt: skip
def verify(target: Path, trust: Path | None) -> None:
    """Verify TARGET, a bundle, a workspace or a proof about a picture, from its bytes.

    Every digest, proof and signature is computed anew.

    \b
    Examples:
        pramana verify card/ --trust trust.json
        pramana verify proof.json --trust trust.json
    """  # noqa: D301
    checks = _checks(target, trust)
    for check in checks:
        click.echo(f"{'✕' if check.status else '✓'} {check.what}")
        if check.detail:
            click.echo(f"  {check.detail}")
    sys.exit(max(check.status for check in checks))


def _checks(target: Path, trust: Path | None) -> "list[Check]":
    from governance.signers.trust import Trust  # noqa: PLC0415  heavy

    pinned = Trust.from_bytes(trust.read_bytes()) if trust else None
    if target.is_dir():
        return _of_folder(target, pinned)
    if pinned is None:
        raise click.UsageError("A proof brings no keys of its own; give yours with --trust.")
    from governance.rights.presence_file import check_presence_file  # noqa: PLC0415  heavy

    return check_presence_file(target, pinned)


def _of_folder(target: Path, pinned: "Trust | None") -> "list[Check]":
    from governance.cards.bundle import SUMS  # noqa: PLC0415  heavy

    if (target / SUMS).is_file():
        from governance.cards.verification import verify_bundle  # noqa: PLC0415  heavy

        if pinned is None:
            click.echo("The keys are the bundle's own; pin yours with --trust to know whose.")
        return verify_bundle(target, pinned)
    from governance.verify import verify_workspace  # noqa: PLC0415  heavy
    from governance.workspace import STATE_FOLDER, Workspace  # noqa: PLC0415  heavy

    if not (target / STATE_FOLDER).is_dir():
        raise click.UsageError(f"{target} is neither a bundle nor a workspace.")
    return verify_workspace(Workspace(target))
