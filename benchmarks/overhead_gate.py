"""What the gate takes of a run: a set that is audited, cleared and admitted, by the clock.

Does not see: the audit before it, which is paid once a set and not once a run.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from app import planted, workflow
from app.clearing import clear
from app.redteam.ground import elsewhere
from governance.canon import sha256
from governance.clearance import Clearance, admit, find_logged, revoked_in
from governance.records import Decision
from governance.statements import payload_of
from governance.workspace import Workspace
from training.config import RunConfig
from training.data.cleared import ClearedList
from training.records.record import quiet
from training.start import terms_of

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A clearance that was asked for, signed and admitted, and what that took in wall seconds."""

    envelope: bytes
    clearance: Clearance
    took_s: Mapping[str, float]


def pass_gate(workspace: Workspace, decision: Decision, config: RunConfig) -> Gate:
    """Ask the gate for a clearance and admit it, as `app` and `training.start` do."""
    terms, trust = terms_of(config, HOUR_S), workspace.keyring.trust()
    marks = [time.perf_counter()]
    envelope = clear(workspace, decision, terms, preset=config.preset)
    marks.append(time.perf_counter())
    listed = ClearedList.read(workspace.decision_folder(decision.id) / "cleared.parquet")
    marks.append(time.perf_counter())
    ledger = workspace.ledger
    ledger.verify()
    workspace.memory.check(ledger, trust)
    marks.append(time.perf_counter())
    clearance = admit(
        envelope,
        trust=trust,
        cleared_root=listed.root,
        terms=terms,
        spent=ledger.spent(),
        revoked=revoked_in(ledger),
        logged=find_logged(ledger, sha256(payload_of(envelope)), witnesses=trust.witnesses),
        now=datetime.now(UTC),
    )
    ledger.spend(clearance.id, "overhead")
    marks.append(time.perf_counter())
    names = (
        "evidence held again, clearance signed and told",
        "list of the samples read, its root recomputed",
        "ledger verified, memory asked",
        "clearance admitted and spent",
    )
    took: dict[str, float] = dict(zip(names, (b - a for a, b in pairwise(marks)), strict=True))
    return Gate(envelope=envelope, clearance=clearance, took_s=took)


@contextmanager
def cleared(config: RunConfig, pictures: int) -> Iterator[tuple[Workspace, Gate]]:
    """Yield a workspace in which scenes were audited, and a clearance of them."""
    with tempfile.TemporaryDirectory() as name, elsewhere(Path(name)):
        source, workspace = Path(name) / "scenes", Workspace.at(Path(name) / "workspace")
        planted.write(source, list(planted.scenes(pictures, seed=1)))
        today = datetime.now(UTC).date()
        workflow.audit(workspace, [str(source)], packs=["commercial"], as_of=today, bars=quiet)
        yield workspace, pass_gate(workspace, workspace.latest_decision(), config)
