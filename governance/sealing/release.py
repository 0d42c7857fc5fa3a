"""Who may read encrypted pictures: keys released to one trainer under a clearance, keys erased.

The keeper of a snapshot's keys gives a run the keys of exactly the samples its clearance cleared,
in a package that only the trainer's reader key opens (HPKE, RFC 9180, with the clearance in the
`info`). The key of an excluded picture is in none, unless a cleared sample has the very same bytes.

Does not see: what a trainer keeps once it has read. Erasing a key ends every later reading here;
weights, and packages that were carried elsewhere, stay as they are. Who made a package HPKE does
not say, and need not: with wrong keys nothing opens, and every picture is held to its digest.
"""

import fcntl
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from securesystemslib.signer import Signer

from governance.canon import Json, canonical, check_private, sha256, write_whole
from governance.clearance import Clearance, revoked_in
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.records import RUN_ENDS, json_object
from governance.sealing.sealed import DataKeys, erase_keys, locked, read_keys
from governance.signers.trust import Trust
from governance.snapshot import Snapshot, samples_root
from governance.statements import open_envelope, sign
from governance.trail.ledger import Ledger
from governance.workspace import Workspace

RELEASED, ERASED = "keys.released", "keys.erased"
PACKAGE_FILE: Final = "keys.package"  # in the folder of its run
READER_FILE: Final = "reader.pem"
READER_TYPE: Final = "application/vnd.pramana.reader+json"
PACKAGE, READER = "pramana.package/v1", "pramana.reader/v1"
SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
TOLD: Final = 500  # digests an entry names: a ledger entry stays under 64 KiB (C2SP tlog-tiles)
NOT_RELEASED: Final = (
    "its key is not among those that the clearance released. Train on what was cleared."
)


