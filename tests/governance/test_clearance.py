"""The door: every check refuses alone, by its number."""

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from governance.attest import CLEARED
from governance.canon import canonical, sha256
from governance.clearance import (
    GRACE_S,
    ISSUED,
    REVOKED,
    Clearance,
    Logged,
    Terms,
    admit,
    check_standing,
    find_logged,
    issue,
    read_clearance,
    revoke,
    revoked_in,
)
from governance.errors import Refused, Tampered, UsageError
from governance.records import Decision, PolicyUsed, RuleResult
from governance.signers.keys import Keyring, make_key, signer_at
from governance.signers.trust import Trust, TrustedKey
from governance.statements import SVR, payload_of, sign, signed_by, statement
from governance.trail import tables
from governance.trail.database import file_url
from governance.trail.ledger import Ledger
from governance.trail.proofs import write_proof
from governance.trail.witness import cosign

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TERMS = Terms(run_config="c" * 64, budget_s=60.0, host="linux-cpu")
DECISION = Decision(
    snapshot="a" * 64, samples=10, measures="b" * 64, audits="d" * 64, audit_code="e" * 64,
    findings="f" * 64, as_of="2026-11-23", verdict="pass", cleared_root="1" * 64, cleared=8,
    excluded=2, rules=(),
    policies=(PolicyUsed(id="commercial", version="1", source="x.yaml", sha256="2" * 64),),
)  # fmt: skip


@dataclass(frozen=True)
class House:
    """A gate, its ledger, and a clearance that the ledger was told of."""

    keyring: Keyring
    ledger: Ledger
    envelope: bytes

    @property
    def id(self) -> str:
        return sha256(payload_of(self.envelope))

    def admit(self, **change: object) -> Clearance:
        trust = self.keyring.trust()
        told = {
            "envelope": self.envelope,
            "trust": trust,
            "cleared_root": DECISION.cleared_root,
            "terms": TERMS,
            "spent": (),
            "revoked": revoked_in(self.ledger),
            "logged": find_logged(self.ledger, self.id, witnesses=trust.witnesses),
            "now": NOW,
        }
        return admit(**{**told, **change})


def _house(folder: Path) -> House:
    keyring = Keyring(folder / "keys")
    trust = keyring.trust()
    ledger = Ledger(
        file_url(folder / "ledger.db"),
        trust.origin,
        tuple(trust.of("log")),
        lambda: keyring.signer("log"),
    )
    envelope = _issued(keyring)
    ledger.append("sealed", {"snapshot": "a" * 64})
    ledger.append(ISSUED, {"clearance": sha256(payload_of(envelope))})
    ledger.append("sealed", {"snapshot": "b" * 64})
    return House(keyring, ledger, envelope)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return _house(tmp_path)


@pytest.fixture
def keyring(house: House) -> Keyring:
    return house.keyring


def _issued(keyring: Keyring, role: str = "gate") -> bytes:
    return issue(DECISION, terms=TERMS, signer=keyring.signer(role), now=NOW)


def test_a_good_clearance_is_admitted_and_says_what_was_decided(house: House) -> None:
    clearance = house.admit()
    assert (clearance.decision, clearance.cleared) == (DECISION.id, 8)
    assert clearance.run_config == TERMS.run_config


def test_a_clearance_admits_the_weights_it_names_and_fewer(house: House) -> None:
    envelope = _taught(house, "7" * 64, "8" * 64)
    for weights in ((), ("8" * 64,), ("7" * 64, "8" * 64)):
        clearance = house.admit(**_told(house, envelope, weights))
        assert clearance.weights == ("7" * 64, "8" * 64)
    assert clearance.terms == replace(TERMS, weights=clearance.weights)


def test_an_old_clearance_admits_a_run_that_nothing_else_teaches(house: House) -> None:
    told = _silent_of_weights(house) | {"terms": TERMS}
    assert house.admit(**told).weights == ()


def _rotated(house: House) -> Trust:
    trust = house.keyring.trust()
    gate = trust.of("gate")[0].keyid
    new = TrustedKey(role="gate", public=make_key(house.keyring.folder / "new.pem", "gate"))
    return house.keyring.write(trust.with_key(new).ended(gate, until=99))


