"""Clearing: the gate's side of the path, from a decision to a signed and logged clearance.

Everything a decision stands on is held to the bytes once more before the gate signs.

Does not see: whether the trainer obeys. It is given a signature, and the ledger is told.
"""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.cases import check_cleared, is_scraped
from app.keeper import check_readable
from app.weights import check_terms
from governance.canon import Json, canonical, digest
from governance.clearance import ISSUED, Terms, issue, read_clearance, revoked_in
from governance.errors import Refused
from governance.records import Decision, RuleResult
from governance.rights.withdrawals import check_not_withdrawn
from governance.statements import payload_of
from governance.verify import check_evidence
from governance.waiving.approvals import Waiver, earliest_end
from governance.waiving.waived import decision_waivers
from governance.waiving.waivers import SNAPSHOT
from governance.weights import UsedWeights
from governance.workspace import Workspace

if TYPE_CHECKING:
    from policies.rules import Pack


def clear(
    workspace: Workspace,
    decision: Decision,
    terms: Terms,
    *,
    preset: str,
    weights: Sequence[UsedWeights] = (),
) -> bytes:
    """Return a signed clearance, after holding the decision to its evidence once more.

    Args:
        workspace: where the evidence lies.
        decision: what is cleared.
        terms: what the clearance binds beside it.
        preset: the name of the preset.
        weights: all weights of others that the run names; those that teach are those of the terms.

    Raises:
        Refused: the decision is block, a policy changed since, or a rule forbids this run.
        Tampered: evidence is not what was recorded.
        EvidenceMissing: evidence is gone.
    """
    workspace.memory.remember(workspace.ledger, workspace.keyring.trust())
    check_evidence(workspace, decision)
    check_not_withdrawn(workspace, decision)
    _check_policies(decision)
    check_terms(weights, terms.weights)
    now = datetime.now(UTC)
    waivers = decision_waivers(workspace, decision, now=now)
    facts = _run_facts(workspace, decision, terms, preset)
    facts["weights"] = [used.to_json() for used in weights]
    run_rules = _run_rules(workspace, decision, facts, waivers)
    told = {name: fact for name, fact in facts.items() if name != "legal_contact"}  # a person
    envelope = issue(
        decision,
        terms=terms,
        signer=workspace.keyring.signer("gate"),
        now=now,
        until=earliest_end(waivers),
    )
    body: dict[str, Json] = {
        "clearance": read_clearance(payload_of(envelope)).id,
        "decision": decision.id,
        "envelope": workspace.store(envelope),
        "facts": workspace.store(canonical(told)),
        "run_rules": digest([asdict(rule) for rule in run_rules]),
    }
    workspace.ledger.append("cleared", body)
    return envelope


def check_may_train(workspace: Workspace, decision: Decision) -> None:
    """Refuse what came up since a decision: a case, a withdrawal, keys that were erased.

    Raises:
        Refused, EvidenceMissing, Tampered: what each of the three raises.
    """
    check_cleared(workspace, decision)
    check_readable(workspace, decision)
    check_not_withdrawn(workspace, decision)


def waiting(workspace: Workspace, decision: Decision, terms: Terms) -> bytes | None:
    """Return a clearance of these terms that was issued and never used: a witness was awaited."""
    ledger, now = workspace.ledger, datetime.now(UTC).isoformat(timespec="milliseconds")
    gone = revoked_in(ledger) | set(ledger.spent())
    for entry in reversed(ledger.entries(ISSUED)):
        if entry.body["decision"] != decision.id or entry.body["clearance"] in gone:
            continue
        envelope = workspace.load(str(entry.body["envelope"]), "a clearance")
        found = read_clearance(payload_of(envelope))
        if found.terms == terms and now < found.expires_at and gone.isdisjoint(found.waivers):
            return envelope
    return None


def clearance_lines(workspace: Workspace) -> Iterator[str]:
    """Yield a line about each clearance, in the order of issue."""
    ledger, gone = workspace.ledger, revoked_in(workspace.ledger)
    used = ledger.spent()
    for entry in ledger.entries(ISSUED):
        name = str(entry.body["clearance"])
        found = read_clearance(
            payload_of(workspace.load(str(entry.body["envelope"]), "a clearance"))
        )
        state = f"used by run {used[name]}" if name in used else "not used"
        state = f"revoked, {state}" if name in gone else state
        yield f"{name[:16]}  {found.issued_at[:19]} to {found.expires_at[:19]}  {state}"


def packs_of(workspace: Workspace, decision: Decision) -> list["Pack"]:
    """Return the packs that judged, as they were then. Raises EvidenceMissing, Tampered."""
    from policies.rules import read_pack  # noqa: PLC0415  heavy

    judges = {rule.policy for rule in decision.rules}
    return [
        read_pack(workspace.load(used.sha256, used.id), source=used.source)
        for used in decision.policies
        if used.id in judges
    ]


def _check_policies(decision: Decision) -> None:
    from policies.rules import unchanged  # noqa: PLC0415  heavy

    for used in decision.policies:
        if not unchanged(used):
            raise Refused(
                f"The policy {used.id} was edited after the decision, which was made under "
                f"{used.sha256[:12]}. Run `pramana audit` again."
            )


def _run_facts(
    workspace: Workspace, decision: Decision, terms: Terms, preset: str
) -> dict[str, Json]:
    """Return what rules about a run may read: who asks for what, and where this host is."""
    from training.host import attest as attest_host  # noqa: PLC0415  heavy

    declared = workspace.declared()
    return {
        "preset": preset,
        "budget_s": terms.budget_s,
        "host": terms.host,
        **attest_host(declared.compute_region, ask=declared.attest_host).facts(),
        "operator_country": declared.country or None,
        "legal_contact": declared.legal_contact,
        "scraped": is_scraped(workspace.snapshot(decision.snapshot)),
        "system": platform.system(),
    }


def _run_rules(
    workspace: Workspace, decision: Decision, facts: Mapping[str, Json], waivers: Sequence[Waiver]
) -> Sequence[RuleResult]:
    """Hold the rules about runs against this run. Raises Refused when one of them blocks."""
    from policies.decide import judge_run  # noqa: PLC0415  heavy

    packs = packs_of(workspace, decision)
    whole = [waiver.exemption() for waiver in waivers if waiver.request.about == SNAPSHOT]
    results = judge_run(facts, packs=packs, as_of=datetime.now(UTC).date(), waivers=whole)
    blocking = [r for r in results if r.status == "violated" and r.remedy == "block"]
    if blocking:
        reasons = "; ".join(f"{rule.id}: {rule.detail} {rule.why}" for rule in blocking)
        raise Refused(f"This run is not allowed. {reasons}")
    return results