def unlocked(workspace: Workspace, snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as the keeper of its keys reads it. Raises what `read_keys` raises."""
    if not snapshot.encrypted:
        return snapshot
    return replace(snapshot, keys=read_keys(workspace.data_keys, snapshot.root))


def reader_key(folder: Path) -> X25519PrivateKey:
    """Return the key with which the trainer opens packages, made on first use.

    Raises:
        Refused: others may read its file.
        Tampered: the file holds no X25519 key.
    """
    path = folder / READER_FILE
    with locked(folder, fcntl.LOCK_EX):
        if not path.exists():
            write_whole(path, _pem(X25519PrivateKey.generate()), mode=0o600)
    check_private(
        path,
        what="The reader key",
        otherwise="Delete it to have a new one made, and the packages it opened.",
    )
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, X25519PrivateKey):
        raise Tampered(f"{READER_FILE} holds no X25519 key; restore it, or delete it.")
    return found


def vouch(reader: X25519PublicKey, trainer: Signer) -> bytes:
    """Return what a trainer says of its reader key, signed."""
    said: dict[str, Json] = {"schema": READER, "public": reader.public_bytes_raw().hex()}
    return sign(canonical(said), trainer, READER_TYPE)


def release(
    workspace: Workspace, clearance: Clearance, *, cleared: pa.Table, reader: bytes
) -> bytes:
    """Give a run the keys of what it may read: return the package, put it into its folder.

    Args:
        workspace: of the keeper.
        clearance: what `admit` returned, used by a run of the ledger.
        cleared: the rows of the cleared list.
        reader: what `vouch` returned.

    Raises:
        Refused: a check failed; the message names it by number.
        EvidenceMissing: a cleared sample was erased, or the keys are not here.
        Tampered: the table of keys is not the one that was written.
    """
    ledger, root = workspace.ledger, clearance.snapshot
    with locked(workspace.keyring.folder, fcntl.LOCK_EX):  # against an erasure meanwhile
        # (1) A trainer that we trust vouches for the reader.
        public = _vouched(reader, workspace.keyring.trust())
        # (2) A run used the clearance, and goes on.
        run = _running(ledger, clearance)
        # (3) These are the samples that were cleared, no more and no fewer.
        if (samples_root(cleared), cleared.num_rows) != (clearance.cleared_root, clearance.cleared):
            raise Refused(
                f"release (3): these are not the {clearance.cleared} samples that clearance "
                f"{clearance.id[:12]} allows. Give the list that was cleared."
            )
        # (4) Under one clearance one reader reads.
        _check_reader(ledger, clearance, _reader_id(public))
        # (5) None of them was erased.
        keys = keys_of(workspace, root, cleared)
        package = _packed(keys, clearance, public)
        body: dict[str, Json] = {
            "clearance": clearance.id,
            "snapshot": root,
            "reader": _reader_id(public),
            "keys": len(keys),
            "package": sha256(package),
        }
        ledger.append(RELEASED, body)
        write_whole(workspace.runs / run / PACKAGE_FILE, package, mode=0o600)
    return package


def keys_of(workspace: Workspace, root: str, cleared: pa.Table) -> DataKeys:
    """Return the keys of cleared samples, for the keeper: of all of them, and of nothing else.

    Raises:
        EvidenceMissing: one was erased, even where an old table of keys was put back, or is gone.
        Refused, Tampered: the table of keys cannot be read.
    """
    wanted = set(cleared["sha256"].to_pylist())
    kept = wanted - erased(workspace.ledger, root)
    keys = read_keys(workspace.data_keys, root).only(kept)
    if missing := len(wanted) - len(keys):
        raise EvidenceMissing(
            f"release (5): the keys of {missing} of {len(wanted)} cleared pictures were erased or "
            "are not here. Audit again: a new decision leaves withdrawn samples out."
        )
    return keys


def open_package(package: bytes, reader: X25519PrivateKey, clearance: Clearance) -> DataKeys:
    """Return the keys in a package, for the trainer they were released to.

    Raises:
        Refused: it was made under another clearance, or for another reader.
        Tampered: it is no package, or it was altered.
    """
    head, _, ciphertext = package.partition(b"\n")
    said = json_object(head, "the head of a package of keys")
    # (1) It was made under this clearance.
    if said.get("clearance") != clearance.id:
        raise Refused(
            f"package (1): these keys were not released under clearance {clearance.id[:12]}; ask "
            "the keeper for those that were."
        )
    # (2) It was made for this reader.
    if said.get("reader") != _reader_id(reader.public_key()):
        raise Refused("package (2): these keys were released to another reader; ask for your own.")
    # (3) What it says and what it holds were put together by who made it.
    try:
        data = SUITE.decrypt(ciphertext, reader, info=head)
    except (InvalidTag, ValueError):
        raise Tampered("package (3): this package was altered or cut; ask for a new one.") from None
    # (4) It holds keys of the snapshot that was cleared.
    keys = DataKeys.from_bytes(data, absent=NOT_RELEASED)
    if keys.snapshot != clearance.snapshot:
        raise Tampered("package (4): the keys are of another snapshot than the one cleared.")
    return keys


def erase(workspace: Workspace, root: str, digests: Collection[str]) -> int:
    """Erase the keys of pictures, and tell the ledger; return how many it had not been told of.

    Packages of the snapshot are deleted, too: a run that goes on has to ask for a new one, and is
    refused where it was cleared to read an erased picture. Erasing twice changes nothing; after a
    kill, erasing again does what is left. What a disk may still hold `erase_keys` says.

    Raises:
        UsageError: the snapshot is not encrypted, or has no such picture.
        EvidenceMissing, Refused, Tampered: its keys cannot be read.
    """
    snapshot, wanted = workspace.snapshot(root), set(digests)
    if not snapshot.encrypted:
        raise UsageError(
            f"Snapshot {root[:12]} is not encrypted, so it has no keys to erase; delete the "
            "pictures themselves, and audit with --sealed."
        )
    if unknown := wanted.difference(snapshot.manifest()["sha256"].to_pylist()):
        raise UsageError(
            f"Snapshot {root[:12]} has no picture {min(unknown)[:12]}, nor {len(unknown) - 1} "
            "others that were named. Name pictures by the SHA-256 in its manifest."
        )
    ledger = workspace.ledger
    with locked(workspace.keyring.folder, fcntl.LOCK_EX):
        erase_keys(workspace.data_keys, root, wanted)
        for package in workspace.runs.glob(f"*/{PACKAGE_FILE}"):
            if root.encode() in package.read_bytes().partition(b"\n")[0]:
                package.unlink()
        due = sorted(wanted - erased(ledger, root))
        for start in range(0, len(due), TOLD):
            ledger.append(ERASED, {"snapshot": root, "digests": due[start : start + TOLD]})
    return len(due)


def erased(ledger: Ledger, root: str) -> set[str]:
    """Return the digests of the pictures of a snapshot whose keys were erased."""
    acts = (entry.body for entry in ledger.entries(ERASED) if entry.body["snapshot"] == root)
    return {str(digest) for body in acts for digest in _listed(body["digests"])}


def check_keys(workspace: Workspace, root: str) -> tuple[int, int]:
    """Hold the keys of an encrypted snapshot to its manifest and the ledger.

    Returns:
        How many keys are here, and how many were erased.

    Raises:
        EvidenceMissing: the keys are not here, or some are gone and no act erased them.
        Refused: others may read them.
        Tampered: the table was altered, or keys that were erased are back.
    """
    snapshot = workspace.snapshot(root)
    if not snapshot.encrypted:
        raise Tampered(
            f"Snapshot {root[:12]} was encrypted and lies here in plain. Put the encrypted one "
            "back, and find out who made this one."
        )
    pictures = set(snapshot.manifest()["sha256"].to_pylist())
    held = set(read_keys(workspace.data_keys, root).digests())
    gone = erased(workspace.ledger, root)
    if back := held & gone:
        raise Tampered(
            f"{len(back)} keys that were erased are back: an old table of keys was restored. "
            "Erase them again."
        )
    if lost := pictures - held - gone:
        raise EvidenceMissing(
            f"{len(lost)} of {len(pictures)} pictures have no key, and no act erased them. Restore "
            "the table of keys."
        )
    if stray := held - pictures:
        raise Tampered(f"{len(stray)} keys are of pictures that the snapshot does not have.")
    return len(held), len(gone)


def _vouched(envelope: bytes, trust: Trust) -> X25519PublicKey:
    try:
        payload = open_envelope(envelope, trust.of("trainer"), READER_TYPE)
    except Refused as fault:
        raise Refused(f"release (1): {fault} The trainer has to vouch for its reader.") from None
    said = json_object(payload, "what a trainer says of its reader")
    try:
        return X25519PublicKey.from_public_bytes(bytes.fromhex(said["public"]))
    except (KeyError, TypeError, ValueError):
        raise Tampered("release (1): what was signed names no X25519 key.") from None


def _running(ledger: Ledger, clearance: Clearance) -> str:
    """Return the run that uses a clearance. Raises Refused when none does, or it is over."""
    run = ledger.spent().get(clearance.id)
    over = {str(entry.body["run"]) for kind in RUN_ENDS for entry in ledger.entries(kind)}
    if run is None or run in over or clearance.id in revoked_in(ledger):
        raise Refused(
            f"release (2): no run goes on under clearance {clearance.id[:12]}; keys are released "
            "to a run that used its clearance and is not over. Ask the gate for a new one."
        )
    return run


def _check_reader(ledger: Ledger, clearance: Clearance, reader: str) -> None:
    for entry in ledger.entries(RELEASED):
        if entry.body["clearance"] == clearance.id and entry.body["reader"] != reader:
            raise Refused(
                f"release (4): the keys of clearance {clearance.id[:12]} were released to another "
                "reader. Resume with that reader key, or ask the gate for a new clearance."
            )


def _packed(keys: DataKeys, clearance: Clearance, reader: X25519PublicKey) -> bytes:
    head = canonical(
        {
            "schema": PACKAGE,
            "clearance": clearance.id,
            "snapshot": keys.snapshot,
            "reader": _reader_id(reader),
        }
    )
    return head + b"\n" + SUITE.encrypt(keys.to_bytes(), reader, info=head)


def _reader_id(reader: X25519PublicKey) -> str:
    return sha256(reader.public_bytes_raw())


def _pem(key: X25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _listed(value: Json) -> Collection[Json]:
    if not isinstance(value, list):
        raise Tampered("An entry of erased keys names no digests; restore the ledger.")
    return value
