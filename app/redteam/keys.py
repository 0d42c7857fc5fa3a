"""Attacks with keys: stolen, rotated, revoked, borrowed from the past, and too few witnesses.

Does not see: a stolen root key; `limits` says so.
"""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from app.redteam.attack import Attack, Victim
from app.redteam.scratch import Scratch
from governance.errors import Refused, Tampered
from governance.signers import roles
from governance.signers.keys import TRUST_FILE, Keyring, make_key
from governance.signers.trust import TrustedKey
from governance.statements import signed_by

COUNTS: Final = "a key counts for its one role, until it is rotated, and never once it is revoked"
SEEN: Final = "in production nothing trains before enough witnesses have seen the clearance"
FOLLOWS: Final = "a trust file follows from the one that was seen before"
GATE = "gate.pem"


def _rotated(scratch: Scratch) -> Victim:
    """Use what the gate's key signed before it was given up."""
    envelope = scratch.ask()
    roles.rotate(scratch.workspace, "gate")
    return partial(scratch.train, envelope)


def _revoked_meanwhile(scratch: Scratch) -> Victim:
    """Go on under a clearance whose gate key is revoked while the run is under way."""
    envelope, workspace = scratch.ask(), scratch.workspace

    def stolen(step: int) -> None:
        if step == 1:
            roles.rotate(workspace, "gate")
            roles.revoke(workspace, signed_by(envelope))

    return partial(scratch.train, envelope, at_step=stolen)


def _unwitnessed(scratch: Scratch) -> Victim:
    _in_production(scratch, 1)
    return scratch.train


def _one_witness_twice(scratch: Scratch) -> Victim:
    """Give one witness two keys where two witnesses are asked for."""
    from app.cosigning import cosigned  # noqa: PLC0415  heavy

    _in_production(scratch, 2)
    keys = [_people(scratch) / name for name in ("witness-1-witness.pem", "again.pem")]
    public = make_key(keys[1], "witness")
    roles.trust_key(scratch.workspace, role="witness", person="witness-1", public=public)
    envelope = scratch.ask()
    for key in keys:
        cosigned(scratch.workspace, key, scratch.folder / key.stem, ())
    return partial(scratch.train, envelope)


def _old_trust(scratch: Scratch) -> Victim:
    """Put the trust file back in which a revoked key counts, and that key."""
    workspace, old, stolen = scratch.workspace, scratch.trust, scratch.folder / GATE
    shutil.copy2(scratch.keyring.pem("gate"), stolen)
    roles.rotate(workspace, "gate")
    roles.revoke(workspace, old.of("gate")[0].keyid)
    workspace.memory.remember(workspace.ledger, scratch.trust)
    (scratch.keyring.folder / TRUST_FILE).write_bytes(old.data)
    shutil.copy2(stolen, scratch.keyring.pem("gate"))
    return scratch.train


def _strangers_trust(scratch: Scratch) -> Victim:
    """Put the trust file and the keys of another house in place."""
    other = Keyring(scratch.folder / "stranger")
    other.trust()
    shutil.copytree(other.folder, scratch.keyring.folder, dirs_exist_ok=True)
    return scratch.train


def _two_trusts(scratch: Scratch) -> Victim:
    """Sign another trust file of the version that is known, with a gate key of one's own."""
    public = make_key(scratch.folder / GATE, "gate")
    shutil.copyfile(scratch.folder / GATE, scratch.keyring.pem("gate"))
    ours = TrustedKey(role="gate", public=public)
    kept = tuple(key for key in scratch.trust.keys if key.role != "gate")
    other = replace(scratch.trust, keys=(*kept, ours)).signed(scratch.keyring.signer("root"))
    (scratch.keyring.folder / TRUST_FILE).write_bytes(other.data)
    return scratch.train


def _readable(scratch: Scratch) -> Victim:
    scratch.keyring.pem("gate").chmod(0o644)
    return scratch.train


def _other_key(scratch: Scratch) -> Victim:
    """Put a key of one's own where the gate's lies."""
    make_key(scratch.folder / GATE, "gate")
    shutil.copyfile(scratch.folder / GATE, scratch.keyring.pem("gate"))
    return scratch.train


def _people(scratch: Scratch) -> Path:
    return scratch.keyring.folder / "people"


def _in_production(scratch: Scratch, witnesses: int) -> None:
    for number in range(witnesses):
        scratch.keyring.enrol("witness", f"witness-{number + 1}")
    roles.require_witnesses(scratch.workspace, witnesses)


_key = partial(Attack, threat="revoked clearance or key", holds=COUNTS, error=Refused)
_witness = partial(Attack, threat="unwitnessed ledger", holds=SEEN, error=Refused)
_trust = partial(Attack, threat="old or forged trust file", holds=FOLLOWS, error=Tampered)

ATTACKS: Final = (
    _key(
        name="a clearance is used whose gate key was rotated", act=_rotated, check="clearance (1)"
    ),
    _key(
        name="a run goes on after its gate key was revoked", act=_revoked_meanwhile,
        check="clearance (7)",
    ),
    _key(name="the gate's key file is opened to others", act=_readable, check="read by others"),
    _key(
        name="another key is put where the gate's lies", act=_other_key,
        check="not the one that the trust file names",
    ),
    _witness(
        name="a run is started that no witness has seen", act=_unwitnessed,
        check="carries cosignatures of 0 witness(es)",
    ),
    _witness(
        name="one witness signs twice, with two keys", act=_one_witness_twice,
        check="carries cosignatures of 1 witness(es)",
    ),
    _trust(
        name="the trust file from before a revocation is put back", act=_old_trust,
        check="memory (1)",
    ),
    _trust(
        name="the trust file and keys of a stranger are put in place", act=_strangers_trust,
        check="memory (1): The trust file is not signed",
    ),
    _trust(
        name="a second trust file of the same version is signed", act=_two_trusts,
        check="memory (1): There are two trust files",
    ),
)  # fmt: skip
