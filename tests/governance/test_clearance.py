"""The door: every check refuses alone, by its number."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, Signature

from governance.clearance import GRACE_S, SUBJECT, Clearance, Terms, admit, issue
from governance.errors import Refused, Tampered
from governance.keys import Keyring, Trust
from governance.records import Decision, PolicyUsed, RuleResult
from governance.statements import SVR, open_envelope, sign, statement

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TERMS = Terms(run_config="c" * 64, budget_s=60.0, host="linux-cpu")
DECISION = Decision(
    snapshot="a" * 64, samples=10, measures="b" * 64, audits="d" * 64, audit_code="e" * 64,
    findings="f" * 64, as_of="2026-11-23", verdict="pass", cleared_root="1" * 64, cleared=8,
    excluded=2, rules=(),
    policies=(PolicyUsed(id="commercial", version="1", source="x.yaml", sha256="2" * 64),),
)  # fmt: skip


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


def _admitted(
    envelope: bytes,
    trust: Trust,
    *,
    root: str = DECISION.cleared_root,
    terms: Terms = TERMS,
    spent: tuple[str, ...] = (),
    now: datetime = NOW,
) -> Clearance:
    return admit(envelope, trust=trust, cleared_root=root, terms=terms, spent=spent, now=now)


def _issued(keyring: Keyring, role: str = "gate") -> bytes:
    return issue(DECISION, terms=TERMS, signer=keyring.signer(role), now=NOW)


def test_a_good_clearance_is_admitted_and_says_what_was_decided(keyring: Keyring) -> None:
    clearance = _admitted(_issued(keyring), keyring.trust())
    assert (clearance.decision, clearance.cleared) == (DECISION.id, 8)
    assert clearance.run_config == TERMS.run_config


def _terms(**change: object) -> Terms:
    return Terms(**{"run_config": "c" * 64, "budget_s": 60.0, "host": "linux-cpu", **change})


ATTACKS: dict[str, tuple[int, Callable[[Keyring, bytes], object]]] = {
    "the trainer's own key": (
        1, lambda k, _: _admitted(_issued(k, "trainer"), k.trust())),
    "a stranger's key under the gate's id": (
        1, lambda k, e: _admitted(_forged(k, e), k.trust())),
    "another cleared set": (2, lambda k, e: _admitted(e, k.trust(), root="9" * 64)),
    "another run config": (
        3, lambda k, e: _admitted(e, k.trust(), terms=_terms(run_config="9" * 64))),
    "a longer budget": (4, lambda k, e: _admitted(e, k.trust(), terms=_terms(budget_s=60.1))),
    "another host": (4, lambda k, e: _admitted(e, k.trust(), terms=_terms(host="cuda"))),
    "used before": (
        5, lambda k, e: _admitted(e, k.trust(), spent=(_admitted(e, k.trust()).id,))),
    "the very second it expires": (
        6, lambda k, e: _admitted(e, k.trust(), now=NOW + timedelta(seconds=60 + GRACE_S))),
    "before it was issued": (
        6, lambda k, e: _admitted(e, k.trust(), now=NOW - timedelta(seconds=1))),
}  # fmt: skip


def _forged(keyring: Keyring, envelope: bytes) -> bytes:
    payload = open_envelope(envelope, keyring.trust().of("gate"))
    forged = Envelope.from_dict(json.loads(sign(payload, CryptoSigner.generate_ecdsa())))
    signature = next(iter(forged.signatures.values())).signature
    keyid = keyring.trust().of("gate")[0].keyid
    forged.signatures = {keyid: Signature(keyid, signature)}
    return json.dumps(forged.to_dict()).encode()


@pytest.mark.parametrize(("check", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_each_check_refuses_alone(
    keyring: Keyring, check: int, attack: Callable[[Keyring, bytes], object]
) -> None:
    with pytest.raises(Refused, match=rf"clearance \({check}\)"):
        attack(keyring, _issued(keyring))


def test_one_changed_byte_of_the_payload_is_refused(keyring: Keyring) -> None:
    record = json.loads(_issued(keyring))
    payload = Envelope.from_dict(json.loads(_issued(keyring)))
    payload.payload = payload.payload.replace(b'"budget_s":60', b'"budget_s":99')
    record["payload"] = payload.to_dict()["payload"]
    with pytest.raises(Refused, match=r"clearance \(1\)"):
        _admitted(json.dumps(record).encode(), keyring.trust())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"payload": 1}', b"[1]"], ids=repr)
def test_what_is_no_envelope_is_called_so(keyring: Keyring, data: bytes) -> None:
    with pytest.raises(Tampered, match=r"DSSE envelope"):
        _admitted(data, keyring.trust())


def test_another_statement_of_the_gate_is_no_clearance(keyring: Keyring) -> None:
    payload = statement(SVR, subjects={SUBJECT: "1" * 64}, predicate={"properties": []})
    with pytest.raises(Tampered, match="not a clearance"):
        _admitted(sign(payload, keyring.signer("gate")), keyring.trust())


def test_a_blocked_decision_is_never_cleared_and_says_why(keyring: Keyring) -> None:
    rule = RuleResult(
        id="COM-X", policy="commercial", on="sample", status="violated", violations=3,
        remedy="block", severity="high", require="x", cite="y", why="a number of a person",
    )  # fmt: skip
    blocked = Decision(**{**{f: getattr(DECISION, f) for f in DECISION.__slots__},
                          "verdict": "block", "rules": (rule,)})  # fmt: skip
    with pytest.raises(Refused, match=r"COM-X \(3 violations\): a number of a person"):
        issue(blocked, terms=TERMS, signer=keyring.signer("gate"), now=NOW)


def test_a_key_that_others_can_read_is_refused(keyring: Keyring) -> None:
    keyring.signer("gate")
    path = keyring.folder / "gate.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(Refused, match="read by others"):
        keyring.signer("gate")


@pytest.mark.shared
def test_a_published_dsse_signature_verifies(shared: Path) -> None:
    vector = json.loads((shared / "conformance/dsse/vector.json").read_text())
    numbers = dict(
        line.split(": ", 1) for line in vector["cryptographic_keys"].splitlines() if ": " in line
    )
    body = vector["serialized_body"].encode()
    envelope = Envelope(body, vector["payload_type"], {})
    assert envelope.pae().decode() == vector["pae"]
    key = ec.EllipticCurvePublicNumbers(
        int(numbers["X"]), int(numbers["Y"]), ec.SECP256R1()
    ).public_key()
    raw = base64.b64decode(vector["envelope"]["signatures"][0]["sig"])
    der = utils.encode_dss_signature(
        int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    )
    key.verify(der, envelope.pae(), ec.ECDSA(SHA256()))
