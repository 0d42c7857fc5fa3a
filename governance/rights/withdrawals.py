"""Withdrawals on record: which samples were taken back, and the task that each of them opened.

A withdrawal is a record kept by its digest and one act in the ledger, which holds the digest, a
count and salted tags. From that act on its samples are left out of every new snapshot, and what
cleared them is refused.

Does not see: copies of a picture that were saved anew, which have other bytes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from governance.canon import Json
from governance.errors import Refused, Tampered
from governance.records import Decision, json_object
from governance.rights.handles import (
    IMAGE,
    SOURCE,
    SUBJECT,
    Handle,
    Row,
    rows_of,
    sources_of,
    subjects_of,
)
from governance.signers.salts import known_tag
from governance.workspace import Workspace

WITHDRAWN, DONE, FLAGGED = "withdrawn", "withdrawal.done", "card.flagged"
SCHEMA: Final = "pramana.withdrawal/v1"
LISTS: Final = ("images", "sources", "subjects", "unread")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Who closed a task, when, and what they noted."""

    at: str
    by: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A withdrawal: what it covers, and the task that it opened.

    `record` is the digest that names it; `subjects` are tags, never names; `unread` are snapshots
    that could not be looked through; `due_on` is a day, and `clock` says what set it.
    """

    record: str
    at: str
    images: tuple[str, ...]
    sources: tuple[str, ...]
    subjects: tuple[str, ...]
    unread: tuple[str, ...]
    reason: str
    by: str
    due_on: str
    clock: str
    closing: Closing | None = None

    @property
    def task(self) -> str:
        """Return the short name of the task."""
        return self.record[:12]

    @classmethod
    def read(cls, data: bytes, *, record: str, at: str) -> Self:
        """Read a record. Raises Tampered when a field is missing or unknown."""
        said = json_object(data, "a withdrawal")
        if said.pop("schema", None) != SCHEMA:
            raise Tampered(f"The record {record[:12]} is no withdrawal; restore it.")
        try:
            lists = {name: tuple(said[name]) for name in LISTS}
            return cls(**{**said, **lists, "record": record, "at": at})
        except (KeyError, TypeError) as fault:
            raise Tampered(f"The withdrawal {record[:12]} lacks a field: {fault}.") from None


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is withdrawn by now: images, sources and hosts, and tags of subjects."""

    images: frozenset[str]
    sources: frozenset[str]
    subjects: frozenset[str]
    salts: Path

    @classmethod
    def of(cls, made: Sequence[Withdrawal], salts: Path) -> Self:
        """Return what withdrawals cover. A closed task does not bring a sample back."""
        return cls(
            frozenset(image for withdrawal in made for image in withdrawal.images),
            frozenset(name for withdrawal in made for name in withdrawal.sources),
            frozenset(subject for withdrawal in made for subject in withdrawal.subjects),
            salts,
        )

    def covers(self, row: Row) -> bool:
        """Return whether a row of a manifest is withdrawn; one that came later counts, too."""
        if row["sha256"] in self.images:
            return True
        if self.sources and not self.sources.isdisjoint(sources_of(row)):
            return True
        return bool(self.subjects) and any(map(self._is_subject, subjects_of(row)))

    def among(self, table: pa.Table) -> int:
        """Return how many rows of a manifest are withdrawn."""
        if self.sources or self.subjects:
            return sum(map(self.covers, rows_of(table)))
        return sum(image in self.images for image in table["sha256"].to_pylist())

    def knows(self, handle: Handle) -> bool:
        """Return whether a source, a subject or an image is withdrawn by this very name."""
        kind, name = handle
        if kind == SUBJECT:
            return self._is_subject(name)
        return name in {IMAGE: self.images, SOURCE: self.sources}.get(kind, frozenset())

    def _is_subject(self, name: str) -> bool:
        return known_tag(self.salts, name) in self.subjects


@dataclass(slots=True)
class LeftOut:
    """Asked of each row while a source is read: is it withdrawn? Counts those that are."""

    standing: Standing
    count: int = 0

    def __call__(self, row: Row) -> bool:
        """Return whether to leave this row out."""
        found = self.standing.covers(row)
        self.count += found
        return found


def withdrawals(workspace: Workspace) -> list[Withdrawal]:
    """Return all withdrawals, in the order they were made.

    Raises:
        EvidenceMissing, Tampered: a record is gone, or was altered.
    """
    found: dict[str, Withdrawal] = {}
    for entry in workspace.ledger.entries(WITHDRAWN):
        record = str(entry.body["record"])
        data = workspace.load(record, "a withdrawal")
        found[record] = Withdrawal.read(data, record=record, at=entry.at)
    for entry in workspace.ledger.entries(DONE):
        record = str(entry.body["record"])
        said = json_object(workspace.load(str(entry.body["note"]), "a note"), "a note")
        closing = Closing(at=entry.at, by=str(said["by"]), note=str(said["note"]))
        found[record] = replace(found[record], closing=closing)
    return list(found.values())


def standing(workspace: Workspace) -> Standing:
    """Return all that is withdrawn by now. Raises EvidenceMissing, Tampered."""
    return Standing.of(withdrawals(workspace), workspace.salts)


def check_not_withdrawn(workspace: Workspace, decision: Decision) -> None:
    """Refuse what was cleared before one of its samples was withdrawn.

    Raises:
        Refused: one was.
        EvidenceMissing, Tampered: the cleared samples or a withdrawal are gone, or were altered.
    """
    known = standing(workspace)
    if not (known.images or known.sources or known.subjects):
        return
    count = known.among(workspace.cleared(decision))
    if count:
        raise Refused(
            f"{count} of the samples that decision {decision.id[:12]} cleared were withdrawn "
            "(`pramana withdraw --list`). Run `pramana audit` again: it leaves them out."
        )


def for_card(workspace: Workspace, cleared: Collection[str]) -> list[dict[str, Json]]:
    """Return the withdrawals that touch a run, as its card prints them.

    Args:
        workspace: where the withdrawals are on record.
        cleared: digests of the images that the run was cleared to train on.
    """
    images, told = frozenset(cleared), list[dict[str, Json]]()
    for withdrawal in withdrawals(workspace):
        digests = sorted(images.intersection(withdrawal.images))
        if digests:
            told.append({
                "at": withdrawal.at, "record": withdrawal.record, "samples": len(digests),
                "digests": digests, "task": withdrawal.task,
            })  # fmt: skip
    return told


def checks(workspace: Workspace) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield, for each withdrawal in the ledger, a line about it and the act that verifies it."""
    flags = workspace.ledger.entries(FLAGGED)
    for entry in workspace.ledger.entries(WITHDRAWN):
        record = str(entry.body["record"])
        runs = [str(flag.body["run"]) for flag in flags if flag.body["record"] == record]
        says = f"flags the card of {', '.join(runs)}" if runs else "touches no run"
        label = f"withdrawal {record[:12]}: pictures {entry.body['images']}; {says}"
        yield label, partial(_verify, workspace, record, entry.body)


def _verify(workspace: Workspace, record: str, body: Mapping[str, Json]) -> None:
    data = workspace.load(record, "a withdrawal")
    found = Withdrawal.read(data, record=record, at="")
    if (len(found.images), list(found.subjects)) != (body["images"], body["subjects"]):
        raise Tampered(f"Withdrawal {record[:12]} covers other samples than the ledger was told.")
