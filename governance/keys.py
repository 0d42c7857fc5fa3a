"""Keys by role: private ones in files only their owner can read, public ones in a trust record.

Roles: `gate` signs clearances and decisions, `trainer` signs runs, `card` signs bundles (all ECDSA
P-256, which DSSE and Sigstore tools read); `log` signs ledger checkpoints (Ed25519, as C2SP asks).

Does not see: who holds a file. Roles separate duties only when their files lie on machines of
different people; in one workspace they show which duty acted.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.signer import CryptoSigner, SSlibKey

from governance.canon import canonical, write_whole
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.records import json_object

Role = Literal["gate", "trainer", "card", "log"]
ROLES: tuple[Role, ...] = get_args(Role)
SCHEMES = {"gate": "ecdsa", "trainer": "ecdsa", "card": "ecdsa", "log": "ed25519"}
TRUST_FILE = "trust.json"


@dataclass(frozen=True, slots=True)
class Trust:
    """Which public keys speak for which role. An outsider pins this record."""

    keys: Mapping[str, tuple[SSlibKey, ...]]

    def of(self, role: Role) -> list[SSlibKey]:
        """Return the keys of a role. Raises EvidenceMissing when the role has none."""
        found = list(self.keys.get(role, ()))
        if not found:
            raise EvidenceMissing(f"The trust record names no key for the role {role}; add one.")
        return found

    def to_bytes(self) -> bytes:
        """Return the record as canonical JSON: role, key id, key."""
        return canonical(
            {role: {k.keyid: k.to_dict() for k in keys} for role, keys in self.keys.items()}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a trust record. Raises Tampered when it is not one."""
        record = json_object(data, "a trust record")
        try:
            return cls(
                {
                    role: tuple(SSlibKey.from_dict(keyid, key) for keyid, key in keys.items())
                    for role, keys in record.items()
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise Tampered(f"The trust record is not one we can read: {fault}.") from None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The private keys of one workspace, made on first use."""

    folder: Path

    def signer(self, role: Role) -> CryptoSigner:
        """Return the signer of a role, making its key when there is none yet.

        Raises:
            Refused: others may read the key file.
            Tampered: the file holds no private key of this role's kind.
        """
        path = self.folder / f"{role}.pem"
        if not path.exists():
            _make_key(path, SCHEMES[role])
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise Refused(
                f"The {role} key can be read by others (mode {mode:04o}; 0600 is allowed). "
                "Make a new key, or chmod 600 it if nobody else ever read it."
            )
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except ValueError:
            raise Tampered(f"The {role} key file holds no private key; restore it.") from None
        wanted = ed25519.Ed25519PrivateKey if role == "log" else ec.EllipticCurvePrivateKey
        if not isinstance(private, wanted):
            raise Tampered(f"The {role} key file holds a key of another kind; restore it.")
        return CryptoSigner(private)

    def trust(self) -> Trust:
        """Return the workspace's trust record, writing it when there is none yet."""
        path = self.folder / TRUST_FILE
        if not path.exists():
            made = Trust({role: (self.signer(role).public_key,) for role in ROLES})
            write_whole(path, made.to_bytes())
        return Trust.from_bytes(path.read_bytes())


def _make_key(path: Path, scheme: str) -> None:
    """Write a new private key that never exists with a wider mode than 0600."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = CryptoSigner.generate_ed25519() if scheme == "ed25519" else CryptoSigner.generate_ecdsa()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(made.private_bytes)
        stream.flush()
        os.fsync(stream.fileno())
