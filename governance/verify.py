"""Verification: recompute every digest between the ledger and the bytes, trusting no shortcut.

`check_evidence` is asked before a clearance is issued; `verify_workspace` asks it of everything.
Does not see: whether a detector was right, or a source told the truth. It sees that nothing
was changed after it was said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from governance.canon import digest, file_sha256
from governance.errors import EvidenceMissing, PramanaError, Tampered
from governance.keys import Trust
from governance.records import Decision
from governance.statements import PROVENANCE, open_envelope, read_statement
from governance.workspace import Workspace

CLEARANCE_FILE = "clearance.json"
PROVENANCE_FILE = "provenance.json"
RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was verified: what, whether it held, and the sentence that says why not."""

    what: str
    status: int = 0
    detail: str = ""


def check_evidence(workspace: Workspace, decision: Decision) -> None:
    """Hold a decision to all the evidence it stands on.

    Raises:
        Tampered: bytes are not those that were recorded.
        EvidenceMissing: bytes are gone, or the ledger does not know the decision.
    """
    # (1) The ledger is whole, and it knows this decision.
    workspace.ledger.verify()
    known = {str(entry.body["decision"]) for entry in workspace.ledger.entries("decided")}
    if decision.id not in known:
        raise EvidenceMissing(
            f"evidence (1): the ledger does not know decision {decision.id[:12]}; audit again."
        )
    # (2) The manifest is the one that was sealed.
    manifest = workspace.snapshot(decision.snapshot).manifest()
    if manifest.num_rows != decision.samples:
        raise Tampered(
            f"evidence (2): the snapshot has {manifest.num_rows} samples, the decision speaks of "
            f"{decision.samples}. Run `pramana audit` again."
        )
    # (3) Every part of the measures is the one the ledger recorded.
    check_measures(workspace, decision)
    # (4) The findings and the policies are those that were weighed.
    workspace.load(decision.findings, "the findings")
    for policy in decision.policies:
        workspace.load(policy.sha256, f"the policy {policy.id}")
    # (5) The cleared samples are those that were cleared.
    workspace.cleared(decision)


def check_measures(workspace: Workspace, decision: Decision) -> None:
    """Hold the measures on disk to the ledger. Raises EvidenceMissing, Tampered."""
    folder = workspace.measures(decision.snapshot, decision.audits)
    recorded = workspace.recorded_parts(decision.snapshot, decision.audits)
    if digest(recorded) != decision.measures:
        raise Tampered(
            "evidence (3): the ledger's list of measures is not the one the decision stands on. "
            "Run `pramana audit` again."
        )
    for part, expected in sorted(recorded.items()):
        path = folder / part
        if not path.is_file():
            raise EvidenceMissing(
                f"evidence (3): the measures {part} are gone; remove their folder and audit again."
            )
        if file_sha256(path) != expected:
            raise Tampered(
                f"evidence (3): the measures {part} were edited after they were made (sha256 "
                f"{expected[:12]} was recorded). Restore the file."
            )


def verify_workspace(workspace: Workspace) -> list[Check]:
    """Verify the ledger, every decision with its shards, and every run; never stops at a fault."""
    checks = [checked("ledger: every entry under a signed checkpoint", workspace.ledger.verify)]
    if checks[0].status:
        return checks  # nothing that a broken ledger says is worth checking
    for name in _named(workspace, "decided", "decision"):
        label = f"decision {name[:12]}: manifest, measures, findings, policies, cleared samples"
        checks.append(checked(label, partial(_decision, workspace, name)))
    checks += [
        checked(f"snapshot {root[:12]}: shards", partial(_shards, workspace, root))
        for root in _named(workspace, "sealed", "snapshot")
    ]
    for folder in sorted(workspace.runs.glob("*")):
        label = f"run {folder.name}: clearance, receipts, files"
        checks.append(checked(label, partial(_run, workspace, folder)))
    return checks


def check_run(locate: Callable[[str], Path], trust: Trust, finished: str) -> None:
    """Hold a finished run's files to its statements.

    Args:
        locate: where a file of the run lies, by its name in the run's folder.
        trust: whose signatures count.
        finished: the digest of the result that the ledger recorded.

    Raises:
        EvidenceMissing: a file that was signed for is gone.
        Tampered: a file is not the one that was signed for.
        Refused: a statement is not signed by a key we trust.
    """
    for name in (CLEARANCE_FILE, PROVENANCE_FILE):
        if not locate(name).is_file():
            raise EvidenceMissing(f"The run's {name} is gone; restore it.")
    open_envelope(locate(CLEARANCE_FILE).read_bytes(), trust.of("gate"))
    payload = open_envelope(locate(PROVENANCE_FILE).read_bytes(), trust.of("trainer"))
    subjects, _ = read_statement(payload, PROVENANCE)
    if subjects.get(RESULT_FILE) != finished:
        raise Tampered("The result that was signed is not the one the ledger recorded.")
    for name, expected in subjects.items():
        if not locate(name).is_file():
            raise EvidenceMissing(f"The run's file {name} is gone; restore it.")
        if file_sha256(locate(name)) != expected:
            raise Tampered(f"The run's file {name} was altered after the run ended; restore it.")


def _named(workspace: Workspace, kind: str, field: str) -> list[str]:
    """Return what the acts of a kind name in a field, each once, in order."""
    return list(dict.fromkeys(str(e.body[field]) for e in workspace.ledger.entries(kind)))


def _decision(workspace: Workspace, name: str) -> None:
    check_evidence(workspace, workspace.decision(name))


def _run(workspace: Workspace, folder: Path) -> None:
    ended = {str(e.body["run"]): e for e in workspace.ledger.entries("run.finished")}
    if folder.name not in ended:
        raise EvidenceMissing(f"Run {folder.name} has not ended; resume it with `pramana train`.")
    result = str(ended[folder.name].body["result"])
    check_run(folder.joinpath, workspace.keyring.trust(), result)


def _shards(workspace: Workspace, root: str) -> None:
    snapshot = workspace.snapshot(root)
    snapshot.manifest()
    for index in range(len(snapshot.shards)):
        snapshot.open_shard(index)


def checked(what: str, act: Callable[[], object]) -> Check:
    """Run one check and say how it went; faults of ours stay faults."""
    try:
        act()
    except PramanaError as fault:
        return Check(what=what, status=fault.status, detail=str(fault))
    return Check(what=what)