def _other_act(house: House) -> Logged:
    """Show the proof of another entry of the same ledger."""
    return Logged(leaf=house.ledger.leaf(0), proof=write_proof(house.ledger, 0))


def _forged_leaf(house: House) -> Logged:
    """Show an entry that says the right thing, and is not in the tree."""
    true = find_logged(house.ledger, house.id, witnesses=0)
    return replace(true, leaf=true.leaf.replace(b'"number":1', b'"number":2'))


def _strangers_note(house: House) -> Logged:
    """Show the tree of a ledger that another log key signed."""
    other = _house(house.keyring.folder.parent / "stranger").ledger
    other.append(ISSUED, {"clearance": house.id})
    return find_logged(other, house.id, witnesses=0)


def _unwitnessed(house: House) -> dict[str, object]:
    """Ask for a witness, as the profile `production` does; none has seen the ledger."""
    house.keyring.enrol("witness", "auditor-general")
    trust = house.keyring.write(replace(house.keyring.trust(), witnesses=1, version=9))
    return {"trust": trust, "logged": find_logged(house.ledger, house.id, witnesses=1)}


def _told(house: House, envelope: bytes, weights: tuple[str, ...]) -> dict[str, object]:
    """Show another clearance, which the ledger was told of, and ask to be taught by weights."""
    clearance = sha256(payload_of(envelope))
    house.ledger.append(ISSUED, {"clearance": clearance})
    logged = find_logged(house.ledger, clearance, witnesses=0)
    return {"envelope": envelope, "terms": replace(TERMS, weights=weights), "logged": logged}


def _taught(house: House, *weights: str) -> bytes:
    terms = replace(TERMS, weights=weights)
    return issue(DECISION, terms=terms, signer=house.keyring.signer("gate"), now=NOW)


def _one_weight_more(house: House) -> dict[str, object]:
    return _told(house, _taught(house, "7" * 64), ("7" * 64, "8" * 64))


def _silent_of_weights(house: House) -> dict[str, object]:
    """Show a clearance without the field, as gates signed them before there was one."""
    payload = json.loads(payload_of(house.envelope))
    del payload["predicate"]["pramana"]["weights"]
    silent = sign(canonical(payload), house.keyring.signer("gate"))
    return _told(house, silent, ("7" * 64,))


ATTACKS: dict[str, tuple[int, Callable[[House], dict[str, object]]]] = {
    "the trainer's own key": (1, lambda h: {"envelope": _issued(h.keyring, "trainer")}),
    "a stranger's key under the gate's id": (1, lambda h: {"envelope": _forged(h)}),
    "a gate key that was rotated since": (1, lambda h: {"trust": _rotated(h)}),
    "another cleared set": (2, lambda _: {"cleared_root": "9" * 64}),
    "another run config": (3, lambda _: {"terms": replace(TERMS, run_config="9" * 64)}),
    "a longer budget": (4, lambda _: {"terms": replace(TERMS, budget_s=60.1)}),
    "another host": (4, lambda _: {"terms": replace(TERMS, host="cuda")}),
    "used before": (5, lambda h: {"spent": (h.id,)}),
    "the very second it expires": (6, lambda _: {"now": NOW + timedelta(seconds=60 + GRACE_S)}),
    "before it was issued": (6, lambda _: {"now": NOW - timedelta(seconds=1)}),
    "revoked": (7, lambda h: {"revoked": {revoke(h.ledger, h.id)}}),
    "signed by a key that was revoked": (7, lambda h: {"revoked": {signed_by(h.envelope)}}),
    "a stolen gate key, and the ledger not told": (8, lambda _: {"logged": None}),
    "the proof of another act": (8, lambda h: {"logged": _other_act(h)}),
    "an entry that is not in the tree": (8, lambda h: {"logged": _forged_leaf(h)}),
    "a ledger of somebody else": (8, lambda h: {"logged": _strangers_note(h)}),
    "no witness, in production": (8, _unwitnessed),
    "weights it does not name": (9, lambda _: {"terms": replace(TERMS, weights=("9" * 64,))}),
    "weights beside the one it names": (9, _one_weight_more),
    "weights, and it is of before they were spoken of": (9, _silent_of_weights),
}


