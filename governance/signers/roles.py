"""Who may sign what, and how that changes: keys are trusted, rotated and revoked in the ledger.

The ledger is told first and the trust file is signed after, so a kill between the two is mended by
doing it again. People stand in the ledger as salted tags only.

Does not see: whether somebody kept a copy of a key that was rotated. It stops counting.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

from securesystemslib.signer import SSlibKey

from governance.clearance import KEY_REVOKED
from governance.errors import Refused, UsageError
from governance.signers.keys import make_key, signer_at
from governance.signers.salts import tag
from governance.signers.trust import HOUSE, Trust, TrustedKey
from governance.workspace import Workspace

TRUSTED, ROTATED, IN_USE, PROFILE = "key.trusted", "key.rotated", "key.in-use", "profile.set"
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")


def trust_key(workspace: Workspace, *, role: str, person: str, public: SSlibKey) -> TrustedKey:
    """Trust a public key for one role of a person or organisation.

    Raises:
        UsageError: role or person is no plain lower-case word, or a duty of the house is named.
        Refused: the key has a role already.
    """
    check_words(role, person)
    keyring = workspace.keyring
    key = TrustedKey(role=role, person=person, public=public)
    changed = keyring.trust().with_key(key)
    _tell(workspace, TRUSTED, key)
    keyring.write(changed)
    return key


def check_words(role: str, person: str) -> None:
    """Raise UsageError unless a role and a person are plain words, and no duty of the house."""
    for what, word in (("role", role), ("person", person)):
        if not _WORD.fullmatch(word):
            raise UsageError(
                f"A {what} is named by a lower-case word of letters, digits and hyphens, not "
                f"{word!r}."
            )
    if role in HOUSE:
        raise UsageError(f"{role} is a duty of the house; `pramana keys rotate {role}` renews it.")


def rotate(workspace: Workspace, role: str) -> TrustedKey:
    """Give a duty of the house a new key; the old one counts for what the ledger holds already.

    Raises:
        UsageError: the role is none of the house; a person is given a new key by `keys new`.
        Refused: a KMS holds the key; rotate it there, and trust its public key.
    """
    keyring = workspace.keyring
    if role not in HOUSE:
        raise UsageError(f"{role} is no duty of the house; they are {', '.join(HOUSE)}.")
    if (keyring.folder / f"{role}.uri").is_file():
        raise Refused(f"A KMS holds the {role} key; rotate it there, then replace {role}.uri.")
    old, coming = keyring.trust().of(role)[-1].keyid, keyring.folder / f"{role}.next.pem"
    if coming.is_file() and signer_at(coming).public_key.keyid == old:
        return _in_use(workspace, coming, keyring.trust().holder(old))  # was killed halfway
    coming.unlink(missing_ok=True)
    key = TrustedKey(role=role, public=make_key(coming, role))
    number = _tell(workspace, ROTATED, key, old=old)
    changed = keyring.trust().with_key(key)
    ended = replace(changed.ended(old, number + 1), version=changed.version)
    keyring.write(ended)  # by the old root key, where it is the root that changes
    return _in_use(workspace, coming, key)


def _in_use(workspace: Workspace, coming: Path, key: TrustedKey) -> TrustedKey:
    os.replace(coming, workspace.keyring.pem(key.role))  # noqa: PTH105  the old one is gone
    _tell(workspace, IN_USE, key)  # so that a key in use signed the newest checkpoint
    return key


def revoke(workspace: Workspace, keyid: str) -> TrustedKey:
    """Revoke the one key whose id begins with `keyid`: nothing it ever signed counts.

    Raises:
        UsageError: none or several ids begin so.
        Refused: a duty of the house would be left without a key; rotate it first.
    """
    trust = workspace.keyring.trust()
    found = [key for key in trust.keys if key.id.startswith(keyid) and key.until != 0]
    if len(found) != 1 or len(keyid) < len("01234567"):
        raise UsageError(
            f"{len(found)} keys begin with {keyid!r}; give 8 or more letters of one: "
            "`pramana keys list`."
        )
    key = found[0]
    if key.role in HOUSE and key.until is None:
        raise Refused(f"The {key.role} key is in use; `pramana keys rotate {key.role}` first.")
    _tell(workspace, KEY_REVOKED, key)
    workspace.keyring.write(trust.ended(key.id, 0))
    return key


def require_witnesses(workspace: Workspace, count: int) -> Trust:
    """Set how many witnesses must have cosigned before anything is trained; 0 is the local profile.

    Raises:
        UsageError: the number is negative, or more than the witnesses that are trusted.
    """
    trust = workspace.keyring.trust()
    known = {key.person for key in trust.keys if key.role == "witness" and key.until is None}
    if not 0 <= count <= len(known):
        raise UsageError(
            f"{count} witnesses were asked for; {len(known)} are trusted. Trust a witness first: "
            "`pramana keys trust witness NAME --public FILE`."
        )
    workspace.ledger.append(PROFILE, {"witnesses": count})
    return workspace.keyring.write(replace(trust, version=trust.version + 1, witnesses=count))


def _tell(workspace: Workspace, kind: str, key: TrustedKey, old: str = "") -> int:
    body = {"key": key.id, "role": key.role}
    if key.person:
        body["person"] = tag(workspace.salts, key.person)
    if old:
        body["old"] = old
    return workspace.ledger.append(kind, body).number
