"""In-toto Statements, signed as DSSE in Sigstore bundles: who says what about which digests.

Bytes first, meaning after: a bundle is opened by a signature check, and only then parsed. The
bundle (v0.3, a managed key, no transparency log of others) is what Sigstore's own tools read.

Does not see: whether what is said is true, or whether the ledger was told.
"""

from collections.abc import Mapping, Sequence

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import Signer, SSlibKey

from governance.canon import Json, canonical
from governance.errors import Refused, Tampered
from governance.records import as_object, json_object

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"  # audits
SVR = "https://in-toto.io/attestation/svr/v0.2"  # decisions, clearances, cards
PROVENANCE = "https://slsa.dev/provenance/v1"  # runs
CYCLONEDX = "https://cyclonedx.org/bom"  # bills of materials
WAIVER = "https://pramana.dev/waiver/v1"  # no standard predicate says these two
APPROVAL = "https://pramana.dev/approval/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"  # DSSE's name for an in-toto Statement
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def statement(
    predicate_type: str, *, subjects: Mapping[str, str], predicate: Mapping[str, Json]
) -> bytes:
    """Return the canonical bytes of a Statement about subjects (name to SHA-256 hex).

    Source: in-toto attestation framework, Statement v1.
    """
    return canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects.items()],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def sign(payload: bytes, signer: Signer, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return a Sigstore bundle that holds the signed DSSE envelope of a payload.

    Source: DSSE protocol v1.0.2; sigstore protobuf-specs, Bundle v0.3, PublicKeyIdentifier.
    """
    envelope = Envelope(payload, payload_type, {})
    signature = envelope.sign(signer)
    return canonical(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": signature.keyid}, "tlogEntries": []},
            "dsseEnvelope": envelope.to_dict(),
        }
    )


def open_envelope(data: bytes, keys: Sequence[SSlibKey], payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the payload that one of the keys signed, exactly as it was signed.

    Raises:
        Tampered: this is no Sigstore bundle with a DSSE envelope of this payload type.
        Refused: no signature in it is a good one of a key given.
    """
    envelope = _envelope(data, payload_type)
    try:
        envelope.verify(list(keys), threshold=1)
    except (SigningError, ValueError):
        raise Refused(
            f"No signature on this envelope is a good one of the {len(keys)} key(s) trusted for it."
        ) from None
    return envelope.payload


def payload_of(data: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return a payload unverified, for showing only; `open_envelope` is for acting on it."""
    return _envelope(data, payload_type).payload


def signed_by(data: bytes, payload_type: str = PAYLOAD_TYPE) -> str:
    """Return the id of the key that claims to have signed. Raises Tampered unless it is one."""
    named = list(_envelope(data, payload_type).signatures)
    if len(named) != 1:
        raise Tampered(f"A statement carries one signature; this carries {len(named)}.")
    return named[0]


def read_statement(payload: bytes, predicate_type: str) -> tuple[dict[str, str], dict[str, Json]]:
    """Return subjects (name to SHA-256) and predicate of a payload already verified.

    Raises:
        Tampered: it is not a Statement with this predicate type.
    """
    found = json_object(payload, "an in-toto Statement")
    if found.get("_type") != STATEMENT or found.get("predicateType") != predicate_type:
        raise Tampered(f"A statement of {predicate_type} was expected; this is another one.")
    try:
        subjects = {s["name"]: s["digest"]["sha256"] for s in found["subject"]}
    except (KeyError, TypeError):
        raise Tampered("A statement names its subjects wrongly; sign it again.") from None
    return subjects, as_object(found.get("predicate"), "a predicate")


def _envelope(data: bytes, payload_type: str) -> Envelope:
    bundle = json_object(data, "a Sigstore bundle")
    if bundle.get("mediaType") != BUNDLE_TYPE:
        raise Tampered(f"This is no Sigstore bundle of the type {BUNDLE_TYPE}; sign it again.")
    try:
        envelope = Envelope.from_dict(bundle["dsseEnvelope"])
    except (KeyError, TypeError, ValueError, AttributeError, SigningError) as fault:
        raise Tampered(f"This bundle holds no DSSE envelope: {fault}.") from None
    if envelope.payload_type != payload_type:
        raise Tampered(f"An envelope of {payload_type} was expected; this holds something else.")
    return envelope
