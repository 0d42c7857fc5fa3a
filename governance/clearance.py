"""Clearances: the signed permission to train, and the door that reads it.

A clearance is an in-toto statement (svr) signed by a gate key. It names the cleared samples, the
decision and policies, the run config, the budget and the host class; it is told to the ledger, is
used once, can be revoked and expires.

Does not see: a trainer that is not ours. Ours refuses to start without one.
"""

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from securesystemslib.signer import Signer

from governance.attest import CLEARED, judged
from governance.canon import Json, sha256
from governance.errors import EvidenceMissing, PramanaError, Refused, Tampered, UsageError
from governance.records import Decision, as_object, json_object
from governance.signers.trust import Trust
from governance.statements import (
    SVR,
    open_envelope,
    payload_of,
    read_statement,
    sign,
    signed_by,
    statement,
)
from governance.trail.proofs import check_proof, covering, write_proof

if TYPE_CHECKING:  # SQLAlchemy is slow to import, and who reads a bundle needs none
    from governance.trail.ledger import Ledger

GRACE_S = 3600.0  # a run may start this late and still end before its clearance does
ISSUED, REVOKED, KEY_REVOKED = "cleared", "clearance.revoked", "key.revoked"
FIELDS = (
    "decision", "snapshot", "cleared", "run_config", "budget_s", "host", "nonce",
    "issued_at", "expires_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a clearance binds beside the decision: run config digest, seconds, kind of host.

    `weights` are the digests, sorted, of the weights of others that teach the model.
    """

    run_config: str
    budget_s: float
    host: str
    weights: tuple[str, ...] = ()


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
    waivers: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()  # none are allowed where an old clearance does not speak of them

    @property
    def terms(self) -> Terms:
        """Return what it binds beside the decision."""
        return Terms(
            run_config=self.run_config,
            budget_s=self.budget_s,
            host=self.host,
            weights=self.weights,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """Where the ledger says that a clearance was issued: the entry, and its tlog-proof."""

    leaf: bytes
    proof: str


def issue(
    decision: Decision,
    *,
    terms: Terms,
    signer: Signer,
    now: datetime,
    until: datetime | None = None,
) -> bytes:
    """Return a signed clearance for what a decision cleared.

    Args:
        decision: what is cleared.
        terms: what the clearance binds beside it.
        signer: the gate's.
        now: when it is issued.
        until: when the first of the decision's waivers ends; None where it has none.

    Raises:
        Refused: the decision's verdict is block, or a waiver ends before the run would.
    """
    if decision.verdict == "block":
        reasons = "; ".join(
            f"{rule.id} ({rule.violations} violations): {rule.why}"
            for rule in decision.rules
            if rule.status == "violated" and rule.remedy == "block"
        )
        raise Refused(f"The decision on snapshot {decision.snapshot[:12]} is block. {reasons}")
    expires = now + timedelta(seconds=terms.budget_s + GRACE_S)
    if until is not None and until < now + timedelta(seconds=terms.budget_s):
        raise Refused(
            f"A waiver this decision stands on ends at {_text(until)}, before a run of "
            f"{terms.budget_s:g} s would. Ask for less time, or have the waiver renewed."
        )
    expires = min(expires, until or expires)
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
    predicate = judged(decision, at=_text(now), said=pramana)
    payload = statement(SVR, subjects={CLEARED: decision.cleared_root}, predicate=predicate)
    return sign(payload, signer)


def admit(
    envelope: bytes,
    *,
    trust: Trust,
    cleared_root: str,
    terms: Terms,
    spent: Collection[str],
    revoked: Collection[str],
    logged: Logged | None,
    now: datetime,
) -> Clearance:
    """Return the clearance inside, once every check holds.

    Args:
        envelope: the DSSE envelope, as bytes.
        trust: whose signature counts as the gate's.
        cleared_root: the root recomputed over the samples about to be read.
        terms: the run config, budget, host and weights that are about to be used.
        spent: ids of clearances that other runs used.
        revoked: ids of clearances and of keys that were revoked, as `revoked_in` tells.
        logged: where the ledger was told of it, as `find_logged` tells; None if it never was.
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
    # (7) Neither they, nor the key that signed them, nor a waiver behind them were revoked.
    if _named_by(clearance, envelope) & set(revoked):
        raise Refused(
            f"clearance (7): {clearance.id[:12]}, or a waiver it stands on, was revoked. "
            "Run `pramana audit` again, and ask the gate for another."
        )
    # (8) The ledger was told of them, under a checkpoint that enough witnesses saw.
    try:
        _check_logged(clearance, logged, trust)
    except PramanaError as fault:
        raise Refused(f"clearance (8): {fault}") from None
    # (9) They allow every set of weights that teaches this model.
    _check_weights(clearance, terms)
    return clearance


def _check_weights(clearance: Clearance, terms: Terms) -> None:
    others = sorted(set(terms.weights) - set(clearance.weights))
    if others:
        raise Refused(
            f"clearance (9): the weights {', '.join(name[:12] for name in others)} would teach "
            "this model, and it does not allow them. Declare their licence in pramana.toml, and "
            "ask for a clearance that names them."
        )


def _check_logged(clearance: Clearance, logged: Logged | None, trust: Trust) -> None:
    """Hold a clearance to the ledger. Raises EvidenceMissing, Tampered, Refused."""
    if logged is None:
        raise EvidenceMissing("The ledger was never told of it; ask the gate for another.")
    check_proof(logged.proof, logged.leaf, trust)
    entry = json_object(logged.leaf, "a ledger entry")
    if (entry["kind"], entry["body"].get("clearance")) != (ISSUED, clearance.id):
        raise Tampered("The ledger entry shown for it speaks of something else.")


def find_logged(ledger: "Ledger", clearance: str, *, witnesses: int) -> Logged | None:
    """Return where a ledger was told of a clearance, or None.

    With witnesses it is proved to the newest checkpoint that as many cosigned; where there is none
    yet, to the newest of all, which `admit` then refuses.
    """
    told = [e for e in ledger.entries(ISSUED) if e.body.get("clearance") == clearance]
    if not told:
        return None
    number, leaf = told[0].number, told[0].leaf()
    try:
        size = covering(ledger, number, witnesses)
    except EvidenceMissing:
        size = ledger.size()
    return Logged(leaf=leaf, proof=write_proof(ledger, number, size=size))


def revoked_in(ledger: "Ledger") -> set[str]:
    """Return the ids of all clearances, keys and waivers that a ledger says were revoked."""
    from governance.waiving.approvals import stopped  # noqa: PLC0415  heavy

    keys = {str(entry.body["key"]) for entry in ledger.entries(KEY_REVOKED)}
    clearances = {str(entry.body["clearance"]) for entry in ledger.entries(REVOKED)}
    return clearances | keys | stopped(ledger, keys)


def revoke(ledger: "Ledger", name: str) -> str:
    """Revoke the one clearance whose id begins so, and return its id.

    Raises:
        UsageError: none or several begin so.
    """
    known = {str(entry.body["clearance"]) for entry in ledger.entries(ISSUED)}
    found = [clearance for clearance in known if name and clearance.startswith(name)]
    if len(found) != 1:
        raise UsageError(f"{len(found)} clearances begin with {name!r}; see `clearance list`.")
    if found[0] not in revoked_in(ledger):
        ledger.append(REVOKED, {"clearance": found[0]})
    return found[0]


def check_standing(envelope: bytes, ledger: "Ledger", now: datetime) -> None:
    """Ask, while a run goes on, whether its clearance still holds. Raises Refused, Tampered."""
    ledger.verify()  # else whoever edits rows could hide the one that says it was revoked
    clearance = read_clearance(payload_of(envelope))
    if _named_by(clearance, envelope) & revoked_in(ledger):
        raise Refused(
            f"clearance (7): {clearance.id[:12]}, or a waiver it stands on, was revoked while the "
            "run went on."
        )
    if _text(now) >= clearance.expires_at:
        raise Refused(f"clearance (6): {clearance.id[:12]} expired while the run went on.")


def read_clearance(payload: bytes) -> Clearance:
    """Read a payload whose signature was verified. Raises Tampered when it is no clearance."""
    subjects, predicate = read_statement(payload, SVR)
    said = as_object(predicate.get("pramana", {}), "the terms of a clearance")
    if set(subjects) != {CLEARED} or not set(FIELDS) <= set(said):
        raise Tampered("What was signed is not a clearance; ask the gate for one.")
    return Clearance(
        id=sha256(payload),
        cleared_root=subjects[CLEARED],
        waivers=tuple(map(str, said.get("waivers", ()))),
        weights=tuple(map(str, said.get("weights", ()))),
        **{field: said[field] for field in FIELDS},
    )


def _named_by(clearance: Clearance, envelope: bytes) -> set[str]:
    """Return the ids of all that must not be revoked: itself, its key, its waivers."""
    return {clearance.id, signed_by(envelope), *clearance.waivers}


def _text(when: datetime) -> str:
    """Return UTC ISO 8601 with milliseconds: equal lengths, so that text order is time order."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds")
