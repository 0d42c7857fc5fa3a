"""Collecting the evidence of a finished run from a workspace: every file that its card cites.

Does not see: whether the evidence holds together. `verify` says that.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from governance.canon import canonical
from governance.cards.acts import DECIDED, acts, checkpoint_of
from governance.cards.drawn_files import drawn_evidence
from governance.cards.evidence import (
    AUDIT_STATEMENT,
    CHECKPOINT,
    DECISION_FILE,
    DECISION_STATEMENT,
    DECLARED_FILE,
    EXPORTER_FILE,
    FINDINGS_FILE,
    MODEL_INDEX,
    OPTIONAL_RUN_FILES,
    RUN_FILES,
    WITHDRAWALS_FILE,
    Evidence,
    exporter,
    policy_file,
)
from governance.cards.waiver_files import waiver_evidence
from governance.clearance import read_clearance
from governance.errors import EvidenceMissing
from governance.rights.withdrawals import for_card
from governance.signers.trust import TRUST_FILE
from governance.statements import payload_of
from governance.verify import CLEARANCE_FILE

if TYPE_CHECKING:
    from governance.workspace import Workspace

PIPELINE = "pipeline"  # where in its folder a run leaves the model
STATEMENTS = {"audit_statement": AUDIT_STATEMENT, "decision_statement": DECISION_STATEMENT}


def collect(workspace: "Workspace", run: Path) -> Evidence:
    """Collect the evidence of a finished run.

    Raises:
        EvidenceMissing: the run has not ended, evidence is gone, or witnesses are awaited.
        Tampered: evidence was altered.
    """
    files: dict[str, bytes] = {}
    for name in (*RUN_FILES, *OPTIONAL_RUN_FILES):
        path = run / name
        if path.is_file():
            files[name] = path.read_bytes()
        elif name in RUN_FILES:
            raise EvidenceMissing(
                f"Run {run.name} has no {name}: it has not ended. Run `pramana train` to resume it."
            )
    clearance = read_clearance(payload_of(files[CLEARANCE_FILE]))
    decision = workspace.decision(clearance.decision)
    files[DECISION_FILE] = canonical(decision.to_json())
    files[FINDINGS_FILE] = workspace.load(decision.findings, "the findings")
    files[DECLARED_FILE] = canonical(workspace.declared().facts)
    files[EXPORTER_FILE] = canonical(exporter())
    for policy in decision.policies:
        files[policy_file(policy)] = workspace.load(policy.sha256, policy.id)
    files |= waiver_evidence(workspace, decision.id, decision.waivers)
    files |= drawn_evidence(workspace, run.name)
    withdrawn = for_card(workspace, workspace.cleared(decision)["sha256"].to_pylist())
    if withdrawn:
        files[WITHDRAWALS_FILE] = canonical(withdrawn)
    index = run / PIPELINE / MODEL_INDEX
    if index.is_file():
        files[MODEL_INDEX] = index.read_bytes()
    trust = workspace.keyring.trust()
    files[TRUST_FILE] = trust.to_bytes()
    return _logged(workspace, Evidence(files))


def _logged(workspace: "Workspace", evidence: Evidence) -> Evidence:
    """Add what the ledger knows: the statements about the decision, and the checkpoint."""
    ledger, told = workspace.ledger, acts(evidence)
    numbers = {name: act.number_in(ledger) for name, act in told.items()}
    body = ledger.entry(numbers[DECIDED]).body
    statements = {
        name: workspace.load(str(body[field]), name)
        for field, name in STATEMENTS.items()
        if field in body
    }
    trust = workspace.keyring.trust()
    note = checkpoint_of(ledger, trust, last=max(numbers.values()))
    files = {**evidence.files, **statements, CHECKPOINT: note.encode()}
    return dataclasses.replace(evidence, files=files)
