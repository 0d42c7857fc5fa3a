"""The waivers of a workspace: which are active, and whether a decision's waivers hold.

Does not see: whether they do any good. The rules say what each of them sets aside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from governance.errors import EvidenceMissing, PramanaError, Refused
from governance.records import Decision, Exemption
from governance.signers.salts import tag
from governance.trail.ledger import Entry
from governance.waiving.approvals import Waiver, check_active, check_waivers, earlier_trees
from governance.waiving.filing import Desk
from governance.waiving.papers import REQUESTED, SHORT, Papers, entries_on_waivers, gather
from governance.waiving.waivers import SAMPLES, sample_ids, sample_list
from governance.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One waiver the ledger knows of: itself, or the sentence that says why it does not hold."""

    id: str
    told: Entry  # the ledger's entry on the request
    waiver: Waiver | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The active waivers and what each sets aside; a sentence on each other one of a snapshot."""

    snapshot: str
    active: tuple[Exemption, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    idle: tuple[str, ...] = ()


def desk_of(workspace: Workspace) -> Desk:
    """Return where waivers of a workspace are filed."""
    return Desk(
        workspace.ledger, workspace.keyring.trust(), lambda person: tag(workspace.salts, person)
    )


def standings(workspace: Workspace) -> list[Standing]:
    """Return every waiver the ledger knows of, in the order in which they were asked for."""
    desk, entries = desk_of(workspace), entries_on_waivers(workspace.ledger)
    found: dict[str, Standing] = {}
    for told in entries:
        name = str(told.body["waiver"])
        if told.kind != REQUESTED:
            continue
        try:
            waiver = desk.examine(gather(entries, name, workspace.load))
            found[name] = Standing(id=name, told=told, waiver=waiver)
        except PramanaError as fault:
            found[name] = Standing(id=name, told=told, problem=str(fault))
    return list(found.values())


def in_force(workspace: Workspace, snapshot: str, manifest: pa.Table, *, now: datetime) -> InForce:
    """Return what active waivers set aside, and why others of this snapshot do not.

    Args:
        workspace: where they are filed.
        snapshot: the root of what is judged.
        manifest: its samples.
        now: the moment at which a waiver has to be active.
    """
    active: list[Exemption] = []
    waivers: list[Waiver] = []
    idle: list[str] = []
    for standing in standings(workspace):
        ours = standing.told.body["snapshot"] == snapshot
        try:
            waiver = _active(standing, now)
            active.append(waiver.exemption(_samples(workspace, waiver, manifest if ours else None)))
            waivers.append(waiver)
        except PramanaError as fault:
            if ours:  # what is of another snapshot and over has nothing to say here
                idle.append(f"Waiver {standing.id[:SHORT]} has no effect: {fault}")
    return InForce(
        snapshot=snapshot, active=tuple(active), waivers=tuple(waivers), idle=tuple(idle)
    )


def decision_waivers(
    workspace: Workspace, decision: Decision, *, now: datetime | None = None
) -> tuple[Waiver, ...]:
    """Return the waivers that a decision stands on, once they hold.

    Args:
        workspace: where the decision and its waivers lie.
        decision: what is asked about.
        now: the moment at which they have to be active; None asks whether they were when the
            ledger was told of the decision.

    Raises:
        Refused: one does not hold; the message names the check.
        Tampered, EvidenceMissing: a document or a list of samples was altered, or is gone.
    """
    entries, at = entries_on_waivers(workspace.ledger), now
    if at is None:
        told = _told(workspace, decision)
        entries = [entry for entry in entries if entry.number < told.number]
        at = datetime.fromisoformat(told.at)
    papers = papers_of(workspace, decision.waivers, entries)
    waivers = check_waivers(
        decision,
        papers,
        trust=workspace.keyring.trust(),
        extends=earlier_trees(workspace.ledger),
        now=at,
    )
    manifest = workspace.snapshot(decision.snapshot).manifest() if waivers else None
    for waiver in waivers:
        _samples(workspace, waiver, manifest)
    return waivers


def papers_of(
    workspace: Workspace, waivers: Iterable[str], entries: Sequence[Entry]
) -> list[Papers]:
    """Return the papers of waivers. Raises Refused, Tampered, EvidenceMissing."""
    return [gather(entries, name, workspace.load) for name in waivers]


def _active(standing: Standing, now: datetime) -> Waiver:
    if standing.waiver is None:
        raise Refused(standing.problem)
    check_active(standing.waiver, now)
    return standing.waiver


def _samples(
    workspace: Workspace, waiver: Waiver, manifest: pa.Table | None
) -> tuple[str, ...] | None:
    """Return the ids a waiver names, held to a manifest; None where it is about all of it."""
    asked = waiver.request
    if asked.about != SAMPLES:
        return None
    listed = workspace.load(asked.samples, "the samples of a waiver")
    ids = sample_ids(listed, asked)
    # (20) They are samples of the snapshot, with all that is said of them.
    if manifest is not None and sample_list(manifest, ids) != listed:
        raise Refused(f"waiver (20): {waiver.id[:SHORT]} names samples the snapshot does not have.")
    return ids


def _told(workspace: Workspace, decision: Decision) -> Entry:
    for entry in workspace.ledger.entries("decided"):
        if entry.body["decision"] == decision.id:
            return entry
    raise EvidenceMissing(f"The ledger does not know decision {decision.id[:SHORT]}; audit again.")
