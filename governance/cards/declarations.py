"""CycloneDX declarations: each rule of each policy pack as a claim, with the evidence it rests on.

Packs become standards, rules requirements, and what the gate concluded about a rule an attestation
that points at digests. Source: CycloneDX 1.6, `declarations` and `definitions`; ECMA-424.

Does not see: whether a rule states the law rightly. It says who concluded what from which bytes.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from governance.canon import Json, printable
from governance.cards.evidence import DECISION_FILE, FINDINGS_FILE, FOLDER, Evidence, policy_file
from governance.records import Decision, PolicyUsed, RuleResult
from governance.verify import CLEARANCE_FILE, PROVENANCE_FILE

GATE_REF, MODEL_REF, CLEARED_REF, SNAPSHOT_REF = "gate", "model", "cleared-samples", "snapshot"
HELD, BROKEN = 1.0, 0.0  # CycloneDX scores conformance from 0 to 1
TAKEN_OUT = frozenset({"exclude", "quarantine"})


def standards(decision: Decision) -> list[Json]:
    """Return each policy pack that judged as a standard with its rules as requirements."""
    used = {policy.id: policy for policy in decision.policies}
    return [
        {
            "bom-ref": f"policy:{pack}",
            "name": pack,
            **(_version(used[pack]) if pack in used else {}),
            "requirements": [_requirement(rule) for rule in rules],
        }
        for pack, rules in _packs(decision.rules)
    ]


def declarations(evidence: Evidence) -> dict[str, Json]:
    """Return what the gate attests of each rule, and on which evidence. Raises EvidenceMissing."""
    decision, operator = evidence.decision(), evidence.declared("operator")
    assessor: dict[str, Json] = {"bom-ref": GATE_REF, "thirdParty": False}
    if operator:
        assessor["organization"] = {"name": printable(operator)}
    return {
        "assessors": [assessor],
        "attestations": [
            {
                "summary": (
                    f"{pack}: {len(rules)} rules, by the law of {decision.as_of}; "
                    f"the verdict over all packs is {decision.verdict}."
                ),
                "assessor": GATE_REF,
                "map": [_mapped(rule) for rule in rules],
            }
            for pack, rules in _packs(decision.rules)
        ],
        "claims": [_claim(rule, decision) for rule in decision.rules if _claims(rule)],
        "evidence": [
            {
                "bom-ref": _evidence_ref(name),
                "propertyName": "sha256",
                "description": f"SHA-256 {evidence.digest(name)}",
                "data": [{"name": name, "contents": {"url": f"{FOLDER}/{name}"}}],
            }
            for name in _cited(decision)
        ],
    }


def _packs(rules: Sequence[RuleResult]) -> Iterator[tuple[str, list[RuleResult]]]:
    for pack, members in groupby(sorted(rules, key=_pack), key=_pack):
        yield pack, list(members)


def _pack(rule: RuleResult) -> str:
    return rule.policy


def _version(policy: PolicyUsed) -> dict[str, Json]:
    return {
        "version": policy.version,
        "externalReferences": [
            {
                "type": "documentation",
                "url": f"{FOLDER}/{policy_file(policy)}",
                "hashes": [{"alg": "SHA-256", "content": policy.sha256}],
            }
        ],
    }


def _requirement(rule: RuleResult) -> dict[str, Json]:
    properties = {
        "on": rule.on,
        "severity": rule.severity,
        "remedy": rule.remedy,
        "in-force-from": rule.in_force_from,
    }
    return {
        "bom-ref": _rule_ref(rule),
        "identifier": rule.id,
        "title": rule.why,
        "text": rule.require,
        "descriptions": [rule.cite],
        "properties": [
            {"name": f"pramana:{name}", "value": value}
            for name, value in properties.items()
            if value
        ],
    }


def _mapped(rule: RuleResult) -> dict[str, Json]:
    """Return one line of an attestation: the rule, the claim or counter-claim, how far it held."""
    score = _score(rule)
    said: dict[str, Json] = {"rationale": _said(rule)}
    if score is not None:
        said["score"] = score
    claims = "counterClaims" if score == BROKEN else "claims"
    claimed: dict[str, Json] = {claims: [_claim_ref(rule)]} if _claims(rule) else {}
    return {"requirement": _rule_ref(rule), "conformance": said, **claimed}


def _claim(rule: RuleResult, decision: Decision) -> dict[str, Json]:
    known = {policy.id: policy for policy in decision.policies}
    names = [DECISION_FILE, FINDINGS_FILE]
    if rule.policy in known:
        names.append(policy_file(known[rule.policy]))
    return {
        "bom-ref": _claim_ref(rule),
        "target": MODEL_REF if rule.on == "run" else CLEARED_REF,
        "predicate": _said(rule),
        "reasoning": printable(rule.detail or rule.why),
        "evidence": [_evidence_ref(name) for name in names],
    }


def _claims(rule: RuleResult) -> bool:
    """Return whether something is claimed: not of rules that were weighed later, or not yet."""
    return rule.status not in {"at-run", "not-in-force"}


def _score(rule: RuleResult) -> float | None:
    """Return how far the cleared samples conform; None where that was not concluded."""
    if rule.status == "satisfied":
        return HELD
    if rule.status == "violated":
        return HELD if rule.remedy in TAKEN_OUT else BROKEN
    return None


def _said(rule: RuleResult) -> str:
    """Return what was concluded about a rule, in one sentence."""
    count, name = f"{rule.violations:,}", f"{rule.id} of {rule.policy}"
    if rule.status == "satisfied":
        return f"Held: no violation of {name} was found."
    if rule.status == "waived":
        return f"Waived: {rule.waived:,} violations of {name} stand under a waiver."
    if rule.status == "at-run":
        return f"{name} was weighed when the clearance was issued."
    if rule.status == "not-in-force":
        return f"{name} is in force from {rule.in_force_from}; {count} would violate it."
    if rule.remedy in TAKEN_OUT:
        return f"Violated by {count} of those audited, which were taken out: {name}."
    return f"Violated by {count}: {name} ({rule.remedy})."


def _cited(decision: Decision) -> list[str]:
    policies = [policy_file(policy) for policy in decision.policies]
    return [DECISION_FILE, FINDINGS_FILE, CLEARANCE_FILE, PROVENANCE_FILE, *policies]


def _rule_ref(rule: RuleResult) -> str:
    return f"rule:{rule.policy}/{rule.id}"


def _claim_ref(rule: RuleResult) -> str:
    return f"claim:{rule.policy}/{rule.id}"


def _evidence_ref(name: str) -> str:
    return f"evidence:{name}"
