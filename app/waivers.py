"""Waivers in the main path and on the command line: ask, approve, reject, revoke.

Whoever acts hands in their own signer. What they approve is shown to them first, as the text whose
digest they sign.

Does not see: whether they read it.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta

import pyarrow.compute as pc
from securesystemslib.signer import Signer

from app.view import excluded
from governance.canon import printable, sha256
from governance.errors import EvidenceMissing, Refused, UsageError
from governance.records import Decision, PolicyUsed, RuleResult
from governance.statements import sign
from governance.waiving.filing import Desk
from governance.waiving.papers import Papers, earlier_acts, entries_on_waivers, gather, granted
from governance.waiving.waived import desk_of, standings
from governance.waiving.waivers import (
    SAMPLES,
    SNAPSHOT,
    Act,
    Request,
    Verb,
    check_plain,
    clause_of,
    sample_ids,
    sample_list,
    sample_root,
    shown,
)
from governance.workspace import CONFIG_FILE, Workspace

LEAST = 6  # hex digits that name a waiver
Show = Callable[[str], None]  # shows a text, and raises where the person says no


def moment(as_of: date) -> datetime:
    """Return the time at which a waiver must be active for a verdict of a day: now, or later."""
    return max(datetime.now(UTC), datetime.combine(as_of, time(), UTC))


def request(
    workspace: Workspace,
    rule: str,
    *,
    signer: Signer,
    reason: str,
    measure: str,
    days: int,
    samples: Sequence[str] = (),
) -> Request:
    """Ask that a rule be set aside for what violates it in the latest decision.

    Args:
        workspace: where that decision lies.
        rule: its id, or `policy/id` where two policies have one of that name.
        signer: the requester's own.
        reason: why, in one line.
        measure: what is done instead, in one line.
        days: until it ends.
        samples: ids, of a rule about samples; none means all that the rule takes out.

    Raises:
        EvidenceMissing: nothing was audited, or nobody is declared who owns the data.
        Refused: the rule can never be waived, or a check fails.
        UsageError: there is no such rule, nothing violates it, or it is asked for too long.
    """
    check_plain("reason", reason)
    check_plain("measure", measure)
    owner = _owner(workspace)
    desk, decision = _desk(workspace), workspace.latest_decision()
    result, used = _judged_by(decision, rule)
    policy = workspace.load(used.sha256, f"the policy {used.id}")
    clause = clause_of(policy, result.id)
    if not 1 <= days <= clause.max_days:
        raise UsageError(f"{result.id} is waived for 1 to {clause.max_days} days, not for {days}.")
    ids = _set_aside(workspace, decision, result, samples)
    subject, listed = _subject(workspace, decision, ids)
    size, key = desk.ledger.size(), (used.id, result.id)
    earlier = earlier_acts(entries_on_waivers(desk.ledger), key, below=size)
    asked = Request(
        about=SAMPLES if ids else SNAPSHOT,
        subject=subject,
        policy=used.id,
        policy_sha256=used.sha256,
        rule=result.id,
        decision=decision.id,
        snapshot=decision.snapshot,
        count=len(ids),
        samples=listed,
        reason=reason,
        measure=measure,
        ends_at=(desk.ledger.now() + timedelta(days=days)).isoformat(timespec="milliseconds"),
        owner=owner,
        requester=desk.trust.holder(str(signer.public_key.keyid)).person,
        roles=clause.roles,
        including=clause.including,
        quorum=clause.quorum,
        max_days=clause.max_days,
        renewals=granted(earlier),
        size=size,
        root=desk.ledger.root(size).hex(),
        nonce=secrets.token_hex(16),
    )
    envelope = sign(asked.payload(), signer)
    workspace.store(envelope)
    desk.request(envelope, policy=policy, earlier=earlier)
    return asked


def say(
    workspace: Workspace,
    prefix: str,
    verb: Verb,
    *,
    signer: Signer,
    show: Show,
    reason: str = "",
) -> Act:
    """Approve, reject or revoke the waiver whose id begins so, once its text was shown.

    Args:
        workspace: where it is filed.
        prefix: the beginning of its id.
        verb: what is said to it.
        signer: of whoever says it.
        show: shows the text that is signed for; it raises where the person says no.
        reason: in one line; none for an approval.

    Raises:
        UsageError: none or several ids begin so.
        Refused: it is no legal move, or a check fails.
    """
    if verb != "approve":
        check_plain("reason", reason)
    desk = _desk(workspace)
    papers = _found(workspace, prefix)
    waiver = desk.examine(papers)
    text = shown(waiver.request, waiver.clause)
    show(text)
    key, size = desk.trust.holder(str(signer.public_key.keyid)), desk.ledger.size()
    act = Act(
        waiver=waiver.id,
        verb=verb,
        person=key.person,
        role=key.role,
        shown=sha256(text.encode()),
        reason=reason,
        size=size,
        root=desk.ledger.root(size).hex(),
        nonce=secrets.token_hex(16),
    )
    envelope = sign(act.payload(), signer)
    workspace.store(envelope)
    desk.act(envelope, papers)
    return act


def _desk(workspace: Workspace) -> Desk:
    """Return where waivers are filed, once the ledger goes on from what was last seen of it."""
    workspace.memory.remember(workspace.ledger, workspace.keyring.trust())
    return desk_of(workspace)


def _owner(workspace: Workspace) -> str:
    owner = workspace.declared().data_owner.strip()
    if not owner:
        raise EvidenceMissing(
            f"Nobody is declared who owns the data, and they may not approve. Write `data_owner = "
            f'"name"` in {CONFIG_FILE}: a name that `pramana keys list` shows.'
        )
    return owner


def _judged_by(decision: Decision, rule: str) -> tuple[RuleResult, PolicyUsed]:
    """Return the result of a rule of the decision, and the policy it stands in."""
    policy, _, name = rule.rpartition("/")
    found = [r for r in decision.rules if r.id == name and policy in {"", r.policy}]
    if len(found) != 1:
        known = ", ".join(f"{r.policy}/{r.id}" for r in found) or "none of its rules"
        raise UsageError(f"{rule!r} names {known} in the latest decision; give one policy/RULE.")
    used = [policy for policy in decision.policies if policy.id == found[0].policy]
    if not used:
        raise Refused(f"{name} holds by construction and can never be waived.")
    return found[0], used[0]


def _set_aside(
    workspace: Workspace, decision: Decision, result: RuleResult, samples: Sequence[str]
) -> tuple[str, ...]:
    """Return the samples that a waiver is asked for; none where the rule is not about samples."""
    if result.on != "sample":
        if samples:
            raise UsageError(f"{result.id} is about the {result.on}, not about single samples.")
        if result.status not in {"violated", "waived", "at-run"}:
            raise UsageError(f"{result.id} is {result.status}; there is nothing to set aside.")
        return ()
    violating = _violating(workspace, decision, result)
    stray = sorted(set(samples) - violating)
    if stray or not violating:
        named = (
            f"{len(stray)} of the samples named, first {printable(stray[0])!r}," if stray else ""
        )
        raise UsageError(
            f"{result.id} takes {named or 'no sample'} out in the latest decision"
            f"{' not' if named else ''}; there is nothing to set aside."
        )
    return tuple(sorted(set(samples) or violating))


def _subject(workspace: Workspace, decision: Decision, ids: Sequence[str]) -> tuple[str, str]:
    """Return the root over samples and the digest of their kept list, or that of the snapshot."""
    if not ids:
        return decision.snapshot, ""
    listed = sample_list(workspace.snapshot(decision.snapshot).manifest(), ids)
    return sample_root(listed), workspace.store(listed)


def _violating(workspace: Workspace, decision: Decision, result: RuleResult) -> set[str]:
    """Return the samples that a rule takes out, or would if they were not waived already."""
    table = excluded(workspace, decision)
    ours = (pc.field("rule") == result.id) & (pc.field("policy") == result.policy)
    found = set(table.filter(ours)["id"].to_pylist())
    for name in decision.waivers:
        waiver = next((s.waiver for s in standings(workspace) if s.id == name), None)
        if waiver and (waiver.request.policy, waiver.request.rule) == (result.policy, result.id):
            listed = workspace.load(waiver.request.samples, "the samples of a waiver")
            found.update(sample_ids(listed, waiver.request))
    return found


def _found(workspace: Workspace, prefix: str) -> Papers:
    entries = entries_on_waivers(workspace.ledger)
    names = {str(e.body["waiver"]) for e in entries if str(e.body["waiver"]).startswith(prefix)}
    if len(names) != 1 or len(prefix) < LEAST:
        raise UsageError(
            f"{len(names)} waivers begin with {prefix!r}; give {LEAST} or more letters of one: "
            "`pramana waiver list`."
        )
    return gather(entries, names.pop(), workspace.load)
