"""The trust file: which public keys speak for which role, signed by a root key.

An outsider pins one copy. A newer one is believed when a root key of the pinned one signed it.

Does not see: who holds a private key, or whether two people are one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import Signer, SSlibKey

from governance.canon import Json, canonical
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.records import json_object
from governance.statements import open_envelope, payload_of, sign

TRUST_FILE = "trust.json"
TRUST_TYPE = "application/vnd.pramana.trust+json"
SCHEMA = "pramana.trust/v1"
HOUSE = ("root", "auditor", "gate", "trainer", "card", "log")  # duties of the house
NOTES = frozenset({"log", "witness"})  # these sign C2SP notes, with Ed25519
FIELDS = frozenset({"schema", "version", "origin", "witnesses", "keys"})
KEY_FIELDS = frozenset({"id", "role", "person", "until", "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key, the one role it speaks for, and who holds it ('' for a duty of the house).

    `until` is None while it is in use. Once it was rotated, what it signed counts for acts that
    the ledger numbers below `until`; 0 means revoked: nothing it signed counts.
    """

    role: str
    public: SSlibKey
    person: str = ""
    until: int | None = None

    @property
    def id(self) -> str:
        """Return the id of the key, a digest of it."""
        return str(self.public.keyid)

    def counts(self, at: int | None) -> bool:
        """Return whether a signature on act number `at` counts; None asks about now."""
        return self.until is None or (at is not None and at < self.until)

    def to_json(self) -> dict[str, Json]:
        """Return the key as JSON."""
        return {
            "id": self.id,
            "role": self.role,
            "person": self.person,
            "until": self.until,
            "key": self.public.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signatures count, in the version that a root key signed.

    `origin` names the ledger (c2sp.org/tlog-checkpoint). `witnesses` is how many cosignatures a
    checkpoint needs before anything is trained: none in the local profile, else `production`.
    """

    version: int
    origin: str
    witnesses: int
    keys: tuple[TrustedKey, ...]
    data: bytes = field(default=b"", repr=False, compare=False)  # as it was signed

    @property
    def profile(self) -> str:
        """Return `production` where witnesses must have cosigned, else `local`."""
        return "production" if self.witnesses else "local"

    def of(self, role: str, at: int | None = None) -> list[SSlibKey]:
        """Return the keys of a role whose signature on act number `at` counts; None: now.

        Raises:
            EvidenceMissing: the role has none.
        """
        found = [key.public for key in self.keys if key.role == role and key.counts(at)]
        if not found:
            raise EvidenceMissing(f"The trust file names no key in use for the role {role}.")
        return found

    def ever(self, role: str) -> list[SSlibKey]:
        """Return the keys of a role that ever counted: all but the revoked ones."""
        return [key.public for key in self.keys if key.role == role and key.until != 0]

    def holder(self, keyid: str, at: int | None = None) -> TrustedKey:
        """Return who signs with a key. Raises Refused when it is unknown, or counts no more."""
        for key in self.keys:
            if key.id == keyid and key.counts(at):
                return key
        raise Refused(f"The key {keyid[:12]} is unknown to the trust file, rotated or revoked.")

    def with_key(self, key: TrustedKey) -> Self:
        """Return the next version, with one more key. Raises Refused when it is there already."""
        if any(key.id == known.id for known in self.keys):
            raise Refused(f"The key {key.id[:12]} has a role already; each role has its own key.")
        return replace(self, version=self.version + 1, keys=(*self.keys, key), data=b"")

    def ended(self, keyid: str, until: int) -> Self:
        """Return the next version, in which a key counts only for acts below `until`.

        Raises:
            Refused: the key is unknown, or was revoked: what was revoked stays revoked.
        """
        if not any(key.id == keyid and key.until != 0 for key in self.keys):
            raise Refused(f"The key {keyid[:12]} is unknown to the trust file, or was revoked.")
        keys = tuple(replace(key, until=until) if key.id == keyid else key for key in self.keys)
        return replace(self, version=self.version + 1, keys=keys, data=b"")

    def signed(self, root: Signer) -> Self:
        """Return this version with the bytes that the root key signed."""
        said: dict[str, Json] = {
            "schema": SCHEMA,
            "version": self.version,
            "origin": self.origin,
            "witnesses": self.witnesses,
            "keys": [key.to_json() for key in self.keys],
        }
        return replace(self, data=sign(canonical(said), root, TRUST_TYPE))

    def to_bytes(self) -> bytes:
        """Return the file as it was signed."""
        return self.data

    @classmethod
    def from_bytes(cls, data: bytes, pinned: "Trust | None" = None) -> Self:
        """Read a trust file.

        Args:
            data: its bytes.
            pinned: what the reader trusts already; None believes the file's own root keys, which
                proves only that it is of one piece.

        Raises:
            Tampered: it is no trust file, or an older or other one than the pinned.
            Refused: no root key that counts signed it.
        """
        said = cls._read(payload_of(data, TRUST_TYPE))
        roots = pinned.of("root") if pinned else said.ever("root")  # the old one signs its end
        try:
            open_envelope(data, roots, TRUST_TYPE)
        except Refused:
            whose = "the trust you pinned" if pinned else "this trust file itself"
            raise Refused(f"The trust file is not signed by a root key of {whose}.") from None
        if pinned and (said.origin != pinned.origin or said.version < pinned.version):
            raise Tampered(
                f"The trust file is version {said.version} of {said.origin}; known is version "
                f"{pinned.version} of {pinned.origin}. Ask for the newer one."
            )
        if pinned and said.version == pinned.version and said != pinned:
            raise Tampered(f"There are two trust files of version {said.version}; ask which is it.")
        return replace(said, data=data)

    @classmethod
    def _read(cls, payload: bytes) -> Self:
        record = json_object(payload, "a trust file")
        try:
            if record.keys() != FIELDS or record["schema"] != SCHEMA:
                raise ValueError(f"it has {sorted(record)}")  # noqa: TRY301  one way out
            keys = tuple(_read_key(key) for key in record["keys"])
            if len({key.id for key in keys}) != len(keys):
                raise ValueError("a key stands twice")  # noqa: TRY301
            version, witnesses = int(record["version"]), int(record["witnesses"])
            return cls(
                version=version, origin=str(record["origin"]), witnesses=witnesses, keys=keys
            )
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise Tampered(f"The trust file is not one we can read: {fault}.") from None


def key_from_pem(pem: bytes, role: str) -> SSlibKey:
    """Return a public key of the kind a role signs with. Raises Refused when it is of another."""
    try:
        public = load_pem_public_key(pem)
    except ValueError:
        raise Refused("This file holds no public key in PEM; ask for one.") from None
    if role in NOTES and isinstance(public, Ed25519PublicKey):
        return SSlibKey.from_crypto(public)
    p256 = isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1)
    if role not in NOTES and p256:
        return SSlibKey.from_crypto(public)
    wanted = "Ed25519" if role in NOTES else "ECDSA P-256"
    raise Refused(f"The role {role} signs with {wanted}; this is a key of another kind.")


def _read_key(record: Mapping[str, Any]) -> TrustedKey:
    """Read one key. Its id must be the digest of it, or one key could pass for two."""
    keyid = str(record["id"])
    until = None if record["until"] is None else int(record["until"])
    role, public = str(record["role"]), SSlibKey.from_dict(keyid, dict(record["key"]))
    if public != _from_value(public.keyval["public"], role) or record.keys() != KEY_FIELDS:
        raise ValueError(f"key {keyid[:12]} is not what its id says")
    return TrustedKey(role=role, person=str(record["person"]), until=until, public=public)


def _from_value(value: str, role: str) -> SSlibKey:
    if role in NOTES:
        return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(value)))
    return key_from_pem(value.encode(), role)
