"""Encrypted pictures: each under its own key, in a table that only the keeper of the keys reads.

A picture is AES-256-GCM ciphertext under a random key of its own, bound to the SHA-256 of its plain
bytes as associated data; copies of one picture share their key. Who lacks a key cannot read the
picture: handing keys out is permission to read (`release`), deleting one is erasure.

Does not see: what else is known of a sample. Captions and all other columns of the manifest,
digests and sizes stay readable, and whoever has a picture can tell by its digest that it is in a
snapshot. The source that was ingested stays as it was, where it was.
"""

import fcntl
import operator
import os
import secrets
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from governance.canon import check_private, flush_folder, sha256, write_whole
from governance.errors import EvidenceMissing, Refused, Tampered

SCHEMA: Final = b"pramana.keys/v1\n"
KEY_BYTES, NONCE_BYTES, DIGEST_BYTES = 32, 12, 32  # AES-256; NIST SP 800-38D 8.2.2; SHA-256
RECORD_BYTES = DIGEST_BYTES + KEY_BYTES
ERASED: Final = (
    "its key was erased, so nobody can read it again. Withdraw the sample (`pramana withdraw`) and "
    "audit again: a new decision leaves it out."
)


def encrypt(image: bytes, *, key: bytes, digest: str, nonce: bytes) -> bytes:
    """Return nonce, ciphertext and tag of one picture. Source: NIST SP 800-38D.

    Args:
        image: its plain bytes.
        key: 32 random bytes.
        digest: the SHA-256 of the plain bytes, to which the ciphertext is bound.
        nonce: 12 random bytes, for copies of a picture share a key.
    """
    return nonce + AESGCM(key).encrypt(nonce, image, bytes.fromhex(digest))


