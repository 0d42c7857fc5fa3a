"""C2SP signed notes, as a ledger checkpoint: origin, size, root, and an Ed25519 signature line.

Source: c2sp.org/signed-note and c2sp.org/tlog-checkpoint. Does not see: whether two checkpoints
agree; that takes a consistency proof.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from governance.errors import Tampered

ED25519 = b"\x01"  # the signature type byte of c2sp.org/signed-note
DASH = "\u2014"
HINT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A statement about a log: at this size it had this root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed, ending in a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a checkpoint's text. Raises Tampered when it is not one."""
        try:
            origin, size, root = text.split("\n")[:3]
            return cls(origin=origin, size=int(size), root=base64.b64decode(root, validate=True))
        except ValueError:
            raise Tampered("A checkpoint does not read: origin, size, root.") from None


def sign_note(checkpoint: Checkpoint, signer: CryptoSigner) -> str:
    """Return the signed note of a checkpoint; the key's name is the origin."""
    text = checkpoint.text()
    signature = bytes.fromhex(signer.sign(text.encode()).signature)
    line = base64.b64encode(_hint(checkpoint.origin, signer.public_key) + signature).decode()
    return f"{text}\n{DASH} {checkpoint.origin} {line}\n"


def open_note(note: str, keys: Sequence[SSlibKey]) -> Checkpoint:
    """Return the checkpoint in a note that one of the keys signed.

    Raises:
        Tampered: no line is a good signature of a key given.
    """
    text, separator, lines = note.partition("\n\n")
    text += "\n"
    for line in lines.splitlines() if separator else ():
        parts = line.split(" ")
        for key in keys:
            if _signed(text, parts, key):
                return Checkpoint.parse(text)
    raise Tampered("A ledger checkpoint carries no signature of a log key that is trusted.")


def _signed(text: str, parts: Sequence[str], key: SSlibKey) -> bool:
    try:
        dash, name, encoded = parts
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:  # not three words, or not base64
        return False
    if dash != DASH or blob[:HINT_BYTES] != _hint(name, key):
        return False
    try:
        key.verify_signature(Signature(key.keyid, blob[HINT_BYTES:].hex()), text.encode())
    except UnverifiedSignatureError:
        return False
    return True


def _hint(name: str, key: SSlibKey) -> bytes:
    """Return the four bytes that tell keys apart. Source: c2sp.org/signed-note, Signatures."""
    public = bytes.fromhex(key.keyval["public"])
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:HINT_BYTES]
