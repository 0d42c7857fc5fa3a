"""The life of a waiver: requested, approved by a quorum, active, and then expired or revoked.

Everything is derived from signed documents and ledger entries; no row of a table is believed. Each
check has a number, which its message names: one document in the ledger that fails a check spoils
the waiver, so that nobody argues about which of them counted.

Does not see: whether the leaves handed in are in the ledger (whoever hands them in proves that), a
revocation that was kept from it, or one human being who is enrolled as two persons.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from governance.canon import Json, sha256
from governance.errors import Refused, Tampered
from governance.records import Decision, Exemption, RuleResult
from governance.signers.trust import Trust, TrustedKey
from governance.trail.ledger import Entry, Ledger
from governance.waiving.papers import (
    APPROVED,
    REJECTED,
    REVOKED,
    SHORT,
    TAGS,
    Papers,
    act_body,
    entries_on_waivers,
    granted,
    requested_body,
)
from governance.waiving.waivers import (
    SAMPLES,
    SNAPSHOT,
    Act,
    Clause,
    Document,
    Request,
    clause_of,
    opened,
    shown,
)

ENTRY_OF: Final[Mapping[str, str]] = {
    "approve": APPROVED, "reject": REJECTED, "revoke": REVOKED,
}  # fmt: skip
ENDS: Final[Mapping[str, Literal["rejected", "revoked"]]] = {
    REJECTED: "rejected", REVOKED: "revoked",
}  # fmt: skip

State = Literal["requested", "active", "expired", "rejected", "revoked"]
Extends = Callable[[int, str], None]  # raises unless (size, root) is an earlier tree of the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A waiver whose documents hold: what was asked, who approved, and how it ended, if it did."""

    request: Request
    clause: Clause
    approvals: tuple[Act, ...] = ()
    ended: Literal["", "rejected", "revoked"] = ""

    @property
    def id(self) -> str:
        """Return the digest that names this waiver."""
        return self.request.id

    @property
    def ends_at(self) -> datetime:
        """Return when it ends by itself."""
        return datetime.fromisoformat(self.request.ends_at)

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles of those who approved, in order."""
        return tuple(act.role for act in self.approvals)

    @property
    def wanting(self) -> str:
        """Return who still has to approve; '' once the quorum is there."""
        absent = [role for role in self.clause.including if role not in self.roles]
        more = max(self.clause.quorum - len(self.approvals), len(absent))
        return (
            f"{more} more" + (f", among them {', '.join(absent)}" if absent else "") if more else ""
        )

    def state(self, now: datetime) -> State:
        """Return how it stands at a time."""
        if self.ended:
            return self.ended
        if now >= self.ends_at:
            return "expired"
        return "requested" if self.wanting else "active"

    def exemption(self, samples: tuple[str, ...] | None = None) -> Exemption:
        """Return what it sets aside; `samples` are its ids, None for a whole snapshot."""
        asked = self.request
        return Exemption(
            id=self.id,
            policy=asked.policy,
            policy_sha256=asked.policy_sha256,
            rule=asked.rule,
            snapshot=asked.snapshot,
            samples=samples,
        )

    def to_json(self) -> dict[str, Json]:
        """Return what a card says of it: no names."""
        asked = self.request
        return {
            "id": self.id, "policy": asked.policy, "rule": asked.rule, "count": asked.count,
            "roles": self.roles, "reason": asked.reason, "measure": asked.measure,
            "ends_at": asked.ends_at,
        }  # fmt: skip


def examine(papers: Papers, *, trust: Trust, extends: Extends) -> Waiver:
    """Return a waiver once every document on it holds; whether it is active is asked after.

    Args:
        papers: all there is on it.
        trust: whose keys count, for whom, in which role, until which act.
        extends: raises unless a size and a root are of an earlier tree of this ledger.

    Raises:
        Refused: a check failed; the message names it by number.
        Tampered: something is no such document at all.
    """
    asked, approvals = _asked(papers, trust, extends), dict[str, Act]()
    waiver = Waiver(request=asked.request, clause=asked.clause)
    for entry in papers.acts:
        act, key = _act(papers, entry, asked, trust)
        _check_seen(entry, act, asked, extends)
        if entry.kind != APPROVED:
            _check_may_stop(key, asked)
            return replace(waiver, approvals=tuple(approvals.values()), ended=ENDS[entry.kind])
        _check_apart(key, asked, approvals)
        approvals[key.id] = act
    return replace(waiver, approvals=tuple(approvals.values()))


def check_active(waiver: Waiver, now: datetime) -> None:
    """Raise Refused unless a waiver whose documents hold is active at a time."""
    # (14) As many approved as the rule asks, of the roles it asks.
    if waiver.wanting:
        raise _refusal(14, f"{waiver.id[:SHORT]} is not approved yet: {waiver.wanting}.")
    # (15) Nobody rejected or revoked it.
    if waiver.ended:
        raise _refusal(15, f"{waiver.id[:SHORT]} was {waiver.ended}; ask for another.")
    # (16) It has not ended.
    if now >= waiver.ends_at:
        raise _refusal(16, f"{waiver.id[:SHORT]} ended at {waiver.request.ends_at}; ask again.")


def check_waivers(
    decision: Decision,
    papers: Sequence[Papers],
    *,
    trust: Trust,
    extends: Extends,
    now: datetime,
) -> tuple[Waiver, ...]:
    """Hold a decision to the waivers it stands on, and return them.

    Args:
        decision: what the policies concluded.
        papers: of each waiver that it names.
        trust: whose keys count, for whom, in which role, until which act.
        extends: raises unless a size and a root are of an earlier tree of the ledger.
        now: the time at which they have to be active.

    Raises:
        Refused: a check failed; the message names it by number.
        Tampered: something is no such document at all.
    """
    # (1) to (13) Each document on each of them holds, (14) to (16) and each of them is active.
    found = {of.id: examine(of, trust=trust, extends=extends) for of in papers}
    for waiver in found.values():
        check_active(waiver, now)
    # (17) They are the waivers that the decision names, and its verdict says that there are any.
    verdict = "pass-with-waivers" if decision.waivers else "pass"
    if set(found) != set(decision.waivers) or decision.verdict not in {verdict, "block"}:
        raise _refusal(17, "the decision names other waivers than it stands on; audit again.")
    # (18) Each is about this decision's snapshot and policies.
    judged_by = {(policy.id, policy.sha256) for policy in decision.policies}
    for waiver in found.values():
        asked = waiver.request
        judge = (asked.policy, asked.policy_sha256)
        if asked.snapshot != decision.snapshot or judge not in judged_by:
            raise _refusal(
                18,
                f"{waiver.id[:SHORT]} is about the snapshot {asked.snapshot[:SHORT]} under "
                f"{asked.policy} ({asked.policy_sha256[:SHORT]}), not about what was decided.",
            )
    # (19) Nothing else was set aside: each rule has waivers for as many samples as it says.
    for rule in decision.rules:
        _check_covered(rule, [w for w in found.values() if _is_of(w, rule)])
    return tuple(found.values())


def earliest_end(waivers: Iterable[Waiver]) -> datetime | None:
    """Return when the first of some waivers ends; None where there are none."""
    return min((waiver.ends_at for waiver in waivers), default=None)


def stopped(ledger: Ledger, revoked: Collection[str]) -> set[str]:
    """Return the ids of waivers that were rejected or revoked, or that a revoked key signed on.

    An entry that says so is enough, whoever signed it: stopping is the safe side. A clearance is
    held to this while a run goes on; when waivers end was settled before, for none outlasts them.

    Args:
        ledger: which is told of every act on a waiver.
        revoked: ids of the keys that were revoked.
    """
    return {
        str(entry.body["waiver"])
        for entry in entries_on_waivers(ledger)
        if entry.kind in ENDS or entry.body["key"] in revoked
    }


def earlier_trees(ledger: Ledger) -> Extends:
    """Return what raises Tampered unless a size and a root are of an earlier tree of a ledger."""

    def extends(size: int, root: str) -> None:
        if ledger.root(size).hex() != root:
            raise Tampered(f"A document cites a ledger of {size} acts that is not this one.")

    return extends


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that holds, its entry, who signed it, and what the policy says of its rule."""

    request: Request
    entry: Entry
    asker: TrustedKey
    clause: Clause


