"""The trust file: one version follows from another, and each key has one role while it counts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, SSlibKey

from governance.errors import EvidenceMissing, Refused, Tampered
from governance.signers.keys import HOUSE, Keyring, make_key, signer_at
from governance.signers.trust import TRUST_FILE, TRUST_TYPE, Trust, TrustedKey, key_from_pem
from governance.statements import sign


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


def _key(role: str, person: str = "") -> TrustedKey:
    signer = CryptoSigner.generate_ed25519() if role == "witness" else CryptoSigner.generate_ecdsa()
    return TrustedKey(role=role, person=person, public=signer.public_key)


def test_a_new_workspace_has_a_key_for_each_duty_and_no_role_shares_one(keyring: Keyring) -> None:
    trust = keyring.trust()
    assert (trust.version, trust.profile) == (1, "local")
    assert [key.role for key in trust.keys] == list(HOUSE)
    assert len({key.id for key in trust.keys}) == len(HOUSE)
    assert all(keyring.pem(role).stat().st_mode & 0o777 == 0o600 for role in HOUSE)


def test_what_is_written_reads_back(keyring: Keyring) -> None:
    written = keyring.write(keyring.trust().with_key(_key("dpo", "asha")))
    assert Trust.from_bytes(written.data) == written == keyring.trust()
    assert keyring.trust().version == 2


def test_a_rotated_key_counts_for_acts_before_its_end_and_a_revoked_one_never(
    keyring: Keyring,
) -> None:
    dpo = _key("dpo", "asha")
    trust = keyring.trust().with_key(dpo)
    assert trust.holder(dpo.id).person == "asha"
    ended = trust.ended(dpo.id, until=7)
    assert ended.of("dpo", at=6) == [dpo.public]
    for when in (7, None):
        with pytest.raises(EvidenceMissing, match="no key in use for the role dpo"):
            ended.of("dpo", at=when)
        with pytest.raises(Refused, match="unknown"):
            ended.holder(dpo.id, at=when)
    assert ended.ever("dpo") == [dpo.public]
    revoked = ended.ended(dpo.id, until=0)
    assert revoked.ever("dpo") == []
    with pytest.raises(Refused, match="revoked"):
        revoked.ended(dpo.id, until=99)


def test_one_key_has_one_role(keyring: Keyring) -> None:
    trust = keyring.trust()
    twice = replace(trust.keys[0], role="gate")
    with pytest.raises(Refused, match="each role has its own key"):
        trust.with_key(twice)


def test_a_pinned_file_accepts_what_its_root_signed_next(keyring: Keyring) -> None:
    pinned = keyring.trust()
    newer = keyring.write(pinned.with_key(_key("legal", "bina")))
    assert Trust.from_bytes(newer.data, pinned=pinned) == newer


def _by_stranger(keyring: Keyring, folder: Path) -> bytes:
    trust = keyring.trust()
    return replace(trust, version=2).signed(Keyring(folder / "stranger").signer("root")).data


def _by_gate(keyring: Keyring, _: Path) -> bytes:
    return replace(keyring.trust(), version=2).signed(keyring.signer("gate")).data


def _other_workspace(_: Keyring, folder: Path) -> bytes:
    return Keyring(folder / "stranger").trust().data


def _other_origin(keyring: Keyring, _: Path) -> bytes:
    return replace(keyring.trust(), origin="x", version=5).signed(keyring.signer("root")).data


def _same_version(keyring: Keyring, _: Path) -> bytes:
    return (
        replace(keyring.trust(), witnesses=0, keys=keyring.trust().keys[:-1])
        .signed(keyring.signer("root"))
        .data
    )


def _older(keyring: Keyring, _: Path) -> bytes:
    return replace(keyring.trust(), version=0).signed(keyring.signer("root")).data


ATTACKS: dict[str, tuple[type[Exception], str, Callable[[Keyring, Path], bytes]]] = {
    "signed by a stranger": (Refused, "not signed by a root key", _by_stranger),
    "signed by the gate": (Refused, "not signed by a root key", _by_gate),
    "of another workspace": (Refused, "not signed by a root key", _other_workspace),
    "of another ledger": (Tampered, "version 5 of x", _other_origin),
    "two of one version": (Tampered, "two trust files of version 1", _same_version),
    "an older one": (Tampered, "version 0", _older),
}


@pytest.mark.parametrize(("kind", "match", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_no_other_file_takes_the_place_of_a_pinned_one(
    keyring: Keyring, tmp_path: Path, kind: type[Exception], match: str, attack
) -> None:
    with pytest.raises(kind, match=match):
        Trust.from_bytes(attack(keyring, tmp_path), pinned=keyring.trust())


def _edited(change: Callable[[dict], object]) -> Callable[[dict], dict]:
    def act(record: dict) -> dict:
        change(record)
        return record

    return act


MALFORMED = {
    "a field too many": _edited(lambda r: r.update(extra=1)),
    "no version": _edited(lambda r: r.pop("version")),
    "another schema": _edited(lambda r: r.update(schema="pramana.trust/v2")),
    "keys that are no list": _edited(lambda r: r.update(keys=7)),
    "a key that stands twice": _edited(lambda r: r["keys"].append(r["keys"][0])),
    "a key under another id": _edited(lambda r: r["keys"][0].update(id="0" * 64)),
    "a key with a field too many": _edited(lambda r: r["keys"][0].update(x=1)),
    "a log key of the wrong kind": _edited(
        lambda r: [key.update(role="log") for key in r["keys"] if key["role"] == "gate"]
    ),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_trust_file_is_called_so(keyring: Keyring, change) -> None:
    payload = json.loads(json.dumps(_payload(keyring.trust())))
    data = sign(json.dumps(change(payload)).encode(), keyring.signer("root"), TRUST_TYPE)
    with pytest.raises(Tampered, match="trust file is not one we can read"):
        Trust.from_bytes(data)


def _payload(trust: Trust) -> dict:
    keys = [key.to_json() for key in trust.keys]
    return {"schema": "pramana.trust/v1", "version": trust.version, "origin": trust.origin,
            "witnesses": trust.witnesses, "keys": keys}  # fmt: skip


def test_a_flipped_byte_is_noticed(keyring: Keyring) -> None:
    data = keyring.trust().data
    at = data.index(b'"payload":"') + 40
    flipped = data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]
    with pytest.raises((Refused, Tampered)):
        Trust.from_bytes(flipped)


def test_a_private_key_that_the_trust_file_does_not_name_signs_nothing(keyring: Keyring) -> None:
    keyring.trust()
    keyring.pem("gate").unlink()
    make_key(keyring.pem("gate"), "gate")
    with pytest.raises(Refused, match="not the one that the trust file names"):
        keyring.signer("gate")


def test_a_private_key_that_is_elsewhere_is_missed_by_name(keyring: Keyring) -> None:
    keyring.trust()
    keyring.pem("gate").unlink()
    with pytest.raises(EvidenceMissing, match=r"gate\.pem is not here"):
        keyring.signer("gate")


def test_a_key_file_is_never_written_over(keyring: Keyring) -> None:
    keyring.trust()
    before = keyring.pem("log").read_bytes()
    with pytest.raises(Refused, match="never written over"):
        make_key(keyring.pem("log"), "log")
    assert keyring.pem("log").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"no key", "holds no private key"), ("log", "a key of another kind than gate")],
    ids=["no key at all", "an Ed25519 key for the gate"],
)
def test_a_file_without_the_right_private_key_is_called_so(
    keyring: Keyring, tmp_path: Path, content: bytes | str, match: str
) -> None:
    keyring.trust()
    path = tmp_path / "some.pem"
    path.write_bytes(content if isinstance(content, bytes) else keyring.pem(content).read_bytes())
    path.chmod(0o600)
    with pytest.raises(Tampered, match=match):
        signer_at(path, "gate")


def test_a_key_of_the_wrong_kind_is_not_trusted_for_a_role(keyring: Keyring) -> None:
    ed25519 = CryptoSigner.generate_ed25519()
    pem = ed25519._private_key.public_key()  # noqa: SLF001  only to write it as PEM
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    data = pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert isinstance(key_from_pem(data, "witness"), SSlibKey)
    with pytest.raises(Refused, match="dpo signs with ECDSA P-256"):
        key_from_pem(data, "dpo")


def test_a_key_service_can_sign_in_place_of_a_file(keyring: Keyring, tmp_path: Path) -> None:
    """`file2:` is securesystemslib's own scheme; gcpkms:, awskms: and hsm: go the same way."""
    trust = keyring.trust()
    held = tmp_path / "held-elsewhere.pem"
    keyring.pem("gate").rename(held)
    (keyring.folder / "gate.uri").write_text(f"file2:{held}\n")
    assert keyring.signer("gate").public_key == trust.of("gate")[0]
    held.unlink()
    with pytest.raises(EvidenceMissing, match=r"that gate\.uri names cannot be reached"):
        keyring.signer("gate")


def test_the_file_is_made_once_by_whoever_comes_first(keyring: Keyring) -> None:
    first = keyring.trust()
    assert keyring.trust() == first
    assert (keyring.folder / TRUST_FILE).is_file()
