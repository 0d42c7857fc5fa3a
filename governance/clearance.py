"""Clearances: the signed permission to train, and the door that reads it.

A clearance is an in-toto statement (svr) signed by a gate key. It names the cleared samples, the
decision and policies, the run config, the budget and the host class; it is used once and expires.

Does not see: a trainer that is not ours. Ours refuses to start without one.
"""

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from securesystemslib.signer import CryptoSigner

from governance.canon import Json, sha256
from governance.errors import Refused, Tampered
from governance.keys import Trust
from governance.records import Decision, as_object
from governance.statements import SVR, open_envelope, read_statement, sign, statement

GRACE_S = 3600.0  # a run may start this late and still end before its clearance does
GATE = "https://pramana.dev/gate/v1"
SUBJECT = "cleared-samples"
FIELDS = (
    "decision", "snapshot", "cleared", "run_config", "budget_s", "host", "nonce",
    "issued_at", "expires_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a clearance binds beside the decision: run config digest, seconds, kind of host."""

    run_config: str
    budget_s: float
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """An admitted clearance. `id` is the digest of the signed payload; times are UTC ISO 8601."""

    id: str
    decision: str
    snapshot: str
    cleared_root: str
    cleared: int
    run_config: str
    budget_s: float
    host: str
    nonce: str
    issued_at: str
    expires_at: str


def issue(decision: Decision, *, terms: Terms, signer: CryptoSigner, now: datetime) -> bytes:
    """Return a signed clearance for what a decision cleared.

    Raises:
        Refused: the decision's verdict is block.
    """
    if decision.verdict == "block":
        reasons = "; ".join(
            f"{rule.id} ({rule.violations} violations): {rule.why}"
            for rule in decision.rules
            if rule.status == "violated" and rule.remedy == "block"
        )
        raise Refused(f"The decision on snapshot {decision.snapshot[:12]} is block. {reasons}")
    expires = now + timedelta(seconds=terms.budget_s + GRACE_S)
    pramana: dict[str, Json] = {
        **asdict(terms),
        "decision": decision.id,
        "snapshot": decision.snapshot,
        "cleared": decision.cleared,
        "measures": decision.measures,
        "findings": decision.findings,
        "audit_code": decision.audit_code,
        "waivers": decision.waivers,
        "nonce": secrets.token_hex(16),
        "issued_at": _text(now),
        "expires_at": _text(expires),
    }
    predicate: dict[str, Json] = {
        "verifier": {
            "id": GATE,
            "policies": [
                {"name": f"{p.id}@{p.version}", "digest": {"sha256": p.sha256}}
                for p in decision.policies
            ],
        },
        "timeCreated": _text(now),
        "properties": [
            f"PRAMANA_{p.id.upper().replace('-', '_')}_{decision.verdict.upper().replace('-', '_')}"
            for p in decision.policies
        ],
        "pramana": pramana,
    }
    payload = statement(SVR, subjects={SUBJECT: decision.cleared_root}, predicate=predicate)
    return sign(payload, signer)


def admit(
    envelope: bytes,
    *,
    trust: Trust,
    cleared_root: str,
    terms: Terms,
    spent: Collection[str],
    now: datetime,
) -> Clearance:
    """Return the clearance inside, once every check holds.

    Args:
        envelope: the DSSE envelope, as bytes.
        trust: whose signature counts as the gate's.
        cleared_root: the root recomputed over the samples about to be read.
        terms: the run config, budget and host that are about to be used.
        spent: ids of clearances that other runs used.
        now: the time to hold the expiry against.

    Raises:
        Refused: a check failed; the message names it by number.
        Tampered: the envelope is none, or what was signed is no clearance.
    """
    # (1) A gate key we trust signed exactly these bytes. Nothing above has looked inside them.
    try:
        payload = open_envelope(envelope, trust.of("gate"))
    except Refused as fault:
        raise Refused(f"clearance (1): {fault} Ask the gate for a clearance.") from None
    clearance = read_clearance(payload)
    # (2) They speak of these samples, byte for byte.
    if clearance.cleared_root != cleared_root:
        raise Refused(
            f"clearance (2): it allows the samples {clearance.cleared_root[:12]}; these are "
            f"{cleared_root[:12]}. Train on what was cleared, or audit this."
        )
    # (3) They allow this run config.
    if clearance.run_config != terms.run_config:
        raise Refused(
            f"clearance (3): it allows the run config {clearance.run_config[:12]}; this is "
            f"{terms.run_config[:12]}. Ask for a clearance of this one."
        )
    # (4) They allow this long, on this kind of host.
    if terms.budget_s > clearance.budget_s or terms.host != clearance.host:
        raise Refused(
            f"clearance (4): it allows {clearance.budget_s:g} s on {clearance.host}; asked were "
            f"{terms.budget_s:g} s on {terms.host}."
        )
    # (5) They have not been used.
    if clearance.id in spent:
        raise Refused(
            f"clearance (5): {clearance.id[:12]} was used before; it allows one run. "
            "Ask the gate for a new one: `pramana train`."
        )
    # (6) They hold already, and still.
    if not clearance.issued_at <= _text(now) < clearance.expires_at:
        raise Refused(
            f"clearance (6): it holds from {clearance.issued_at} until {clearance.expires_at}; "
            f"now is {_text(now)}. Ask the gate for a new one."
        )
    return clearance


def read_clearance(payload: bytes) -> Clearance:
    """Read a payload whose signature was verified. Raises Tampered when it is no clearance."""
    subjects, predicate = read_statement(payload, SVR)
    said = as_object(predicate.get("pramana", {}), "the terms of a clearance")
    if set(subjects) != {SUBJECT} or not set(FIELDS) <= set(said):
        raise Tampered("What was signed is not a clearance; ask the gate for one.")
    return Clearance(
        id=sha256(payload),
        cleared_root=subjects[SUBJECT],
        **{field: said[field] for field in FIELDS},
    )


def _text(when: datetime) -> str:
    """Return UTC ISO 8601 with milliseconds: equal lengths, so that text order is time order."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds")
