"""What a run draws, as evidence: the record, what the auditor signed of it, and the act.

The ledger says which record of a run is the latest, and kept bytes hold it; `drawn.json` in the
run's folder is a copy for people, and is held to it.

Does not see: pictures. The record has figures, digests and counts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from governance.attest import DRAWN, check_drew, drew
from governance.canon import file_sha256, write_whole
from governance.errors import EvidenceMissing, Tampered
from governance.records import json_object
from governance.statements import open_envelope, sign
from governance.verify import RESULT_FILE

if TYPE_CHECKING:
    from governance.trail.log import Entry
    from governance.workspace import Workspace

DRAWN_STATEMENT = "drawn.sigstore.json"
DREW = "drawn"  # the kind of the act


def keep_drawn(workspace: "Workspace", run: str, record: bytes) -> str:
    """Sign for a record, tell the ledger, then write the copy; return its SHA-256.

    Whoever is killed between two of these has a record that counts, or none.
    """
    statement = sign(drew(record), workspace.keyring.signer("auditor"))
    name = workspace.store(record)
    workspace.ledger.append(
        DREW,
        {
            "run": run,
            "snapshot": str(json_object(record, DRAWN)["snapshot"]),
            "sha256": name,
            "statement": workspace.store(statement),
        },
    )
    write_whole(workspace.runs / run / DRAWN, record)
    return name


def drawn_evidence(workspace: "Workspace", run: str) -> dict[str, bytes]:
    """Return the latest record of what a run draws, and the statement; nothing where there is none.

    Raises:
        EvidenceMissing: the copy is not there, or not written yet.
        Tampered: a byte of it was altered, or it is of another run.
        Refused: no auditor key that is trusted signed for it.
    """
    told = [e for e in workspace.ledger.entries(DREW) if e.body["run"] == run]
    if not told:
        return {}
    last = told[-1]
    record = workspace.load(str(last.body["sha256"]), "what a run draws")
    statement = workspace.load(str(last.body["statement"]), "what the auditor signed of it")
    trusted = workspace.keyring.trust().of("auditor", at=last.number)
    check_drew(open_envelope(statement, trusted), record)
    folder = workspace.runs / run
    check_drawn_of(record, run=run, result=file_sha256(folder / RESULT_FILE))
    _check_copy(folder / DRAWN, told)
    return {DRAWN: record, DRAWN_STATEMENT: statement}


def check_drawn_of(record: bytes, *, run: str, result: str) -> None:
    """Hold a record to the run it is of, and the result of that run by SHA-256. Raises Tampered."""
    said = json_object(record, DRAWN)
    if (said.get("run"), said.get("result")) != (run, result):
        raise Tampered(f"{DRAWN} is of another run, or of another result; evaluate again.")


def act_of(files: Mapping[str, str], *, run: str) -> dict[str, str]:
    """Return what the act must say: `files` gives the digests of record and statement by name."""
    return {"run": run, "sha256": files[DRAWN], "statement": files[DRAWN_STATEMENT]}


def _check_copy(path: Path, told: "list[Entry]") -> None:
    """Hold the copy in a run's folder to the acts on it. Raises EvidenceMissing, Tampered."""
    again = f"Run `pramana evaluate {path.parent.name}` again."
    *earlier, last = [str(entry.body["sha256"]) for entry in told]
    if not path.is_file():
        raise EvidenceMissing(f"The {path.name} of run {path.parent.name} is gone. {again}")
    if (found := file_sha256(path)) == last:
        return
    if found in earlier:  # killed between the act and the copy
        raise EvidenceMissing(f"The {path.name} here is of an earlier evaluation. {again}")
    raise Tampered(
        f"The {path.name} of run {path.parent.name} was altered after it was signed. {again}"
    )
