"""`pramana waiver`: ask that a rule be set aside, approve it, reject or revoke it, list them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from governance.waiving.waivers import Verb

KEY = click.option(
    "--key", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The private key of whoever acts; its role and person stand in the trust file.",
)  # fmt: skip


@click.group()
def waiver() -> None:
    """Ask for an exception to a rule, approve it, or take it back."""


@waiver.command("request")
@click.argument("rule")
@click.option("--reason", required=True, help="Why, in one line.")
@click.option("--measure", required=True, help="What is done instead, in one line.")
@click.option("--days", required=True, type=click.IntRange(1), help="Until it ends.")
@click.option("--sample", "samples", multiple=True, metavar="ID", help="Only this one; repeat.")
@KEY
@click.pass_obj
def request(
    workspace: Path,
    rule: str,
    *,
    reason: str,
    measure: str,
    days: int,
    samples: tuple[str, ...],
    key: Path,
) -> None:
    """Ask that RULE be set aside for what violates it in the latest decision.

    Without --sample it is asked for every sample the rule takes out. Whoever owns the data
    (`data_owner` in pramana.toml) and whoever asks cannot approve.

    \b
    Example:
        pramana waiver request COM-NSFW --days 30 --key asha-ml.pem \\
            --reason "statues in a museum" --measure "a person looked at each"
    """  # noqa: D301
    from app import waivers  # noqa: PLC0415  heavy
    from governance.signers.keys import signer_at  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    asked = waivers.request(
        Workspace.at(workspace),
        rule,
        signer=signer_at(key),
        reason=reason,
        measure=measure,
        days=days,
        samples=samples,
    )
    among = f", among them {', '.join(asked.including)}" if asked.including else ""
    click.echo(f"requested {asked.id}")
    click.echo(f"needs {asked.quorum} of the roles {', '.join(asked.roles)}{among}")
    click.echo(f"next: pramana waiver approve {asked.id[:12]} --key FILE")


@waiver.command("approve")
@click.argument("name", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@KEY
@click.pass_obj
def approve(workspace: Path, name: str, *, yes: bool, key: Path) -> None:
    """Show the request whose id begins with ID, ask, and sign for what was shown.

    \b
    Example:
        pramana waiver approve 3f9a11c0 --key people/ravi-dpo.pem
    """  # noqa: D301

    def show(text: str) -> None:
        click.echo(text)
        if not yes:
            click.confirm("Approve this, and sign for it?", abort=True)

    _say(workspace, name, "approve", key=key, show=show)


@waiver.command("reject")
@click.argument("name", metavar="ID")
@click.option("--reason", required=True, help="Why, in one line.")
@KEY
@click.pass_obj
def reject(workspace: Path, name: str, *, reason: str, key: Path) -> None:
    """Reject the request whose id begins with ID.

    \b
    Example:
        pramana waiver reject 3f9a11c0 --reason "ask the artist" --key people/ravi-dpo.pem
    """  # noqa: D301
    _say(workspace, name, "reject", key=key, show=click.echo, reason=reason)


@waiver.command("revoke")
@click.argument("name", metavar="ID")
@click.option("--reason", required=True, help="Why, in one line.")
@KEY
@click.pass_obj
def revoke(workspace: Path, name: str, *, reason: str, key: Path) -> None:
    """Revoke the active waiver whose id begins with ID; a run on it stops at its next checkpoint.

    \b
    Example:
        pramana waiver revoke 3f9a11c0 --reason "a complaint" --key people/ravi-dpo.pem
    """  # noqa: D301
    _say(workspace, name, "revoke", key=key, show=click.echo, reason=reason)


@waiver.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
@click.pass_obj
def list_waivers(workspace: Path, *, as_json: bool) -> None:
    """List waivers: state, who still has to approve, days left, what was granted before.

    \b
    Example:
        pramana waiver list
    """  # noqa: D301
    import json  # noqa: PLC0415  only here
    from dataclasses import asdict  # noqa: PLC0415  only here
    from datetime import UTC, datetime  # noqa: PLC0415  only here

    from app.waiver_rows import waiver_lines, waiver_rows  # noqa: PLC0415  heavy
    from governance.waiving.waived import standings  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    rows = waiver_rows(standings(Workspace.at(workspace)), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    for line in waiver_lines(rows):
        click.echo(line)


def _say(
    workspace: Path,
    name: str,
    verb: "Verb",
    *,
    key: Path,
    show: Callable[[str], None],
    reason: str = "",
) -> None:
    from app import waivers  # noqa: PLC0415  heavy
    from governance.signers.keys import signer_at  # noqa: PLC0415  heavy
    from governance.workspace import Workspace  # noqa: PLC0415  heavy

    act = waivers.say(
        Workspace.at(workspace), name, verb, signer=signer_at(key), show=show, reason=reason
    )
    done = {"approve": "approved", "reject": "rejected", "revoke": "revoked"}[verb]
    click.echo(f"{done} {act.waiver[:12]} as {act.role}; signed for the text {act.shown}")
    click.echo("next: pramana audit weighs what is active")
