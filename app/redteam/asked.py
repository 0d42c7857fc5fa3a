"""Waivers as honest people ask for them and approve them, for attacks to begin from.

Does not see: whether the reason given is a good one.
"""

import secrets
from typing import TYPE_CHECKING

from securesystemslib.signer import Signer

from app.redteam.attack import Unharmed, Victim
from app.redteam.scratch import DISPUTED, ENGINEER, Scratch
from governance.canon import sha256
from governance.statements import sign
from governance.waiving.papers import entries_on_waivers, gather
from governance.waiving.waived import desk_of, standings
from governance.waiving.waivers import Act, Request, Verb, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.workflow import Audited


def ask(
    scratch: Scratch, rule: str = DISPUTED, *, signer: Signer | None = None, days: int = 30
) -> Request:
    """Ask that a rule be set aside. Raises what asking raises."""
    from app.waivers import request  # noqa: PLC0415  heavy

    return request(
        scratch.workspace,
        rule,
        signer=signer or scratch.person("engineer", ENGINEER),
        reason="a scratch request",
        measure="nothing",
        days=days,
    )


def unread(_text: str) -> None:
    """Be shown a text, as somebody is who does not read it."""


def say(scratch: Scratch, asked: Request, verb: Verb, signer: Signer) -> object:
    """Approve, reject or revoke a waiver, having been shown it. Raises what saying raises."""
    from app import waivers  # noqa: PLC0415  heavy

    reason = "" if verb == "approve" else "a scratch reason"
    return waivers.say(scratch.workspace, asked.id, verb, signer=signer, show=unread, reason=reason)


def approve(scratch: Scratch, asked: Request, signer: Signer) -> object:
    """Approve a waiver."""
    return say(scratch, asked, "approve", signer)


def not_set_aside(scratch: Scratch, audit: "Callable[[], Audited] | None" = None) -> Victim:
    """Return a victim who audits, and sees whether anything is set aside."""

    def victim() -> object:
        decision = (audit or scratch.audit)().decision
        waived = decision.waivers or any(rule.waived for rule in decision.rules)
        return None if waived else Unharmed("the audit set nothing aside")

    return victim


def drafted(scratch: Scratch, asked: Request, signer: Signer) -> Act:
    """Return an approval as an honest person would sign it."""
    ledger, desk = scratch.workspace.ledger, desk_of(scratch.workspace)
    holder, size = desk.trust.holder(signer.public_key.keyid), ledger.size()
    waiver = desk.examine(gather(entries_on_waivers(ledger), asked.id, scratch.workspace.load))
    return Act(
        waiver=asked.id,
        verb="approve",
        person=holder.person,
        role=holder.role,
        shown=sha256(shown(asked, waiver.clause).encode()),
        reason="",
        size=size,
        root=ledger.root(size).hex(),
        nonce=secrets.token_hex(16),
    )


def filed(scratch: Scratch, asked: Request, said: Act, signer: Signer) -> object:
    """File what somebody signed. Raises what filing raises."""
    workspace, envelope = scratch.workspace, sign(said.payload(), signer)
    workspace.store(envelope)
    papers = gather(entries_on_waivers(workspace.ledger), asked.id, workspace.load)
    return desk_of(workspace).act(envelope, papers)


def asked_for(scratch: Scratch) -> Request:
    """Return the request of the waiver that the ground was made with."""
    waiver = standings(scratch.workspace)[0].waiver
    if waiver is None:
        raise ValueError("the ground has no waiver")
    return waiver.request
