"""C2SP signed notes, as checkpoints of a log: origin, size, root, and lines of signatures.

A log signs the text (Ed25519, type 0x01; ECDSA, 0x02, is read as well: Sigstore's log and some key
services have nothing else). A witness adds a `cosignature/v1` (0x04), which carries its time. A
line of a key that nobody asked about is ignored; a bad line of a key that is trusted spoils the
note; whatever is no note at all is refused whole.

A key is known by its bytes, under whatever name a line gives it: no signature here covers a name.

Source: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature. Does not see:
whether two checkpoints agree; that takes a consistency proof, and a witness who asks for one.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature, Signer, SSlibKey

from governance.errors import Tampered, UsageError
from governance.trail.merkle import EMPTY_ROOT, HASH_BYTES

ED25519, ECDSA, COSIGNATURE = 0x01, 0x02, 0x04  # the type bytes of c2sp.org/signed-note
DASH = "\u2014"
HINT_BYTES = 4
TIME_BYTES = 8
MAX_NOTE_BYTES, MAX_LINES = 1_000_000, 100  # what Go's x/mod/sumdb/note reads; 16 are due
MAX_SIZE = 2**63 - 1
MAX_TIME = 253_402_300_799  # the last second a date can be written of; later ones are no times
NUMBER = re.compile("0|[1-9][0-9]{0,18}")
CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")  # all below a space but the newline
NAME = re.compile(r"[^\s+]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A statement about a log: at this size it had this root (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()  # lines other logs add; ours has none

    def text(self) -> str:
        """Return the text that is signed, ending in a newline."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode())
        return "".join(f"{line}\n" for line in (*lines, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a checkpoint's text. Raises Tampered when it is not one."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):  # noqa: PLR2004  three, and the end
            raise Tampered("A checkpoint is three lines or more, none empty: origin, size, root.")
        origin, size, root, *extensions = lines
        found = cls(
            origin=origin, size=number(size), root=unbase64(root), extensions=tuple(extensions)
        )
        if len(found.root) != HASH_BYTES or (found.size == 0 and found.root != EMPTY_ROOT):
            raise Tampered(f"The root of the checkpoint of size {size} is not one it can have.")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One signature line: who says to have signed, which key by four bytes, and what was signed."""

    name: str
    hint: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line without its newline. Raises Tampered when it is not one."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != DASH or not NAME.fullmatch(parts[1]):  # noqa: PLR2004
            raise Tampered("A signature line of a note reads: dash, name of the key, base64.")
        blob = unbase64(parts[2])
        if len(blob) <= HINT_BYTES:
            raise Tampered("A signature line of a note is too short to hold a signature.")
        return cls(name=parts[1], hint=blob[:HINT_BYTES], signature=blob[HINT_BYTES:])

    def text(self) -> str:
        """Return the line, without its newline."""
        return f"{DASH} {self.name} {base64.b64encode(self.hint + self.signature).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedNote:
    """A text and the lines under it. Nothing in it was verified."""

    body: str
    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, note: str | bytes) -> Self:
        """Read a note. Raises Tampered when a rule of c2sp.org/signed-note is broken."""
        text = decoded(note, "A note")
        body, blank, under = text.rpartition("\n\n")
        lines = under.split("\n")
        if not blank or lines.pop() or not 0 < len(lines) <= MAX_LINES:
            raise Tampered(
                "A note is a text, an empty line, and one signature line or more "
                f"(at most {MAX_LINES}), each with its newline."
            )
        return cls(body=f"{body}\n", lines=tuple(Line.parse(line) for line in lines))

    def text(self) -> str:
        """Return the note as it is written down."""
        return f"{self.body}\n" + "".join(f"{line.text()}\n" for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key as C2SP tools are told of it: `name+hint+base64(type, key)`, called a vkey."""

    name: str
    kind: int
    key: SSlibKey

    def text(self) -> str:
        """Return the vkey. Raises UsageError when the name has a space or a plus in it."""
        checked_name(self.name)
        public = base64.b64encode(bytes([self.kind]) + public_bytes(self.key)).decode()
        return f"{self.name}+{_hint(self.name, self.key, self.kind).hex()}+{public}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the vkey of an Ed25519 key. Raises UsageError when it is not one."""
        name, _, rest = text.strip().partition("+")
        hint, _, encoded = rest.partition("+")
        try:
            kind, *raw = unbase64(encoded)
            public = Ed25519PublicKey.from_public_bytes(bytes(raw))
        except (ValueError, Tampered):
            raise UsageError(f"{text[:80]!r} is no vkey (name+hint+base64) of Ed25519.") from None
        found = cls(name=name, kind=kind, key=SSlibKey.from_crypto(public))
        if kind not in {ED25519, COSIGNATURE} or found.text().split("+")[1] != hint:
            raise UsageError(f"The vkey of {name!r} has hint {hint!r}, which is not its key's.")
        return found


def log_vkey(origin: str, key: SSlibKey) -> str:
    """Return the vkey of a log's key, whose name is the origin."""
    return VerifierKey(name=origin, kind=_kind(key), key=key).text()


def witness_vkey(name: str, key: SSlibKey) -> str:
    """Return the vkey of a witness."""
    return VerifierKey(name=name, kind=COSIGNATURE, key=key).text()


def sign_note(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the signed note of a checkpoint; the key's name is the origin.

    Raises:
        UsageError: the origin has a space or a plus in it.
    """
    body, key = checkpoint.text(), _public(signer)
    line = Line(
        name=checked_name(checkpoint.origin),
        hint=_hint(checkpoint.origin, key, _kind(key)),
        signature=bytes.fromhex(signer.sign(body.encode()).signature),
    )
    return SignedNote(body=body, lines=(line,)).text()


def open_note(
    note: str | bytes, keys: Sequence[SSlibKey], *, origin: str | None = None
) -> Checkpoint:
    """Return the checkpoint in a note that one of the keys signed.

    Args:
        note: as read; bytes are taken as UTF-8.
        keys: of the log.
        origin: of the log whose checkpoint it must be; None takes any that the keys signed.

    Raises:
        Tampered: it is no note, no line is a good signature of a key given, a line of such a key
            is a bad one, or it is of another log.
    """
    if not signers(note, keys):
        raise Tampered("A ledger checkpoint carries no signature of a log key that is trusted.")
    checkpoint = unverified(note)
    if origin not in {None, checkpoint.origin}:
        raise Tampered(f"This is a checkpoint of {checkpoint.origin}; one of {origin} is wanted.")
    return checkpoint


def signers(note: str | bytes, keys: Sequence[SSlibKey]) -> list[SSlibKey]:
    """Return which of the keys signed a note, each once.

    Raises:
        Tampered: it is no note, or a line of one of the keys is a bad one.
    """
    signed = SignedNote.parse(note)
    found = {key.keyid for line in signed.lines for key in keys if _signed(signed.body, line, key)}
    return [key for key in keys if key.keyid in found]


def unverified(note: str | bytes) -> Checkpoint:
    """Return the checkpoint in a note nobody verified: what it says it is. Raises Tampered."""
    return Checkpoint.parse(SignedNote.parse(note).body)


def cosignature(note: str, signer: Signer, *, name: str, at: int) -> str:
    """Return the line, without newline, in which a witness says it saw the log grow to this.

    Args:
        note: the checkpoint with the log's signature. It is not verified here: `witness.cosign` is.
        signer: of the witness, Ed25519.
        name: of the witness's key.
        at: POSIX time, seconds.

    Raises:
        UsageError: the name has a space or a plus in it.
    """
    body, key = SignedNote.parse(note).body, _public(signer)
    signature = bytes.fromhex(signer.sign(_cosigned(body, at)).signature)
    return Line(
        name=checked_name(name),
        hint=_hint(name, key, COSIGNATURE),
        signature=at.to_bytes(TIME_BYTES, "big") + signature,
    ).text()


def cosigners(note: str | bytes, keys: Sequence[SSlibKey]) -> list[tuple[SSlibKey, int]]:
    """Return which of the keys cosigned a note, each once, with its earliest POSIX time.

    Raises:
        Tampered: it is no note, or a line of one of the keys is a bad one.
    """
    signed = SignedNote.parse(note)
    times: dict[str, int] = {}
    for line in signed.lines:
        for key in keys:
            if _hint(line.name, key, COSIGNATURE) == line.hint:
                at = _cosigned_at(signed.body, line, key)
                times[key.keyid] = min(at, times.get(key.keyid, at))
    return [(key, times[key.keyid]) for key in keys if key.keyid in times]


def with_lines(note: str, lines: Sequence[str]) -> str:
    """Return a note with more signature lines under it, each once."""
    signed = SignedNote.parse(note)
    more = dict.fromkeys((*signed.lines, *map(Line.parse, lines)))
    return SignedNote(body=signed.body, lines=tuple(more)).text()


def decoded(data: str | bytes, what: str) -> str:
    """Return the text of a note or a proof, as read.

    Raises:
        Tampered: it is longer than we read, not UTF-8, or holds control characters.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        size_bytes = len(text.encode())
    except UnicodeError:
        raise Tampered(f"{what} is UTF-8; this is not.") from None
    if size_bytes > MAX_NOTE_BYTES or CONTROL.search(text):
        raise Tampered(f"{what} has at most {MAX_NOTE_BYTES} bytes and no control characters.")
    return text


def number(text: str) -> int:
    """Return a size or an index written in digits. Raises Tampered when it is written otherwise."""
    if not NUMBER.fullmatch(text) or int(text) > MAX_SIZE:
        raise Tampered(f"{text[:40]!r} is no number as a checkpoint writes it: digits, no sign.")
    return int(text)


def unbase64(text: str) -> bytes:
    """Return the bytes of standard base64 written the one right way. Raises Tampered."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:  # no spare bits, no missing padding
        raise Tampered(f"{text[:40]!r} is not standard base64; restore the note.")
    return data


def checked_name(name: str) -> str:
    """Return the name of a key. Raises UsageError when a note cannot carry it."""
    if not NAME.fullmatch(name) or CONTROL.search(name):
        raise UsageError(
            f"{name!r} cannot name a key in a note: spaces and plus signs are not allowed. "
            "An address without its scheme is usual, for example dpo.example/witness."
        )
    return name


def public_bytes(key: SSlibKey) -> bytes:
    """Return a key as notes encode it: 32 bytes of Ed25519, or the DER of an ECDSA key."""
    if _kind(key) == ED25519:
        return bytes.fromhex(key.keyval["public"])
    loaded = load_pem_public_key(key.keyval["public"].encode())
    return loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public(signer: Signer) -> SSlibKey:
    key = signer.public_key
    if not isinstance(key, SSlibKey):
        raise UsageError("Notes are signed with Ed25519, or with ECDSA where that cannot be had.")
    return key


def _kind(key: SSlibKey) -> int:
    return ED25519 if key.keytype == "ed25519" else ECDSA


def _hint(name: str, key: SSlibKey, kind: int) -> bytes:
    """Return the four bytes that tell keys apart. Source: c2sp.org/signed-note, Signatures."""
    if kind == ECDSA:
        return hashlib.sha256(public_bytes(key)).digest()[:HINT_BYTES]
    named = name.encode() + b"\n" + bytes([kind]) + public_bytes(key)
    return hashlib.sha256(named).digest()[:HINT_BYTES]


def _signed(body: str, line: Line, key: SSlibKey) -> bool:
    """Say whether a line is of this key, having verified it if so. Raises Tampered."""
    if _hint(line.name, key, _kind(key)) != line.hint:
        return False
    _verify(key, line.signature, body.encode())
    return True


def _cosigned_at(body: str, line: Line, key: SSlibKey) -> int:
    """Return the POSIX time of a cosignature, having verified it. Raises Tampered."""
    at = int.from_bytes(line.signature[:TIME_BYTES], "big")
    if at > MAX_TIME:
        raise Tampered(f"The cosignature of {line.name} has no time that can be read.")
    _verify(key, line.signature[TIME_BYTES:], _cosigned(body, at))
    return at


def _cosigned(body: str, at: int) -> bytes:
    """Return what a witness signs. Source: c2sp.org/tlog-cosignature, Ed25519 signed message."""
    return f"cosignature/v1\ntime {at}\n{body}".encode()


def _verify(key: SSlibKey, signature: bytes, message: bytes) -> None:
    try:
        key.verify_signature(Signature(key.keyid, signature.hex()), message)
    except UnverifiedSignatureError:
        raise Tampered(
            f"A signature line of the key {key.keyid[:12]} is not a signature of this checkpoint."
        ) from None
