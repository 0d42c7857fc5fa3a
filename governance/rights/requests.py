"""Rights: taking samples back, and all that follows from it.

The record is kept first; then one transaction tells the ledger of the withdrawal, flags the cards
of runs that were cleared on a sample of it, and revokes the clearances of runs that have not ended,
which a trainer asks about at each checkpoint. Of encrypted pictures the keys are erased. The record
is a task as well: it has a last day, and a person closes it.

Does not see: data outside this workspace, copies that were saved anew, or whether trained weights
must change; the law leaves that open.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import TypeAlias

from governance.canon import Json, canonical, printable
from governance.cases import cases
from governance.clearance import ISSUED, REVOKED, revoked_in
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import RUN_ENDS
from governance.rights.clocks import due_on
from governance.rights.handles import (
    IMAGE,
    NO_IMAGE,
    SAMPLE,
    SEARCHED,
    SOURCE,
    SUBJECT,
    Handle,
    handles_of,
    is_image,
    plain,
    rows_of,
)
from governance.rights.withdrawals import (
    DONE,
    FLAGGED,
    SCHEMA,
    WITHDRAWN,
    Closing,
    Standing,
    Withdrawal,
    withdrawals,
)
from governance.sealing.release import erase
from governance.signers.salts import tag
from governance.workspace import Workspace

LEAST, LONGEST = 6, 500  # hex digits of a task; characters a person types

Act: TypeAlias = tuple[str, Mapping[str, Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, and by whom: ids, digests of images, sources or hosts, and subjects."""

    samples: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    reason: str = ""
    by: str = ""

    def handles(self) -> list[Handle]:
        """Return all that was named. Raises UsageError when it is nothing, or cannot be."""
        check_typed(self.reason, "a reason")
        check_typed(self.by, "who asks")
        if not all(map(is_image, self.images)):
            raise UsageError("--sha256 takes the 64 hex digits of a file that is not empty.")
        handles = [
            *((SAMPLE, name) for name in self.samples),
            *((IMAGE, image) for image in self.images),
            *((SOURCE, plain(name)) for name in self.sources),
            *((SUBJECT, plain(name)) for name in self.subjects),
        ]
        if not handles or not all(name for _, name in handles):
            raise UsageError(f"Name what is withdrawn: {SAMPLE}, {IMAGE}, {SOURCE} or {SUBJECT}.")
        return list(dict.fromkeys(handles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The images behind a request; how many snapshots were searched, and which could not be."""

    images: frozenset[str]
    snapshots: int
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a request was met: by withdrawals made before, or by a new one.

    `erased` counts keys of encrypted pictures, `preserved` pictures that were left because a case
    was opened on them.
    """

    withdrawals: tuple[Withdrawal, ...]
    found: Found
    is_new: bool
    erased: int
    preserved: int


def find(workspace: Workspace, handles: Sequence[Handle], known: Standing) -> Found:
    """Return the images behind what was named, looked up in every snapshot of the workspace.

    Raises:
        UsageError: one id names several pictures.
        EvidenceMissing: something that was named is not here. What else is here is not told.
    """
    wanted, kinds = set(handles), {kind for kind, _ in handles}
    hits, unread = defaultdict[Handle, set[str]](set), list[str]()
    roots = sealed_roots(workspace)
    for root in roots:
        try:
            table = workspace.snapshot(root).manifest()
        except (EvidenceMissing, Tampered):  # told by its root: the others must not wait for it
            unread.append(root)
            continue
        for row in rows_of(table):
            for handle in wanted.intersection(handles_of(row, kinds)):
                hits[handle].add(str(row["sha256"]))
    missing = [handle for handle in handles if handle not in hits and not known.knows(handle)]
    if missing:
        raise EvidenceMissing(
            f"{len(missing)} of the {len(handles)} you named ({', '.join(k for k, _ in missing)}) "
            f"name nothing here; nothing was withdrawn. {len(roots) - len(unread)} snapshots were "
            f"searched, {len(unread)} could not be read. Looked at were {SEARCHED}."
        )
    _check_ids(hits)
    named = {name for kind, name in handles if kind == IMAGE}
    return Found(
        images=frozenset(named.union(*hits.values()) - {NO_IMAGE}),
        snapshots=len(roots) - len(unread),
        unread=tuple(unread),
    )


def withdraw(
    workspace: Workspace, request: Request, *, now: datetime, keep_keys: bool = False
) -> Answer:
    """Withdraw what is asked for, once. Asked again, tell the ledger only what it lacks.

    Args:
        workspace: where the samples are.
        request: what is asked for.
        now: when it came.
        keep_keys: do not erase the keys of encrypted pictures, where a law asks to preserve them.

    Raises:
        UsageError: nothing was named, or one id names several pictures.
        EvidenceMissing: something that was named is not here.
    """
    handles, made = request.handles(), withdrawals(workspace)
    known = Standing.of(made, workspace.salts)
    found = find(workspace, handles, known)
    lasting = [handle for handle in handles if handle[0] in {SOURCE, SUBJECT}]
    is_new = not (known.images.issuperset(found.images) and all(map(known.knows, lasting)))
    if is_new:
        covering = [_tell(workspace, _record(workspace, request, found, now=now))]
    else:
        covering = [w for w in made if _covers_some(workspace, w, found, lasting)]
        acts = list(follow_ups(workspace, covering))
        if acts:
            workspace.ledger.append_many(acts)
    erased, preserved = (0, 0) if keep_keys else _erase(workspace, found.images)
    return Answer(
        withdrawals=tuple(covering), found=found, is_new=is_new, erased=erased, preserved=preserved
    )


def follow_ups(workspace: Workspace, made: Sequence[Withdrawal]) -> Iterator[Act]:
    """Yield the acts that withdrawals ask for and the ledger does not hold yet.

    A run whose cleared samples cannot be read any more counts as one that had them all.
    """
    ledger, cleared = workspace.ledger, cache(partial(cleared_images, workspace))
    ended = {str(entry.body["run"]) for kind in RUN_ENDS for entry in ledger.entries(kind)}
    flagged = {(entry.body["run"], entry.body["record"]) for entry in ledger.entries(FLAGGED)}
    revoked, spent = revoked_in(ledger), ledger.spent()
    for entry in ledger.entries(ISSUED):
        clearance = str(entry.body["clearance"])
        run, images = spent.get(clearance), cleared(str(entry.body["decision"]))
        touching = [w for w in made if images is None or not images.isdisjoint(w.images)]
        for withdrawal in touching:
            if run and (run, withdrawal.record) not in flagged:
                yield FLAGGED, {"run": run, "record": withdrawal.record}
        if touching and clearance not in revoked and run not in ended:
            yield REVOKED, {"clearance": clearance, "record": touching[0].record}


def cleared_images(workspace: Workspace, decision: str) -> frozenset[str] | None:
    """Return the digests of the images a decision cleared; None when that cannot be told."""
    try:
        table = workspace.cleared(workspace.decision(decision))
    except (EvidenceMissing, Tampered):
        return None
    return frozenset(table["sha256"].to_pylist())


def sealed_roots(workspace: Workspace) -> list[str]:
    """Return the roots of all snapshots that the ledger knows, each once."""
    sealed = workspace.ledger.entries("sealed")
    return list(dict.fromkeys(str(entry.body["snapshot"]) for entry in sealed))


def close(workspace: Workspace, prefix: str, *, by: str, note: str) -> Withdrawal:
    """Close the task of one withdrawal. Its samples stay withdrawn.

    Raises:
        UsageError: no open task or several begin so, or who or what was done is not said.
    """
    said = {"by": by.strip(), "note": note.strip()}
    for name, text in said.items():
        check_typed(text, name)
        if not text:
            raise UsageError(f"Closing a task takes --{name}; say it.")
    tasks = [w for w in withdrawals(workspace) if not w.closing and w.record.startswith(prefix)]
    if len(prefix) < LEAST or len(tasks) != 1:
        raise UsageError(
            f"{len(tasks)} open tasks begin with {printable(prefix)[:64]!r}; name one by at least "
            f"{LEAST} digits. `pramana withdraw --list` names them."
        )
    kept = workspace.store(canonical({**said, "nonce": secrets.token_hex(16)}))  # no guessing
    entry = workspace.ledger.append(DONE, {"record": tasks[0].record, "note": kept})
    return replace(tasks[0], closing=Closing(at=entry.at, **said))


def check_typed(text: str, what: str) -> None:
    """Raise UsageError when a person typed what cannot be printed, or too much of it."""
    if len(text) > LONGEST or printable(text) != text:
        raise UsageError(f"Say {what} in at most {LONGEST} plain characters.")


def _record(workspace: Workspace, request: Request, found: Found, *, now: datetime) -> bytes:
    received, own_days = now.astimezone(UTC).date(), workspace.declared().rights_days
    day, clock = due_on(received, own_days)
    return canonical(
        {
            "schema": SCHEMA,
            "images": sorted(found.images),
            "sources": sorted({plain(name) for name in request.sources}),
            "subjects": sorted({tag(workspace.salts, name) for name in request.subjects}),
            "unread": sorted(found.unread),
            "reason": request.reason,
            "by": request.by,
            "due_on": day.isoformat(),
            "clock": clock,
        }
    )


def _tell(workspace: Workspace, data: bytes) -> Withdrawal:
    """Keep a record, then tell the ledger of it and of all that follows, or of nothing."""
    record = workspace.store(data)
    made = Withdrawal.read(data, record=record, at="")
    body: dict[str, Json] = {
        "record": record,
        "images": len(made.images),
        "subjects": list(made.subjects),
    }
    acts = [(WITHDRAWN, body), *follow_ups(workspace, [made])]
    return replace(made, at=workspace.ledger.append_many(acts)[0].at)


def _erase(workspace: Workspace, images: frozenset[str]) -> tuple[int, int]:
    """Erase the keys of encrypted pictures, but for those with a case, which must stay (CS-14)."""
    kept = images.intersection(case.sha256 for case in cases(workspace.ledger))
    count = 0
    for root in sealed_roots(workspace):
        try:
            snapshot = workspace.snapshot(root)
            table = snapshot.manifest() if snapshot.encrypted else None
        except (EvidenceMissing, Tampered):  # `find` has told of it
            continue
        here = images.intersection(table["sha256"].to_pylist()) if table else frozenset[str]()
        if here - kept:
            count += erase(workspace, root, here - kept)
    return count, len(kept)


def _covers_some(
    workspace: Workspace, made: Withdrawal, found: Found, lasting: Collection[Handle]
) -> bool:
    alone = Standing.of([made], workspace.salts)
    return not alone.images.isdisjoint(found.images) or any(map(alone.knows, lasting))


def _check_ids(hits: Mapping[Handle, set[str]]) -> None:
    """Raise UsageError when an id names several pictures, EvidenceMissing when it names none."""
    for (kind, name), named in hits.items():
        if kind == SAMPLE and len(named) > 1:
            raise UsageError(
                f"The id {printable(name)[:60]!r} names {len(named)} pictures, in different "
                f"snapshots. Say which is meant by {IMAGE}."
            )
        if kind == SAMPLE and named == {NO_IMAGE}:
            raise EvidenceMissing(
                f"The sample {printable(name)[:60]!r} has no picture that could be read, so no run "
                f"used it. Take it out of its source, or withdraw by {SOURCE} or {SUBJECT}."
            )