def decrypt(cell: bytes, *, key: bytes, digest: str) -> bytes:
    """Return the plain bytes of a picture. Raises Tampered unless cell, key and digest agree."""
    nonce, ciphertext = cell[:NONCE_BYTES], memoryview(cell)[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bytes.fromhex(digest))
    except (InvalidTag, ValueError):  # a cell cut to less than a nonce is a ValueError
        raise Tampered(
            f"The ciphertext of sample {digest[:12]} was altered, cut, moved or made with another "
            "key. Restore the shard and the keys that belong to it."
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataKeys:
    """Keys of pictures of one snapshot; they are never printed.

    `records` holds digest and key of each picture, 64 bytes, ascending. `absent` ends the sentence
    that says why a picture of the snapshot has no key here.
    """

    snapshot: str
    records: bytes
    absent: str = ERASED

    @classmethod
    def of(cls, snapshot: str, keys: Mapping[bytes, bytes]) -> Self:
        """Return the keys of a snapshot, given by the binary digest of their picture."""
        return cls(snapshot=snapshot, records=b"".join(d + keys[d] for d in sorted(keys)))

    def __len__(self) -> int:
        return len(self.records) // RECORD_BYTES

    def digests(self) -> list[str]:
        """Return the digests of the pictures that have a key here, ascending."""
        return [self._digest(place).hex() for place in range(len(self))]

    def key(self, digest: str) -> bytes:
        """Return the key of a picture. Raises EvidenceMissing when it has none here."""
        found = self._record(bytes.fromhex(digest))
        if not found:
            raise EvidenceMissing(f"Sample {digest[:12]} cannot be read: {self.absent}")
        return found[DIGEST_BYTES:]

    def only(self, digests: Iterable[str]) -> Self:
        """Return the keys of these pictures, of those that have one here."""
        wanted = sorted({bytes.fromhex(digest) for digest in digests})
        return replace(self, records=b"".join(map(self._record, wanted)))

    def without(self, digests: Collection[str]) -> Self:
        """Return all keys but those of these pictures."""
        gone = {bytes.fromhex(digest) for digest in digests}
        places = (place for place in range(len(self)) if self._digest(place) not in gone)
        return replace(self, records=b"".join(map(self._at, places)))

    def to_bytes(self) -> bytes:
        """Return the table as bytes: schema, root, records, and the SHA-256 of all before it."""
        body = SCHEMA + bytes.fromhex(self.snapshot) + self.records
        return body + bytes.fromhex(sha256(body))

    @classmethod
    def from_bytes(cls, data: bytes, *, absent: str = ERASED) -> Self:
        """Read a table. Raises Tampered when it is not one, was cut or is out of order."""
        body, end = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        start = len(SCHEMA) + DIGEST_BYTES
        root, records = body[len(SCHEMA) : start], body[start:]
        whole = body.startswith(SCHEMA) and len(root) == DIGEST_BYTES
        if not whole or len(records) % RECORD_BYTES or bytes.fromhex(sha256(body)) != end:
            raise Tampered("This is no table of data keys, or it was cut or edited; restore it.")
        read = cls(snapshot=root.hex(), records=records, absent=absent)
        digests = [read._digest(place) for place in range(len(read))]
        if any(map(operator.ge, digests, digests[1:])):
            raise Tampered("A table of data keys is out of order; restore it.")
        return read

    def _digest(self, place: int) -> bytes:
        return self._at(place)[:DIGEST_BYTES]

    def _record(self, digest: bytes) -> bytes:
        """Return digest and key of a picture, b'' where it has none."""
        place = bisect_left(range(len(self)), digest, key=self._digest)
        found = self._at(place)
        return found if found[:DIGEST_BYTES] == digest else b""

    def _at(self, place: int) -> bytes:
        return self.records[place * RECORD_BYTES : (place + 1) * RECORD_BYTES]


@dataclass(slots=True, repr=False)
class NewKeys:
    """The keys of a snapshot that is being made: a new one for each picture, not for its copies."""

    folder: Path  # of the keeper's tables
    random: Callable[[int], bytes] = secrets.token_bytes
    _keys: dict[bytes, bytes] = field(default_factory=dict)

    def encrypted(self, image: bytes) -> bytes:
        """Return a picture as its cell in an encrypted shard."""
        digest = sha256(image)
        key = self._keys.setdefault(bytes.fromhex(digest), self.random(KEY_BYTES))
        return encrypt(image, key=key, digest=digest, nonce=self.random(NONCE_BYTES))

    @contextmanager
    def kept(self, root: str) -> Iterator[None]:
        """Keep the keys around the moment in which the snapshot appears.

        Before it they are durable under another name; after it they are the snapshot's. Whoever
        is killed between leaves a snapshot whose keys `read_keys` finds.

        Raises:
            Refused: there are keys of this snapshot already, while the snapshot is not there.
        """
        path = _table(self.folder, root)
        if path.exists():
            raise Refused(
                f"{path.name} holds keys of a snapshot that is not here. Put its folder back, or "
                "delete the keys, which erases whatever copies of its shards there are."
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = DataKeys.of(root, self._keys).to_bytes()
        write_whole(_new(path), data, mode=0o600)
        yield
        _take_over(path)


def read_keys(folder: Path, root: str) -> DataKeys:
    """Return all keys of a snapshot, for its keeper.

    Raises:
        EvidenceMissing: the table is gone.
        Refused: others may read it.
        Tampered: it is not the table that was written for this snapshot.
    """
    with locked(folder, fcntl.LOCK_SH):
        return _read(folder, root)


def _read(folder: Path, root: str) -> DataKeys:
    path = _table(folder, root)
    if not path.exists() and _new(path).exists():
        _take_over(path)
    if not path.is_file():
        raise EvidenceMissing(
            f"The keys of snapshot {root[:12]} ({path.name}) are not here, so none of its pictures "
            "can be read. Ask their keeper, or restore the file."
        )
    check_private(
        path,
        what=f"The data keys {path.name}",
        otherwise="chmod 600 them if nobody else ever did; else audit the source into a new "
        "workspace.",
    )
    keys = DataKeys.from_bytes(path.read_bytes())
    if keys.snapshot != root:
        raise Tampered(f"{path.name} holds the keys of snapshot {keys.snapshot[:12]}; restore it.")
    return keys


def erase_keys(folder: Path, root: str, digests: Collection[str]) -> int:
    """Take keys out of a snapshot's table, whole or not at all; return how many were there.

    The file that held them is overwritten in place before it is given back to the file system.
    A copy-on-write or log-structured file system, a journal, flash memory, a snapshot of the disk
    or a backup may still hold the old blocks: whoever keeps backups has to erase there, too.

    Raises:
        EvidenceMissing, Refused, Tampered: the table cannot be read.
    """
    with locked(folder, fcntl.LOCK_EX):
        keys = _read(folder, root)
        left = keys.without(digests)
        if len(left) < len(keys):
            path = _table(folder, root)
            with path.open("r+b") as old:  # keeps the old blocks reachable past the rename
                write_whole(path, left.to_bytes(), mode=0o600)
                old.write(bytes(len(keys.to_bytes())))
                old.flush()
                os.fsync(old.fileno())
        return len(keys) - len(left)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold off others: two erasures at once could bring back what one of them took out."""
    if not folder.is_dir():
        yield  # there is no table; reading says so
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _table(folder: Path, root: str) -> Path:
    return folder / f"{root}.keys"


def _new(path: Path) -> Path:
    return path.with_suffix(".keys.new")


def _take_over(path: Path) -> None:
    os.replace(_new(path), path)  # noqa: PTH105  named in the house style
    flush_folder(path.parent)
