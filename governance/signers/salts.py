"""Salted tags: how the ledger speaks of a person without naming one.

A tag is HMAC-SHA256 of a name under that name's own random salt. The same name has the same tag
for as long as its salt file is there; erasing the file unlinks the person from the ledger, whose
tree stays whole (DPDP Act s.12(3) and GDPR Art. 17 ask for erasure, an audit trail for permanence).

Does not see: copies of a salt file, or names that stand elsewhere.
"""

import hmac
import os
import secrets
from pathlib import Path

from governance.canon import flush_folder, sha256, write_whole
from governance.errors import EvidenceMissing, Tampered

SALT_BYTES = 32


def tag(folder: Path, name: str) -> str:
    """Return the tag of a name (64 hex digits), making its salt on first use. Raises Tampered."""
    path = _place(folder, name)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, secrets.token_bytes(SALT_BYTES), mode=0o600)
    return _tag_under(path, name)


def known_tag(folder: Path, name: str) -> str | None:
    """Return the tag of a name that has one, or None. Raises Tampered."""
    path = _place(folder, name)
    return _tag_under(path, name) if path.is_file() else None


def forget(folder: Path, name: str) -> None:
    """Erase the salt of a name: from now on nothing ties its tags to it.

    Raises:
        EvidenceMissing: there is no salt of this name; it never had a tag, or was forgotten.
    """
    path = _place(folder, name)
    if not path.is_file():
        raise EvidenceMissing("Nobody of this name has a tag in the ledger here; nothing to erase.")
    length = path.stat().st_size
    path.chmod(0o600)
    with path.open("r+b") as stream:  # a journalling disk may still keep the old block
        stream.write(bytes(length))
        stream.flush()
        os.fsync(stream.fileno())
    path.unlink()
    flush_folder(folder)


def _place(folder: Path, name: str) -> Path:
    return folder / f"{sha256(b'pramana.salt/v1' + name.strip().casefold().encode())[:32]}.salt"


def _tag_under(path: Path, name: str) -> str:
    salt = path.read_bytes()
    if len(salt) != SALT_BYTES:
        raise Tampered("A salt file was altered; restore it, or erase it to unlink the person.")
    return hmac.digest(salt, name.strip().casefold().encode(), "sha256").hex()