def _asked(papers: Papers, trust: Trust, extends: Extends) -> _Asked:
    """Return the request once checks (1) to (6) hold."""
    entry, envelope = papers.requested, papers.document(papers.requested)
    # (1) A person we trust signed it, under their own name.
    request, asker = _opened(1, envelope, Request, trust=trust, at=entry.number)
    if request.requester != asker.person:
        raise _refusal(1, f"{asker.person} signed a request in the name of {request.requester}.")
    # (2) The ledger was told of this very document.
    owner_key = str(entry.body.get("owner_key"))
    body = requested_body(request, envelope, key=asker.id, owner_key=owner_key)
    _check_told(2, entry, body)
    # (3) The policy is the one it names, the rule may be waived, and on these terms.
    if sha256(papers.policy) != request.policy_sha256:
        raise _refusal(3, f"it is about other bytes of the policy {request.policy}; ask again.")
    clause = clause_of(papers.policy, request.rule)
    about = SAMPLES if clause.on == "sample" else SNAPSHOT
    terms = (request.policy, request.roles, request.including, request.quorum, request.max_days)
    rule_says = (clause.policy, clause.roles, clause.including, clause.quorum, clause.max_days)
    if terms != rule_says or request.about != about:
        raise _refusal(3, f"its terms are not those of the rule {clause.rule}; ask again.")
    if about == SNAPSHOT and request.subject != request.snapshot:
        raise _refusal(3, "it is about another snapshot than it names; ask again.")
    # (4) It ends, and no later than the rule allows.
    longest = datetime.fromisoformat(entry.at) + timedelta(days=clause.max_days)
    if _time(request.ends_at) > longest:
        raise _refusal(4, f"it ends at {request.ends_at}; {clause.max_days} days are allowed.")
    # (5) Somebody we know owns the data, and it knew this ledger when it was made.
    if (request.owner, owner_key) not in {(key.person, key.id) for key in trust.keys}:
        raise _refusal(5, f"the trust file has no such key of {request.owner}, who owns the data.")
    if request.size > entry.number:
        raise _refusal(5, "it cites a checkpoint that came after it.")
    extends(request.size, request.root)
    # (6) It owns up to the waivers of this rule that came before.
    before = granted(papers.earlier)
    if request.renewals != before:
        raise _refusal(6, f"it says {request.renewals} came before it; there were {before}.")
    return _Asked(request, entry, asker, clause)


