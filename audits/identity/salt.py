"""The salt of a workspace: with it, values seen twice are told apart from values seen once.

A digest of a telephone number alone hides nothing: all numbers can be tried in an hour. Under 32
secret bytes they cannot, and once the file is erased no digest can be tied to a value again.

Does not see: who copied the file. Whoever has the salt can try values.
"""

import hmac
import secrets
from pathlib import Path

from governance.canon import check_private, write_whole
from governance.errors import Tampered

SALT_BYTES = 32
DIGEST_DIGITS = 32  # 128 bits, half of the tag. Source: RFC 2104, section 5


def salt_at(path: Path) -> bytes:
    """Return the salt kept at a path, making it on first use; only its owner can read it.

    Raises:
        Refused: others may read the file.
        Tampered: it does not hold 32 bytes.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, secrets.token_bytes(SALT_BYTES), mode=0o600)
    check_private(
        path,
        what="The salt of the personal data audit",
        otherwise="Erase the file: a new one is made, and old digests match nothing any more.",
    )
    salt = path.read_bytes()
    if len(salt) != SALT_BYTES:
        raise Tampered(
            f"The salt of the personal data audit has {len(salt)} bytes; {SALT_BYTES} were "
            "written. Erase the file to begin anew."
        )
    return salt


def salted(salt: bytes, kind: str, value: str) -> str:
    """Return the digest of a value under a salt, as `kind:hex`. Source: RFC 2104, HMAC-SHA-256."""
    tag = hmac.digest(salt, f"{kind}:{value}".encode(), "sha256")
    return f"{kind}:{tag.hex()[:DIGEST_DIGITS]}"
