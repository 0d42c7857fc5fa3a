"""Playing a witness from the command line: on a workspace's ledger, or on a copy of it.

A copy is enough, and better: a witness who never touches the workspace shares nothing with it.

Does not see: whether the witness is independent. Who holds its key and its folder decides that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from securesystemslib.signer import SSlibKey

from governance.errors import EvidenceMissing, Refused, UsageError
from governance.signers.keys import signer_at
from governance.trail.merkle import consistency_proof
from governance.trail.note import ED25519, VerifierKey, unverified, with_lines
from governance.trail.tiles import read_mirror
from governance.trail.witness import Remembered, accept, cosign, proof_since
from governance.workspace import Workspace


def cosigned(
    place: Workspace, key: Path, state: Path, vkeys: Sequence[str]
) -> list[tuple[str, int]]:
    """Cosign the workspace's own ledger, and keep the cosignature in it."""
    signer, trail, trust = signer_at(key, "witness"), place.ledger, place.keyring.trust()
    if signer.public_key not in trust.of("witness"):
        raise Refused(
            "This key is no witness's in the trust file, so nothing was signed. Make it known: "
            "`pramana keys trust witness NAME --public FILE`."
        )
    note = trail.note()
    if not note:
        raise EvidenceMissing("The ledger is empty: there is no checkpoint to cosign yet.")
    first = Remembered.read(state, trust.origin) is None
    line = cosign(
        state,
        note,
        proof_since(state, unverified(note), trail.consistency),
        signer=signer,
        now=datetime.now(UTC),
        log=_vouched(vkeys) or (trust.of("log") if first else []),
    )
    return accept(trail, trust, with_lines(note, [line]))


def cosigned_copy(mirror: Path, key: Path, state: Path, vkeys: Sequence[str]) -> str:
    """Cosign an exported copy, and return the checkpoint to send back."""
    note, tree = read_mirror(mirror)
    line = cosign(
        state,
        note,
        proof_since(state, unverified(note), partial(consistency_proof, tree.node)),
        signer=signer_at(key, "witness"),
        now=datetime.now(UTC),
        log=_vouched(vkeys),
    )
    return with_lines(note, [line])


def _vouched(vkeys: Sequence[str]) -> list[SSlibKey]:
    """Read the log keys a witness vouches for. Raises UsageError when one is not a log's."""
    found = [VerifierKey.parse(vkey) for vkey in vkeys]
    for vkey in found:
        if vkey.kind != ED25519:
            raise UsageError(f"The key of {vkey.name} is a witness's, not a log's; name the log's.")
    return [vkey.key for vkey in found]
