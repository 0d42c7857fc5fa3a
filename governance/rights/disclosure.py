"""Disclosures: the answer to somebody who asks whether a picture is in.

Does not see: what is in the picture, or who asks. Only the bytes are compared.
"""

from pathlib import Path

import pyarrow as pa

from governance.attest import CLEARED, SNAPSHOT
from governance.canon import file_sha256, sha256
from governance.clearance import ISSUED
from governance.errors import EvidenceMissing, UsageError
from governance.records import json_object
from governance.rights.handles import is_image
from governance.rights.presence import prove
from governance.rights.presence_file import DECIDED, NAMED_BY, PresenceFile, check_presence
from governance.snapshot import sample_leaves
from governance.statements import payload_of
from governance.trail.log import Entry
from governance.trail.proofs import covering, write_proof
from governance.verify import CLEARANCE_FILE
from governance.workspace import Workspace


def make_presence_file(
    workspace: Workspace, image: Path, *, run: str = "", snapshot: str = ""
) -> bytes:
    """Return the answer for one file: under a run's clearance, or under the newest decision.

    Args:
        workspace: where the evidence lies.
        image: the file that is asked about.
        run: the beginning of a run's id, or `latest`.
        snapshot: the beginning of a snapshot's root, whose newest decision is asked; '' takes the
            newest of all.

    Raises:
        UsageError: the file is empty, or there is no such run.
        EvidenceMissing: there is no such decision, or too few witnesses saw it.
        Tampered: the evidence is not what was recorded.
    """
    asked, ledger = file_sha256(image), workspace.ledger
    if not is_image(asked):
        raise UsageError(f"{image.name} is empty; name the picture that is asked about.")
    trust = workspace.keyring.trust()
    entry = _clearing(workspace, run) if run else _deciding(workspace, snapshot)
    decision = workspace.decision(str(entry.body["decision"]))
    tables = {CLEARED: _leaves(workspace.cleared(decision))}
    if entry.kind == DECIDED:
        tables[SNAPSHOT] = _leaves(workspace.snapshot(decision.snapshot).manifest())
    size = covering(ledger, entry.number, trust.witnesses)
    statement = workspace.load(str(entry.body[NAMED_BY[entry.kind]]), "what the gate signed")
    made = PresenceFile(
        sha256=asked,
        statement=json_object(statement, "a statement"),
        leaf=ledger.leaf(entry.number),
        proof=write_proof(ledger, entry.number, size=size),
        tables={name: prove(leaves, asked) for name, leaves in tables.items()},
    )
    for told in check_presence(made, trust):
        if told.status:
            raise EvidenceMissing(f"No proof was written: {told.what}. {told.detail}")
    return made.to_bytes()


def _deciding(workspace: Workspace, snapshot: str) -> Entry:
    made = workspace.ledger.entries(DECIDED)
    found = [e for e in made if str(e.body.get("snapshot", "")).startswith(snapshot)]
    if not found:
        raise EvidenceMissing("There is no decision on such a snapshot; run `pramana audit`.")
    return found[-1]


def _clearing(workspace: Workspace, run: str) -> Entry:
    path = workspace.run_folder(run) / CLEARANCE_FILE
    clearance = sha256(payload_of(path.read_bytes()))
    for entry in workspace.ledger.entries(ISSUED):
        if entry.body["clearance"] == clearance:
            return entry
    raise EvidenceMissing(f"The ledger was never told of the clearance of run {run}.")


def _leaves(table: pa.Table) -> list[bytes]:
    return list(sample_leaves(table))