def _act(papers: Papers, entry: Entry, asked: _Asked, trust: Trust) -> tuple[Act, TrustedKey]:
    """Return what a person said, once checks (7) and (8) hold."""
    envelope = papers.document(entry)
    # (7) A person we trust signed it, under their own name and in their own role.
    act, key = _opened(7, envelope, Act, trust=trust, at=entry.number)
    if (act.person, act.role) != (key.person, key.role):
        raise _refusal(7, f"{key.person} ({key.role}) signed as {act.person} ({act.role}).")
    # (8) It is about this request, and the ledger was told of this very document.
    if act.waiver != asked.request.id or ENTRY_OF[act.verb] != entry.kind:
        raise _refusal(8, f"it is about the request {act.waiver[:SHORT]}, or says something else.")
    _check_told(8, entry, act_body(act, envelope, key=key.id))
    return act, key


def _check_seen(entry: Entry, act: Act, asked: _Asked, extends: Extends) -> None:
    # (9) What was signed is what was shown.
    if act.shown != sha256(shown(asked.request, asked.clause).encode()):
        raise _refusal(9, f"{act.person} was shown another text than this request.")
    # (10) It was signed after the request was in the ledger, and before it was itself.
    if not asked.entry.number < act.size <= entry.number:
        raise _refusal(10, "it cites a checkpoint from before the request; it is backdated.")
    extends(act.size, act.root)


def _check_apart(key: TrustedKey, asked: _Asked, approvals: Mapping[str, Act]) -> None:
    # (11) Whoever approves has a role that may.
    if key.role not in asked.clause.roles:
        may = ", ".join(asked.clause.roles)
        raise _refusal(11, f"{key.person} is {key.role}; this rule is waived by {may}.")
    # (12) It is neither who asks nor who owns the data, by key and by person.
    if key.id == asked.asker.id or key.person in {asked.asker.person, asked.request.owner}:
        raise _refusal(12, f"{key.person} asks for it or owns the data, and may not approve.")
    # (13) Nobody approves twice.
    if key.id in approvals or key.person in {act.person for act in approvals.values()}:
        raise _refusal(13, f"{key.person} approved before; another person has to.")


def _check_may_stop(key: TrustedKey, asked: _Asked) -> None:
    # (11) Stopping is for the rule's roles, and for who asks and who owns the data.
    parties = {asked.asker.person, asked.request.owner}
    if key.role not in asked.clause.roles and key.person not in parties:
        raise _refusal(11, f"{key.person} is {key.role}, and has no say in this waiver.")


def _check_covered(rule: RuleResult, waivers: Sequence[Waiver]) -> None:
    counts = sum(waiver.request.count for waiver in waivers)
    enough = rule.waived <= counts if rule.on == "sample" else bool(waivers) or not rule.waived
    if not enough or (rule.status == "waived") > bool(rule.waived):
        raise _refusal(
            19, f"{rule.waived} are set aside under {rule.id}, for {counts} it was asked."
        )


def _check_told(check: int, entry: Entry, body: Mapping[str, Json]) -> None:
    """Hold an entry to a document, but for the tags: those take salts, which may be erased."""
    if {**entry.body, **dict.fromkeys(TAGS, "")} != {**body, **dict.fromkeys(TAGS, "")}:
        raise _refusal(check, f"ledger entry {entry.number} speaks of something else.")


def _opened(
    check: int, envelope: bytes, kind: type[Document], *, trust: Trust, at: int
) -> tuple[Document, TrustedKey]:
    try:
        return opened(envelope, kind, trust, at)
    except Refused as fault:
        raise _refusal(check, str(fault)) from None


def _is_of(waiver: Waiver, rule: RuleResult) -> bool:
    return (waiver.request.policy, waiver.request.rule) == (rule.policy, rule.id)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Tampered(f"A waiver ends at {text!r}, which is no time.") from None
    if found.tzinfo is None:
        raise Tampered(f"A waiver ends at {text!r}, which names no time zone.")
    return found


def _refusal(check: int, sentence: str) -> Refused:
    return Refused(f"waiver ({check}): {sentence}")
