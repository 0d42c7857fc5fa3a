"""`pramana keys`: who may sign what. `pramana clearance`: what was permitted, and taken back."""

from pathlib import Path

import click


@click.group()
def keys() -> None:
    """Make, list, trust, rotate and revoke keys."""


@keys.command("new")
@click.argument("role")
@click.argument("person")
@click.pass_obj
def new_key(workspace: Path, role: str, person: str) -> None:
    """Make a key for PERSON and trust it for ROLE: dpo, legal, owner, witness, or any other word.

    The private key lies in a file that only you can read; hand it to the person and delete it here.

    \b
    Example:
        pramana keys new dpo asha
    """  # noqa: D301
    from governance.signers.keys import make_key  # noqa: PLC0415  heavy
    from governance.signers.roles import check_words, trust_key  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    check_words(role, person)
    place = Workspace.at(workspace)
    path = place.keyring.folder / "people" / f"{person}-{role}.pem"
    key = trust_key(place, role=role, person=person, public=make_key(path, role))
    click.echo(f"{key.id}  {role}  {person}\nprivate key: {path}")


@keys.command("list")
@click.pass_obj
def list_keys(workspace: Path) -> None:
    """List each key with its role, who holds it, and until which act it counts.

    \b
    Example:
        pramana keys list
    """  # noqa: D301
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    trust = Workspace.at(workspace).keyring.trust()
    click.echo(f"version {trust.version} · {trust.origin} · profile {trust.profile}", nl=False)
    click.echo(f", {trust.witnesses} witnesses must cosign" if trust.witnesses else "")
    for key in trust.keys:
        state = {None: "in use", 0: "revoked"}.get(key.until, f"until act {key.until}")
        click.echo(f"{key.id[:16]}  {key.role:8}  {key.person or '(house)':12}  {state}")


@keys.command("trust")
@click.argument("role", required=False)
@click.argument("person", required=False)
@click.option(
    "--public", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A public key in PEM, made elsewhere.",
)  # fmt: skip
@click.option("--witnesses", type=click.IntRange(0), help="How many must cosign; 0 means none.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the trust file there, for an outsider to pin.",
)  # fmt: skip
@click.pass_obj
def trust(
    workspace: Path,
    role: str | None,
    person: str | None,
    *,
    public: Path | None,
    witnesses: int | None,
    out: Path | None,
) -> None:
    """Trust a key that PERSON made elsewhere for ROLE, say how many witnesses must cosign, or both.

    With one witness or more the profile is `production`: nothing trains before they cosigned.

    \b
    Examples:
        pramana keys trust dpo asha --public asha.pub
        pramana keys trust --witnesses 1 --out trust.json
    """  # noqa: D301
    from governance.canon import write_whole  # noqa: PLC0415  heavy
    from governance.signers.roles import require_witnesses, trust_key  # noqa: PLC0415  heavy
    from governance.signers.trust import key_from_pem  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    place = Workspace.at(workspace)
    if (any((role, person, public)) or (witnesses is None and out is None)) and not (
        role and person and public
    ):
        raise click.UsageError("Trusting a key takes ROLE, PERSON and --public.")
    if public and role and person:
        key = key_from_pem(public.read_bytes(), role)
        click.echo(f"{trust_key(place, role=role, person=person, public=key).id}  {role}  {person}")
    if witnesses is not None:
        click.echo(f"profile {require_witnesses(place, witnesses).profile}")
    if out:
        write_whole(out, place.keyring.trust().to_bytes())
        click.echo(f"trust file {out}")


@keys.command("rotate")
@click.argument("role")
@click.pass_obj
def rotate_key(workspace: Path, role: str) -> None:
    """Give a duty of the house (root, auditor, gate, trainer, card, log) a new key.

    What the old key signed still counts for acts that the ledger holds already.

    \b
    Example:
        pramana keys rotate gate
    """  # noqa: D301
    from governance.signers.roles import rotate  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    click.echo(f"{rotate(Workspace.at(workspace), role).id}  {role}")


@keys.command("revoke")
@click.argument("keyid")
@click.pass_obj
def revoke_key(workspace: Path, keyid: str) -> None:
    """Revoke the key whose id begins with KEYID: nothing it ever signed counts any more.

    \b
    Example:
        pramana keys revoke 3f9a11c0
    """  # noqa: D301
    from governance.signers.roles import revoke  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    key = revoke(Workspace.at(workspace), keyid)
    click.echo(f"revoked {key.id[:16]}  {key.role}  {key.person or '(house)'}")


@keys.command("forget")
@click.argument("person")
@click.pass_obj
def forget_person(workspace: Path, person: str) -> None:
    """Erase the salt that ties PERSON to tags in the ledger; its tree stays whole.

    \b
    Example:
        pramana keys forget asha
    """  # noqa: D301
    from governance.signers.salts import forget  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    forget(Workspace.at(workspace).salts, person)
    click.echo("erased; what the ledger holds can no longer be tied to this name")


@click.group()
def clearance() -> None:
    """List clearances, or revoke one."""


@clearance.command("list")
@click.pass_obj
def list_clearances(workspace: Path) -> None:
    """List each clearance: issued, used by which run, revoked, until when.

    \b
    Example:
        pramana clearance list
    """  # noqa: D301
    from app.clearing import clearance_lines  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    for line in clearance_lines(Workspace.at(workspace)):
        click.echo(line)


@clearance.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke_clearance(workspace: Path, name: str) -> None:
    """Revoke the clearance whose id begins with NAME; a run under it stops at its next checkpoint.

    \b
    Example:
        pramana clearance revoke 5c1e09ab
    """  # noqa: D301
    from governance.clearance import revoke  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    click.echo(f"revoked {revoke(Workspace.at(workspace).ledger, name)}")
