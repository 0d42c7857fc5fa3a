"""Verification: recompute every digest between the ledger and the bytes, trusting no shortcut.

`check_evidence` is asked before a clearance is issued; `verify_workspace` asks it of everything.
Does not see: whether a detector was right, or a source told the truth. It sees that nothing
was changed after it was said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from governance.attest import check_audited, check_decided
from governance.canon import digest, file_sha256
from governance.clearance import read_clearance
from governance.errors import EvidenceMissing, PramanaError, Refused, Tampered
from governance.records import FINISHED, SPENT, Decision
from governance.signers.keys import Trust
from governance.statements import PROVENANCE, open_envelope, read_statement
from governance.weights import taught_by

if TYPE_CHECKING:
    import pyarrow as pa

    from governance.trail.log import Entry
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


def check_evidence(workspace: "Workspace", decision: Decision) -> None:
    """Hold a decision to all the evidence it stands on.

    Raises:
        Tampered: bytes are not those that were recorded.
        EvidenceMissing: bytes are gone, or the ledger does not know the decision.
    """
    from governance.waiving.waived import decision_waivers  # noqa: PLC0415  heavy

    # (1) The ledger is whole, and it knows this decision.
    workspace.ledger.verify()
    told = {str(entry.body["decision"]): entry for entry in workspace.ledger.entries("decided")}
    if decision.id not in told:
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
    # (3) Every part of the measures is the one the ledger recorded, and no sample lacks a row.
    check_measures(workspace, decision)
    _check_coverage(workspace, decision, manifest)
    # (4) The findings and the policies are those that were weighed.
    workspace.load(decision.findings, "the findings")
    for policy in decision.policies:
        workspace.load(policy.sha256, f"the policy {policy.id}")
    # (5) The cleared samples are those that were cleared.
    workspace.cleared(decision)
    # (6) What was set aside had its waivers when the ledger was told of the decision.
    decision_waivers(workspace, decision)
    # (7) The auditor signed for what was measured, and the gate for what was decided.
    _check_signed(workspace, decision, told[decision.id])


def _check_signed(workspace: "Workspace", decision: Decision, act: "Entry") -> None:
    """Hold a decision to its two statements. Raises EvidenceMissing, Tampered, Refused."""
    trust = workspace.keyring.trust()
    for role, name, check in (
        ("auditor", "audit_statement", check_audited),
        ("gate", "decision_statement", check_decided),
    ):
        data = workspace.load(str(act.body.get(name, "")), f"what the {role} signed")
        try:
            check(open_envelope(data, trust.of(role, at=act.number)), decision)
        except (Refused, Tampered) as fault:
            raise type(fault)(f"evidence (7): {fault} Run `pramana audit` again.") from None


def check_measures(workspace: "Workspace", decision: Decision) -> None:
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


def _check_coverage(workspace: "Workspace", decision: Decision, manifest: "pa.Table") -> None:
    """Hold the rows of the measures to the manifest. Raises EvidenceMissing, Tampered."""
    import pyarrow as pa  # noqa: PLC0415  heavy
    import pyarrow.parquet as pq  # noqa: PLC0415  heavy

    folder = workspace.measures(decision.snapshot, decision.audits)
    parts = sorted(workspace.recorded_parts(decision.snapshot, decision.audits))
    rows = pa.concat_tables(
        [pq.read_table(folder / part, columns=["id", "sha256"]) for part in parts]
    )
    measured = dict(zip(rows["id"].to_pylist(), rows["sha256"].to_pylist(), strict=True))
    sealed = dict(zip(manifest["id"].to_pylist(), manifest["sha256"].to_pylist(), strict=True))
    missing = len(sealed.keys() - measured.keys())
    if missing:
        raise EvidenceMissing(
            f"evidence (3): {missing} of {len(sealed)} samples have no row of measures; nothing "
            "was proved of them. Remove the measures and audit again."
        )
    if measured != sealed or rows.num_rows != len(sealed):
        raise Tampered("evidence (3): the measures speak of other samples than were sealed.")


def verify_workspace(workspace: "Workspace") -> list[Check]:
    """Verify the ledger, every decision with its shards, and every run; never stops at a fault."""
    from governance.cards.drawn_files import drawn_evidence  # noqa: PLC0415  it imports this module
    from governance.rights import withdrawals  # noqa: PLC0415  heavy

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
    encrypted = {
        str(e.body["snapshot"])
        for e in workspace.ledger.entries("sealed")
        if e.body.get("encrypted")
    }
    for root in sorted(encrypted):
        label = f"snapshot {root[:12]}: encrypted, with the keys of all that was not erased"
        checks.append(checked(label, partial(_keys, workspace, root)))
    for folder in sorted(workspace.runs.glob("*")):
        label = f"run {folder.name}: clearance, receipts, files"
        checks.append(checked(label, partial(_run, workspace, folder)))
    for name in _named(workspace, "drawn", "run"):
        label = f"run {name}: what it draws, as the auditor signed it"
        checks.append(checked(label, partial(drawn_evidence, workspace, name)))
    checks += [checked(label, act) for label, act in withdrawals.checks(workspace)]
    return checks


def check_run(
    locate: Callable[[str], Path],
    trust: Trust,
    finished: str,
    *,
    cleared_at: int,
    ended_at: int,
    digest_of: Callable[[Path], str] = file_sha256,
) -> None:
    """Hold a finished run's files to its statements.

    Args:
        locate: where a file of the run lies, by its name in the run's folder.
        trust: whose signatures count.
        finished: the digest of the result that the ledger recorded.
        cleared_at: the number of the act that told the ledger of the clearance; keys that ended
            later still count for it.
        ended_at: the number of the act that told it of the end.
        digest_of: returns the SHA-256 of a file.

    Raises:
        EvidenceMissing: a file that was signed for is gone.
        Tampered: a file is not the one that was signed for.
        Refused: a statement is not signed by a key we trust.
    """
    for name in (CLEARANCE_FILE, PROVENANCE_FILE):
        if not locate(name).is_file():
            raise EvidenceMissing(f"The run's {name} is gone; restore it.")
    cleared = open_envelope(locate(CLEARANCE_FILE).read_bytes(), trust.of("gate", at=cleared_at))
    signers = trust.of("trainer", at=ended_at)
    payload = open_envelope(locate(PROVENANCE_FILE).read_bytes(), signers)
    subjects, predicate = read_statement(payload, PROVENANCE)
    if {weights.sha256 for weights in taught_by(predicate)} != set(read_clearance(cleared).weights):
        raise Tampered("The weights that taught the run are not those its clearance names.")
    if subjects.get(RESULT_FILE) != finished:
        raise Tampered("The result that was signed is not the one the ledger recorded.")
    for name, expected in subjects.items():
        if not locate(name).is_file():
            raise EvidenceMissing(f"The run's file {name} is gone; restore it.")
        if digest_of(locate(name)) != expected:
            raise Tampered(f"The run's file {name} was altered after the run ended; restore it.")


def _named(workspace: "Workspace", kind: str, field: str) -> list[str]:
    """Return what the acts of a kind name in a field, each once, in order."""
    return list(dict.fromkeys(str(e.body[field]) for e in workspace.ledger.entries(kind)))


def _decision(workspace: "Workspace", name: str) -> None:
    check_evidence(workspace, workspace.decision(name))


def _run(workspace: "Workspace", folder: Path) -> None:
    ended = {str(e.body["run"]): e for e in workspace.ledger.entries(FINISHED)}
    if folder.name not in ended:
        raise EvidenceMissing(f"Run {folder.name} has not ended; resume it with `pramana train`.")
    last = ended[folder.name]
    used = {str(e.body["run"]): e.body["clearance"] for e in workspace.ledger.entries(SPENT)}
    told = {e.body["clearance"]: e.number for e in workspace.ledger.entries("cleared")}
    if used.get(folder.name) not in told:
        raise EvidenceMissing(f"The ledger does not know the clearance of run {folder.name}.")
    check_run(
        folder.joinpath,
        workspace.keyring.trust(),
        str(last.body["result"]),
        cleared_at=told[used[folder.name]],
        ended_at=last.number,
    )


def _shards(workspace: "Workspace", root: str) -> None:
    snapshot = workspace.snapshot(root)
    snapshot.manifest()
    for index in range(len(snapshot.shards)):
        snapshot.open_shard(index)


def _keys(workspace: "Workspace", root: str) -> None:
    from governance.sealing.release import check_keys  # noqa: PLC0415  only where pictures are encrypted

    check_keys(workspace, root)


def checked(what: str, act: Callable[[], object]) -> Check:
    """Run one check and say how it went; faults of ours stay faults."""
    try:
        act()
    except PramanaError as fault:
        return Check(what=what, status=fault.status, detail=str(fault))
    return Check(what=what)
