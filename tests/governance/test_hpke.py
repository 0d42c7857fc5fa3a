"""HPKE as packages of keys use it: held to the vectors of RFC 9180, by the library and by hand."""

import hmac

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from governance.sealing.release import SUITE

# RFC 9180 appendix A.1.1, and from the file it names as [TestVectors] the one of our suite: mode 0,
# DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, first encryption.
VECTORS = {
    "AES-128-GCM": {
        "aead": 1,
        "skE": "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
        "enc": "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
        "skR": "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
        "shared": "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc",
        "key": "4531685d41d65f03dc48f6b8302c05b0",
        "nonce": "56d890e5accaaf011cff4b7d",
        "ct": "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9"
              "6d8770ac83d07bea87e13c512a",
    },
    "AES-256-GCM": {
        "aead": 2,
        "skE": "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11",
        "enc": "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
        "skR": "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
        "shared": "3101c54c3a4f87439eaac080699ed9bbcc726ffe44e860c0424ccb7e3e2ead7b",
        "key": "f50b0609186798729ed0564b36ef2ef8044f1f9d05636874d1f46c819c7a669f",
        "nonce": "151d9929e2449747889bc923",
        "ct": "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be99319"
              "80a41de125a925cdad859d5b7a",
    },
}  # fmt: skip
INFO, AAD, TRUTH = b"Ode on a Grecian Urn", b"Count-0", b"Beauty is truth, truth beauty"


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, *, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\x01", "sha256")[:length]


def _shared(dh: bytes, enc: bytes, public: bytes) -> bytes:
    """Source: RFC 9180 section 4.1, ExtractAndExpand."""
    kem = b"KEM\x00\x20"
    prk = _extract(kem, b"", b"eae_prk", dh)
    return _expand(kem, prk, b"shared_secret", enc + public, length=32)


def _schedule(shared: bytes, info: bytes, aead: int) -> tuple[bytes, bytes]:
    """Return key and base nonce in mode 0. Source: RFC 9180 section 5.1, KeySchedule."""
    suite = b"HPKE\x00\x20\x00\x01" + aead.to_bytes(2, "big")
    hashes = _extract(suite, b"", b"psk_id_hash", b""), _extract(suite, b"", b"info_hash", info)
    context = b"\x00" + b"".join(hashes)
    secret = _extract(suite, shared, b"secret", b"")
    length = {1: 16, 2: 32}[aead]
    key = _expand(suite, secret, b"key", context, length=length)
    return key, _expand(suite, secret, b"base_nonce", context, length=12)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_a_plain_reading_of_rfc_9180_meets_its_vectors(vector: dict) -> None:
    ephemeral = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["skE"]))
    receiver = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["skR"])).public_key()
    enc = ephemeral.public_key().public_bytes_raw()
    shared = _shared(ephemeral.exchange(receiver), enc, receiver.public_bytes_raw())
    key, nonce = _schedule(shared, INFO, vector["aead"])
    assert (enc.hex(), shared.hex()) == (vector["enc"], vector["shared"])
    assert (key.hex(), nonce.hex()) == (vector["key"], vector["nonce"])
    assert AESGCM(key).encrypt(nonce, TRUTH, AAD).hex() == vector["ct"]


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_the_library_meets_the_vectors_of_rfc_9180(vector: dict) -> None:
    """Its public functions take no associated data, which all vectors have: an inner one does."""
    aead = {1: AEAD.AES_128_GCM, 2: AEAD.AES_256_GCM}[vector["aead"]]
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, aead)
    receiver = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["skR"]))
    sent = bytes.fromhex(vector["enc"] + vector["ct"])
    opened = openssl.hpke._decrypt_with_aad(suite, sent, receiver, INFO, AAD)  # noqa: SLF001
    assert opened == TRUTH


def test_what_our_suite_seals_is_opened_by_a_plain_reading_of_the_rfc() -> None:
    reader, info = X25519PrivateKey.generate(), b"a clearance"
    sent = SUITE.encrypt(b"keys", reader.public_key(), info=info)
    enc, ciphertext = sent[:32], sent[32:]
    dh = reader.exchange(X25519PublicKey.from_public_bytes(enc))
    shared = _shared(dh, enc, reader.public_key().public_bytes_raw())
    key, nonce = _schedule(shared, info, VECTORS["AES-256-GCM"]["aead"])
    assert AESGCM(key).decrypt(nonce, ciphertext, b"") == b"keys"
