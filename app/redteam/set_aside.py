"""Attacks with waivers that were granted: after their end, for other samples, under other rules.

Does not see: a waiver that should never have been granted.
"""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from app.redteam.asked import ask, asked_for, not_set_aside, say
from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import edit, flip
from app.redteam.scratch import DISPUTED, ENGINEER, LAWYERS, PACKS, PEOPLE, Scratch
from governance.errors import Refused, Tampered, UsageError
from governance.signers import roles
from governance.statements import sign
from governance.waiving.waived import decision_waivers, desk_of

EXACT: Final = (
    "a waiver holds for one rule, one policy's bytes, exactly these samples, until its end"
)
UNNAMED: Final = "nobody is named in the trail"
LENA, LUIS = LAWYERS


def _expired(scratch: Scratch) -> Victim:
    """Judge by a day on which the waiver has ended."""
    return not_set_aside(scratch, partial(scratch.audit, days_on=60))


def _expired_at_the_gate(scratch: Scratch) -> Victim:
    """Use a decision whose waiver has ended since."""
    decision = scratch.decision
    later = datetime.now(UTC) + timedelta(days=60)
    return lambda: decision_waivers(scratch.workspace, decision, now=later)


def _revoked(scratch: Scratch) -> Victim:
    """Ask for a clearance on a waiver that was revoked after the decision."""
    asked = asked_for(scratch)
    say(scratch, asked, "revoke", scratch.person("legal", LUIS))
    return scratch.train


def _revoked_meanwhile(scratch: Scratch) -> Victim:
    """Go on training on a waiver that is revoked meanwhile."""
    asked = asked_for(scratch)

    def revoked(step: int) -> None:
        if step == 1:
            say(scratch, asked, "revoke", scratch.person("legal", LUIS))

    return partial(scratch.train, at_step=revoked)


def _approver_revoked(scratch: Scratch) -> Victim:
    """Ask for a clearance on a waiver whose approver's key was revoked after the decision."""
    roles.revoke(scratch.workspace, scratch.person("legal", LENA).public_key.keyid)
    return scratch.train


def _other_snapshot(scratch: Scratch) -> Victim:
    """Use a waiver for a dataset that has one more sample of the same kind."""
    metadata = scratch.scenes / "metadata.csv"
    edit(metadata, b",CC-BY-4.0,", b",CC-BY-SA-4.0,")
    return not_set_aside(scratch)


def _policy_edited(scratch: Scratch) -> Victim:
    """Use a waiver under a policy of the same name that says something else."""
    from policies.rules import packaged  # noqa: PLC0415  heavy

    pack = scratch.folder / "own.yaml"
    pack.write_bytes(packaged(f"packs/{PACKS[0]}.yaml") + b"# edited\n")
    return not_set_aside(scratch, partial(scratch.audit, packs=(str(pack),)))


def _one_more(scratch: Scratch) -> Victim:
    """Name one sample more in the list that the waiver is about."""
    asked = asked_for(scratch)
    path = scratch.workspace.state / "objects" / "sha256" / asked.samples[:2] / asked.samples
    flip(path, at=10)
    return scratch.train


def _more_set_aside(scratch: Scratch) -> Victim:
    """Have an insider write a decision that sets more aside than was asked for."""
    decision = scratch.decision
    more = tuple(
        replace(rule, waived=rule.waived + 1) if rule.id == DISPUTED else rule
        for rule in decision.rules
    )
    forged = replace(decision, rules=more)
    scratch.workspace.ledger.append("decided", {"decision": forged.id})
    return lambda: decision_waivers(scratch.workspace, forged)


def _unnamed_waiver(scratch: Scratch) -> Victim:
    """Have an insider write a decision that sets samples aside and names no waiver."""
    decision = scratch.decision
    forged = replace(decision, waivers=(), verdict="pass")
    scratch.workspace.ledger.append("decided", {"decision": forged.id})
    return lambda: decision_waivers(scratch.workspace, forged)


def _papers_edited(scratch: Scratch) -> Victim:
    """Edit the signed request."""
    told = scratch.workspace.ledger.entries("waiver.requested")[0]
    name = str(told.body["document"])
    flip(scratch.workspace.state / "objects" / "sha256" / name[:2] / name, at=100)
    return scratch.train


def _too_long(scratch: Scratch) -> Victim:
    return partial(ask, scratch, days=400)


def _signed_too_long(scratch: Scratch) -> Victim:
    """Sign a request of one's own that ends later than the rule allows, and file it."""
    asked, signer = ask(scratch), scratch.person("engineer", ENGINEER)
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat(timespec="milliseconds")
    size = scratch.workspace.ledger.size()
    root = scratch.workspace.ledger.root(size).hex()
    forged = replace(asked, ends_at=later, nonce=secrets.token_hex(16), size=size, root=root)
    desk, envelope = desk_of(scratch.workspace), sign(forged.payload(), signer)
    policy = scratch.workspace.load(asked.policy_sha256, "the policy")
    return lambda: desk.request(envelope, policy=policy, earlier=())


def _child_safety(scratch: Scratch) -> Victim:
    return partial(ask, scratch, "CS-SUSPECTED")


def _names(scratch: Scratch) -> Victim:
    """Read the trail, to learn who asked and who approved."""

    def victim() -> object:
        trail = b"".join(scratch.workspace.ledger.leaves())
        named = [person for _, person in PEOPLE if person.encode() in trail]
        return None if named else Unharmed("it holds salted tags of people, no name")

    return victim


_used = partial(
    Attack, threat="waiver expired or reused", holds=EXACT, error=Refused, ground="waived"
)

ATTACKS: Final = (
    _used(name="a waiver is used after its end", act=_expired, error=None),
    _used(
        name="a decision is used whose waiver has ended", act=_expired_at_the_gate,
        check="waiver (16)",
    ),
    _used(
        name="a decision is used whose waiver was revoked", act=_revoked, check="waiver (15)"
    ),
    _used(
        name="a run goes on after its waiver was revoked", act=_revoked_meanwhile,
        check="clearance (7)",
    ),
    _used(
        name="a decision is used whose approver's key was revoked", act=_approver_revoked,
        check="waiver (7)",
    ),
    _used(name="a waiver is used for another snapshot", act=_other_snapshot, error=None),
    _used(name="a waiver is used under another policy", act=_policy_edited, error=None),
    _used(
        name="the list of samples is edited", act=_one_more, error=Tampered,
        check="The bytes of the samples of a waiver were altered",
    ),
    _used(
        name="a decision sets more aside than was asked", act=_more_set_aside, check="waiver (19)"
    ),
    _used(
        name="a decision sets samples aside without a waiver", act=_unnamed_waiver,
        check="waiver (19)",
    ),
    _used(
        name="the signed request is edited", act=_papers_edited, error=Tampered,
        check="The bytes of a document on a waiver were altered",
    ),
    _used(
        name="a waiver is asked for too long", act=_too_long, error=UsageError,
        check="is waived for 1 to",
    ),
    _used(
        name="a request is signed that ends too late", act=_signed_too_long, check="waiver (4)"
    ),
    _used(
        name="a waiver is asked for of a rule that protects children", act=_child_safety,
        check="can never be waived",
    ),
    Attack(
        name="the trail is read for names", threat="names in the trail", holds=UNNAMED,
        act=_names, ground="waived",
    ),
)  # fmt: skip
