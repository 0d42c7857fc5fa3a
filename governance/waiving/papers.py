"""The papers of a waiver: what the ledger was told of it, and the signed documents behind that.

The ledger holds digests, ids, counts and salted tags of people; the documents, which name people,
lie beside it and can be erased.

Does not see: whether a document is a good one. `governance.waiving.approvals` examines them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from governance.canon import Json, sha256
from governance.errors import Refused, Tampered
from governance.trail.ledger import Entry, Ledger
from governance.waiving.waivers import Act, Request

REQUESTED, APPROVED = "waiver.requested", "waiver.approved"
REJECTED, REVOKED = "waiver.rejected", "waiver.revoked"
KINDS: Final = (REQUESTED, APPROVED, REJECTED, REVOKED)
TAGS = ("person", "owner")  # the fields of an entry that hold salted tags of people
SHORT = 12  # hex digits people compare by eye


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """All there is on one waiver: ledger entries, signed documents by digest, the policy's text.

    `earlier` are requests of the same rule before this one, and approvals of those.
    """

    requested: Entry
    acts: tuple[Entry, ...]
    earlier: tuple[Entry, ...]
    documents: Mapping[str, bytes]
    policy: bytes

    @property
    def id(self) -> str:
        """Return the id of the waiver."""
        return str(self.requested.body["waiver"])

    def document(self, entry: Entry) -> bytes:
        """Return what an entry recorded. Raises Tampered when it is not those bytes."""
        name = str(entry.body.get("document"))
        found = self.documents.get(name, b"")
        if sha256(found) != name:
            raise Tampered(f"A document on waiver {self.id[:SHORT]} was altered, or is not here.")
        return found


def requested_body(
    request: Request, envelope: bytes, *, key: str, owner_key: str
) -> dict[str, Json]:
    """Return what the ledger is told of a request, but for who asks and who owns the data."""
    names = (
        "policy",
        "policy_sha256",
        "rule",
        "decision",
        "snapshot",
        "subject",
        "count",
        "quorum",
    )
    said: dict[str, Json] = {name: getattr(request, name) for name in names}
    told: dict[str, Json] = {"waiver": request.id, "document": sha256(envelope)}
    return {**said, **told, "key": key, "owner_key": owner_key}


def act_body(act: Act, envelope: bytes, *, key: str) -> dict[str, Json]:
    """Return what the ledger is told of what a person said, but for who it is."""
    told: dict[str, Json] = {"waiver": act.waiver, "document": sha256(envelope), "role": act.role}
    return {**told, "act": sha256(act.payload()), "key": key}


def entries_on_waivers(ledger: Ledger) -> list[Entry]:
    """Return every act on a waiver, in order."""
    found = (entry for kind in KINDS for entry in ledger.entries(kind))
    return sorted(found, key=lambda entry: entry.number)


def gather(entries: Sequence[Entry], waiver: str, load: Callable[[str, str], bytes]) -> Papers:
    """Return the papers of one waiver.

    Args:
        entries: acts on waivers, in order, as far as they are to count.
        waiver: its id, which a request among them has.
        load: returns kept bytes by their digest, and is told what they are.

    Raises:
        Refused: the ledger knows no such request. What `load` raises passes through.
    """
    asked = [e for e in entries if (e.kind, e.body["waiver"]) == (REQUESTED, waiver)]
    if not asked:
        raise Refused(f"waiver (2): the ledger knows of no request {waiver[:SHORT]}.")
    acts = tuple(e for e in entries if e.kind != REQUESTED and e.body["waiver"] == waiver)
    names = [str(entry.body["document"]) for entry in (asked[0], *acts)]
    return Papers(
        requested=asked[0],
        acts=acts,
        earlier=earlier_acts(entries, _rule(asked[0]), below=asked[0].number),
        documents={name: load(name, "a document on a waiver") for name in names},
        policy=load(str(asked[0].body["policy_sha256"]), "the policy of a waiver"),
    )


def earlier_acts(
    entries: Sequence[Entry], rule: tuple[str, str], *, below: int
) -> tuple[Entry, ...]:
    """Return requests of a rule (policy and id) and approvals of those, before an act's number."""
    before = [e for e in entries if e.number < below]
    same = {str(e.body["waiver"]) for e in before if e.kind == REQUESTED and _rule(e) == rule}
    wanted = {REQUESTED, APPROVED}
    return tuple(e for e in before if e.kind in wanted and e.body["waiver"] in same)


def granted(earlier: Sequence[Entry]) -> int:
    """Return how many waivers were approved by their quorum, among acts of earlier ones."""
    return sum(
        sum(e.kind == APPROVED and e.body["waiver"] == asked.body["waiver"] for e in earlier)
        >= int(str(asked.body["quorum"]))
        for asked in earlier
        if asked.kind == REQUESTED
    )


def _rule(entry: Entry) -> tuple[str, str]:
    return str(entry.body["policy"]), str(entry.body["rule"])
