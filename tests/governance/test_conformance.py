"""Vectors of others, judged as they say: Sigstore bundles, their log's checkpoints and proofs.

Merkle cases, JCS and DSSE's own vector are held in test_merkle_trees, test_canonical_bytes and
test_clearance. What a row's id gives as a reason is why our reader, which opens DSSE envelopes
signed with managed keys, does not open that bundle.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_der_x509_certificate
from securesystemslib.signer import SSlibKey

from governance.canon import canonical, file_sha256
from governance.errors import PramanaError, Refused, Tampered
from governance.signers.trust import key_from_pem
from governance.statements import open_envelope, read_statement
from governance.trail import merkle
from governance.trail.note import VerifierKey, open_note, unverified

pytestmark = pytest.mark.shared

# The key of Sigstore's log, rekor.sigstore.dev; each bundle names it by its SHA-256.
REKOR = b"""\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwr
kBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==
-----END PUBLIC KEY-----
"""
CASES = (
    "checkpoint-wrong-roothash_fail",
    "dsse-invalid-sig_fail",
    "happy-path-intoto-in-dsse-v3",
    "happy-path-v0.3",
    "inclusion-proof-corrupted-hash_fail",
    "invalid-checkpoint-signature_fail",
    "managed-key-happy-path",
    "managed-key-wrong-key_fail",
    "message-digest-mismatch_fail",
)
BAD_NOTES = {"invalid-checkpoint-signature_fail": "is not a signature of this checkpoint"}
BAD_PROOFS = {
    "checkpoint-wrong-roothash_fail": "is not in the tree",  # the checkpoint is of another tree
    "inclusion-proof-corrupted-hash_fail": "is not in the tree",
}
HAPPY = "happy-path-intoto-in-dsse-v3"


@pytest.fixture
def read(shared: Path) -> Callable[[str], dict[str, Any]]:
    """Read a bundle by the name of its case."""
    folder = shared / "conformance" / "sigstore"
    assert tuple(sorted(p.name for p in folder.iterdir() if p.is_dir())) == CASES
    return lambda case: json.loads((folder / case / "bundle.sigstore.json").read_text())


def _entry(bundle: dict[str, Any]) -> dict[str, Any]:
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    return entry


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_of_sigstores_log_is_judged_as_published(
    case: str, read: Callable[[str], dict[str, Any]]
) -> None:
    entry, log = _entry(read(case)), SSlibKey.from_crypto(load_pem_public_key(REKOR))
    der = base64.b64decode(b"".join(REKOR.splitlines()[1:-1]))
    assert hashlib.sha256(der).digest() == base64.b64decode(entry["logId"]["keyId"])
    note = entry["inclusionProof"]["checkpoint"]["envelope"]
    if case in BAD_NOTES:
        with pytest.raises(Tampered, match=BAD_NOTES[case]):
            open_note(note, [log])
        return
    checkpoint = open_note(note, [log])
    root = base64.b64decode(entry["inclusionProof"]["rootHash"])
    assert (checkpoint.root == root) is (case != "checkpoint-wrong-roothash_fail")
    with pytest.raises(Tampered, match="is not a signature of this checkpoint"):
        open_note(note.replace(f"\n{checkpoint.size}\n", f"\n{checkpoint.size + 1}\n"), [log])


@pytest.mark.parametrize("case", CASES)
def test_an_inclusion_proof_of_sigstores_log_is_judged_as_published(
    case: str, read: Callable[[str], dict[str, Any]]
) -> None:
    entry = _entry(read(case))
    proof, body = entry["inclusionProof"], base64.b64decode(entry["canonicalizedBody"])

    def checked() -> None:
        merkle.check_inclusion(
            merkle.leaf_hash(body),
            index=int(proof["logIndex"]),
            size=int(proof["treeSize"]),
            proof=[base64.b64decode(step) for step in proof["hashes"]],
            expected_root=unverified(proof["checkpoint"]["envelope"]).root,
        )

    if case in BAD_PROOFS:
        with pytest.raises(Tampered, match=BAD_PROOFS[case]):
            checked()
    else:
        checked()


def _hinted(bundle: dict[str, Any], key: SSlibKey) -> bytes:
    """A bundle whose signature names its key: DSSE leaves that hint to the writer, we need it."""
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = key.keyid
    return canonical(bundle)


def _certified(bundle: dict[str, Any]) -> SSlibKey:
    raw = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    return SSlibKey.from_crypto(load_der_x509_certificate(raw).public_key())


def test_a_dsse_bundle_of_sigstore_opens_with_the_key_in_its_certificate(
    read: Callable[[str], dict[str, Any]], shared: Path
) -> None:
    bundle = read(HAPPY)
    key = _certified(bundle)
    payload = open_envelope(_hinted(bundle, key), [key])
    statement = json.loads(payload)
    subjects, _ = read_statement(payload, statement["predicateType"])
    assert file_sha256(shared / "conformance" / "sigstore" / "a.txt") in subjects.values()


def test_a_dsse_bundle_with_an_invalid_signature_is_refused(
    read: Callable[[str], dict[str, Any]],
) -> None:
    bundle = read("dsse-invalid-sig_fail")
    key = _certified(bundle)
    with pytest.raises(Refused, match="No signature"):
        open_envelope(_hinted(bundle, key), [key])


def test_a_dsse_bundle_is_refused_under_another_key(
    read: Callable[[str], dict[str, Any]],
) -> None:
    other = SSlibKey.from_crypto(ec.generate_private_key(ec.SECP256R1()).public_key())
    with pytest.raises(Refused, match="No signature"):
        open_envelope(_hinted(read(HAPPY), other), [other])


NOT_OURS = {
    "managed-key-happy-path": "messageSignature",
    "managed-key-wrong-key_fail": "messageSignature",
    "message-digest-mismatch_fail": "messageSignature",
    "happy-path-v0.3": "messageSignature",
    "inclusion-proof-corrupted-hash_fail": "messageSignature",
    "checkpoint-wrong-roothash_fail": "messageSignature",
    "invalid-checkpoint-signature_fail": "messageSignature",
}


@pytest.mark.parametrize(
    "case", NOT_OURS, ids=[f"{case}: a {kind}, no envelope" for case, kind in NOT_OURS.items()]
)
def test_a_bundle_that_holds_no_envelope_is_never_taken_for_a_statement(
    case: str, read: Callable[[str], dict[str, Any]]
) -> None:
    bundle, key = read(case), SSlibKey.from_crypto(load_pem_public_key(REKOR))
    assert NOT_OURS[case] in bundle
    with pytest.raises(Tampered, match="bundle"):
        open_envelope(canonical(bundle), [key])
    grafted = {**read(HAPPY), **bundle, "mediaType": read(HAPPY)["mediaType"]}
    grafted["dsseEnvelope"]["signatures"][0]["keyid"] = key.keyid
    with pytest.raises(PramanaError):  # whatever is put beside it
        open_envelope(canonical(grafted), [key])


def test_the_managed_keys_sign_as_published_and_a_key_that_is_none_is_refused(
    read: Callable[[str], dict[str, Any]], shared: Path
) -> None:
    """The signatures are over the file itself, so they are held to the library we verify with."""
    folder = shared / "conformance" / "sigstore"
    artifact = (folder / "a.txt").read_bytes()
    bundle = read("managed-key-happy-path")
    signature = base64.b64decode(bundle["messageSignature"]["signature"])
    key = load_pem_public_key((folder / "managed-key-happy-path" / "key.pub").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, artifact, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, artifact + b" ", ec.ECDSA(SHA256()))
    assert key_from_pem((folder / "managed-key-happy-path" / "key.pub").read_bytes(), "gate")
    with pytest.raises(Refused, match="no public key in PEM"):
        key_from_pem((folder / "managed-key-wrong-key_fail" / "key.pub").read_bytes(), "gate")


def test_a_key_of_ecdsa_is_read_in_notes_and_never_as_a_vkey_of_ours() -> None:
    key = SSlibKey.from_crypto(load_pem_public_key(REKOR))
    text = VerifierKey(name="rekor.sigstore.dev", kind=2, key=key).text()
    assert text.startswith("rekor.sigstore.dev+c0d23d6a+")
    with pytest.raises(PramanaError):
        VerifierKey.parse(text)