def _forged(house: House) -> bytes:
    bundle = json.loads(sign(payload_of(house.envelope), CryptoSigner.generate_ecdsa()))
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = signed_by(house.envelope)
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(("check", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_each_check_refuses_alone(
    house: House, check: int, attack: Callable[[House], dict[str, object]]
) -> None:
    with pytest.raises(Refused, match=rf"clearance \({check}\)"):
        house.admit(**attack(house))


def test_a_witness_that_saw_the_entry_opens_the_door_in_production(
    house: House, tmp_path: Path
) -> None:
    _, path = house.keyring.enrol("witness", "auditor-general")
    trust = house.keyring.write(replace(house.keyring.trust(), witnesses=1, version=9))
    signer, note, size = signer_at(path, "witness"), house.ledger.note(), house.ledger.size()
    keys = trust.of("log")
    line = cosign(tmp_path / "witness", note, [], signer=signer, now=NOW, log=keys)
    house.ledger.add_cosignature(size, signer.public_key.keyid, line)
    house.ledger.append("sealed", {"snapshot": "c" * 64})  # nobody cosigned this one yet
    assert house.admit().id == house.id


def test_a_clearance_never_outlives_a_waiver_it_stands_on(keyring: Keyring) -> None:
    gate, soon = keyring.signer("gate"), NOW + timedelta(seconds=61)
    told = issue(DECISION, terms=TERMS, signer=gate, now=NOW, until=soon)
    assert read_clearance(payload_of(told)).expires_at == "2026-11-23T09:01:01.000+00:00"
    with pytest.raises(Refused, match="before a run of 60 s would"):
        issue(DECISION, terms=TERMS, signer=gate, now=NOW, until=NOW + timedelta(seconds=59))


@pytest.mark.parametrize("name", ["", "0123x"], ids=repr)
def test_revoking_takes_the_beginning_of_one_clearance(house: House, name: str) -> None:
    with pytest.raises(UsageError, match="0 clearances begin"):
        revoke(house.ledger, name)


def test_a_clearance_is_revoked_once_and_the_ledger_says_so(house: House) -> None:
    assert {revoke(house.ledger, house.id[:10]), revoke(house.ledger, house.id)} == {house.id}
    assert [dict(e.body) for e in house.ledger.entries(REVOKED)] == [{"clearance": house.id}]


def test_a_revocation_that_was_hidden_in_the_database_is_found_while_a_run_goes_on(
    house: House, tmp_path: Path
) -> None:
    check_standing(house.envelope, house.ledger, NOW)
    revoke(house.ledger, house.id)
    with pytest.raises(Refused, match=r"clearance \(7\)"):
        check_standing(house.envelope, house.ledger, NOW)
    guard = tables.guards(tables.entries, "sqlite")["entries_no_update"]
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER entries_no_update")
        connection.execute("UPDATE entries SET kind = 'x' WHERE kind = ?", (REVOKED,))
        connection.execute(guard)
        connection.commit()
    with pytest.raises(Tampered, match="is not the one that was signed"):
        check_standing(house.envelope, house.ledger, NOW)


def test_one_changed_byte_of_the_payload_is_refused(house: House) -> None:
    record = json.loads(house.envelope)
    changed = payload_of(house.envelope).replace(b'"budget_s":60', b'"budget_s":99')
    record["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    with pytest.raises(Refused, match=r"clearance \(1\)"):
        house.admit(envelope=json.dumps(record).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"payload": 1}', b"[1]"], ids=repr)
def test_what_is_no_envelope_is_called_so(house: House, data: bytes) -> None:
    with pytest.raises(Tampered, match="Sigstore bundle"):
        house.admit(envelope=data)


def test_another_statement_of_the_gate_is_no_clearance(house: House) -> None:
    payload = statement(SVR, subjects={CLEARED: "1" * 64}, predicate={"properties": []})
    with pytest.raises(Tampered, match="not a clearance"):
        house.admit(envelope=sign(payload, house.keyring.signer("gate")))


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
