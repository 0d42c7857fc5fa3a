"""Private keys by role, in files only their owner can read, or behind a URI where a KMS holds them.

Duties of the house: `root` signs the trust file, `auditor` what was measured, `gate` decisions and
clearances, `trainer` runs, `card` bundles (all ECDSA P-256, which DSSE and Sigstore tools read);
`log` signs ledger checkpoints (Ed25519, as C2SP asks). People (`dpo`, `legal`, ...) sign waivers
with P-256, witnesses cosign checkpoints with Ed25519.

Does not see: who holds a file. Roles separate duties only when their keys lie with different
people; in one workspace they show which duty acted.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey

from governance.canon import check_private, write_whole
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.signers.trust import HOUSE, NOTES, TRUST_FILE, Trust, TrustedKey

__all__ = ["HOUSE", "TRUST_FILE", "Keyring", "Trust", "TrustedKey", "make_key", "signer_at"]

ORIGIN = "pramana.local/ledger"  # followed by the beginning of the first log key's id


@dataclass(frozen=True, slots=True)
class Keyring:
    """The private keys that one workspace holds, and its trust file; made on first use."""

    folder: Path

    def signer(self, role: str) -> Signer:
        """Return the signer of a duty of the house.

        A file `<role>.uri` names a key that a KMS or an HSM holds, in the words of
        securesystemslib (`gcpkms:`, `awskms:`, `hsm:`, ...); else the key lies in `<role>.pem`.

        Raises:
            EvidenceMissing: the private key is not here.
            Refused: others may read its file, or it is not the one the trust file names.
            Tampered: the file holds no private key of this role's kind.
        """
        trusted = self.trust().of(role)
        uri = self.folder / f"{role}.uri"
        if uri.is_file():
            return _behind(uri.read_text().strip(), role, trusted[-1])
        signer = signer_at(self.pem(role), role)
        if signer.public_key not in trusted:
            raise Refused(
                f"The {role} key here is not the one that the trust file names. Restore the "
                f"right one, or make a new one known: `pramana keys rotate {role}`."
            )
        return signer

    def pem(self, role: str) -> Path:
        """Return where the private key of a duty lies."""
        return self.folder / f"{role}.pem"

    def trust(self) -> Trust:
        """Return the trust file of the workspace, made with all keys of the house on first use.

        Raises:
            Tampered, Refused: it is not one that its root key signed.
        """
        path = self.folder / TRUST_FILE
        if not path.exists():
            with self._alone():
                if not path.exists():
                    self._begin()
        return Trust.from_bytes(path.read_bytes())

    def write(self, trust: Trust) -> Trust:
        """Sign a new version of the trust file with the root key, and put it in place."""
        signed = trust.signed(self.signer("root"))
        Trust.from_bytes(signed.data, pinned=self.trust())
        write_whole(self.folder / TRUST_FILE, signed.data)
        return signed

    def enrol(self, role: str, person: str) -> tuple[TrustedKey, Path]:
        """Make a key for a person, trust it for one role, and return it with its file.

        Raises:
            Refused: this person has a key file of this role already.
        """
        path = self.folder / "people" / f"{person}-{role}.pem"
        key = TrustedKey(role=role, person=person, public=make_key(path, role))
        self.write(self.trust().with_key(key))
        return key, path

    def _begin(self) -> None:
        """Make the keys of the house, and last the trust file that names them."""
        for role in HOUSE:
            if not self.pem(role).exists():
                make_key(self.pem(role), role)
        signers = {role: signer_at(self.pem(role), role) for role in HOUSE}
        origin = f"{ORIGIN}/{signers['log'].public_key.keyid[:16]}"
        keys = tuple(TrustedKey(role=r, public=_public(s)) for r, s in signers.items())
        made = Trust(version=1, origin=origin, witnesses=0, keys=keys).signed(signers["root"])
        write_whole(self.folder / TRUST_FILE, made.data)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def make_key(path: Path, role: str) -> SSlibKey:
    """Write a new private key that never exists with a wider mode than 0600.

    Returns:
        Its public key.

    Raises:
        Refused: the file exists; a key is never written over.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = CryptoSigner.generate_ed25519() if role in NOTES else CryptoSigner.generate_ecdsa()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path.name} exists; a key is never written over. Name another.") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(made.private_bytes)
        stream.flush()
        os.fsync(stream.fileno())
    return _public(made)


def signer_at(path: Path, role: str = "") -> Signer:
    """Return the signer whose private key lies in a file.

    Args:
        path: a PEM file that only its owner can read.
        role: refuse a key of another kind than this role signs with; '' takes either kind.

    Raises:
        EvidenceMissing: there is no such file.
        Refused: others may read it.
        Tampered: it holds no private key, or one of another kind.
    """
    if not path.is_file():
        raise EvidenceMissing(f"The private key {path.name} is not here; ask who holds it to sign.")
    check_private(
        path,
        what=f"The key {path.name}",
        otherwise="Make a new key, or chmod 600 it if nobody else ever read it.",
    )
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise Tampered(
            f"{path.name} holds no private key without a password; restore it."
        ) from None
    wanted = ed25519.Ed25519PrivateKey if role in NOTES else ec.EllipticCurvePrivateKey
    if not isinstance(private, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)) or (
        role and not isinstance(private, wanted)
    ):
        raise Tampered(
            f"{path.name} holds a key of another kind than {role or 'ours'}; restore it."
        )
    return CryptoSigner(private)


def _behind(uri: str, role: str, public: SSlibKey) -> Signer:
    try:
        return Signer.from_priv_key_uri(uri, public)
    except (SigningError, ValueError, OSError) as fault:
        raise EvidenceMissing(
            f"The {role} key that {role}.uri names cannot be reached: {fault}."
        ) from None


def _public(signer: Signer) -> SSlibKey:
    key = signer.public_key
    if not isinstance(key, SSlibKey):
        raise Tampered("A key of a kind we cannot verify with; use ECDSA P-256 or Ed25519.")
    return key
