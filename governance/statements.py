"""In-toto Statements in DSSE envelopes: who says what about which digests.

Bytes first, meaning after: an envelope is opened by a signature check, and only then parsed.
Does not see: whether what is said is true.
"""

from collections.abc import Mapping, Sequence

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import CryptoSigner, SSlibKey

from governance.canon import Json, canonical
from governance.errors import Refused, Tampered
from governance.records import as_object, json_object

STATEMENT = "https://in-toto.io/Statement/v1"
SVR = "https://in-toto.io/attestation/svr/v0.2"  # decisions and clearances
PROVENANCE = "https://slsa.dev/provenance/v1"  # runs
PAYLOAD_TYPE = "application/vnd.in-toto+json"  # DSSE's name for an in-toto Statement


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


def sign(payload: bytes, signer: CryptoSigner) -> bytes:
    """Return the DSSE envelope of a payload, as JSON. Source: DSSE protocol v1.0.2."""
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical(envelope.to_dict())


def open_envelope(data: bytes, keys: Sequence[SSlibKey]) -> bytes:
    """Return the payload that one of the keys signed, exactly as it was signed.

    Raises:
        Tampered: this is no DSSE envelope of an in-toto Statement.
        Refused: no signature in it is a good one of a key given.
    """
    envelope = _envelope(data)
    try:
        envelope.verify(list(keys), threshold=1)
    except (SigningError, ValueError):
        raise Refused(
            f"No signature on this envelope is a good one of the {len(keys)} key(s) trusted for it."
        ) from None
    return envelope.payload


def payload_of(data: bytes) -> bytes:
    """Return a payload unverified, for showing only; `open_envelope` is for acting on it."""
    return _envelope(data).payload


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


def _envelope(data: bytes) -> Envelope:
    try:
        envelope = Envelope.from_dict(json_object(data, "a DSSE envelope"))
    except (KeyError, TypeError, ValueError, AttributeError, SigningError) as fault:
        raise Tampered(f"This is no DSSE envelope: {fault}.") from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Tampered(f"An envelope of {PAYLOAD_TYPE} was expected; this holds something else.")
    return envelope
