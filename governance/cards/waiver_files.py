"""The waivers behind a card: their signed papers, the acts on them, and how to hold them together.

A bundle carries each waiver as it stood when the ledger was told of the decision: the request, what
people said to it, and proofs that the ledger held each before it held the decision.

Does not see: a revocation that came after the decision; it ends the run, and the ledger tells it.
"""

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from governance.canon import Json, canonical
from governance.cards.evidence import Evidence
from governance.errors import EvidenceMissing, Tampered
from governance.records import as_object, json_object
from governance.signers.trust import Trust
from governance.statements import payload_of
from governance.trail import merkle
from governance.trail.note import Checkpoint, unbase64

if TYPE_CHECKING:
    from governance.trail.ledger import Entry, Ledger
    from governance.waiving.approvals import Extends
    from governance.waiving.papers import Papers
    from governance.workspace import Workspace

WAIVERS, INDEX, SAID = "waivers", "papers.json", "waiver.json"
CONSISTENCY = ".consistency"
Read = Callable[[str], bytes]  # returns a file of the bundle's ledger folder, by its name


def waiver_evidence(
    workspace: "Workspace", decision: str, waivers: tuple[str, ...]
) -> dict[str, bytes]:
    """Return the evidence files of the waivers that a decision stands on.

    Raises:
        Refused, Tampered, EvidenceMissing: one does not hold, or its papers are gone.
    """
    if not waivers:
        return {}
    from governance.waiving.papers import entries_on_waivers  # noqa: PLC0415  heavy
    from governance.waiving.waived import decision_waivers, papers_of  # noqa: PLC0415  heavy

    known = workspace.decision(decision)
    told = next(e for e in workspace.ledger.entries("decided") if e.body["decision"] == decision)
    before = [e for e in entries_on_waivers(workspace.ledger) if e.number < told.number]
    held = {waiver.id: waiver for waiver in decision_waivers(workspace, known)}
    files = {}
    for papers in papers_of(workspace, waivers, before):
        folder = f"{WAIVERS}/{papers.id}"
        files[f"{folder}/{SAID}"] = canonical(held[papers.id].to_json())
        files[f"{folder}/{INDEX}"] = canonical(
            {
                "requested": _row(papers.requested),
                "acts": [_row(entry) for entry in papers.acts],
                "earlier": [_row(entry) for entry in papers.earlier],
            }
        )
        for name, data in papers.documents.items():
            files[f"{folder}/{_document(name)}"] = data
    return files


def rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Yield every act on a waiver that the evidence speaks of, each once, by its number."""
    found: dict[int, dict[str, Any]] = {}
    for waiver in evidence.decision().waivers:
        index = _index(evidence, waiver)
        for row in (index["requested"], *index["acts"], *index["earlier"]):
            found[row["number"]] = row
    yield from (found[number] for number in sorted(found))


def cited_sizes(evidence: Evidence) -> Iterator[int]:
    """Yield the sizes of the ledger that the papers cite, each of which has to be proved."""
    sizes = {
        int(json_object(payload_of(data), "a paper")["predicate"]["size"])
        for name, data in evidence.files.items()
        if name.startswith(f"{WAIVERS}/") and name.endswith(".sigstore.json")
    }
    yield from sorted(sizes - {0})


def consistency_files(ledger: "Ledger", evidence: Evidence, *, size: int) -> dict[str, bytes]:
    """Return, for each size that the papers cite, the proof that the checkpoint extends it."""
    return {
        f"{old}{CONSISTENCY}": b"".join(
            base64.b64encode(step) + b"\n" for step in ledger.consistency(old, size)
        )
        for old in cited_sizes(evidence)
    }


def check_papers(
    evidence: Evidence,
    *,
    trust: Trust,
    leaf_of: Callable[[int], bytes],
    at: str,
    extends: "Extends",
) -> None:
    """Hold a decision to its waivers, as they stood when the ledger was told of it.

    Args:
        evidence: with the papers.
        trust: whose signatures count.
        leaf_of: returns the ledger's entry on an act by its number, whose proof was checked.
        at: when the ledger was told of the decision.
        extends: raises unless a size and a root are of an earlier tree of the ledger.

    Raises:
        Refused, Tampered, EvidenceMissing: a waiver does not hold, or its papers do not.
    """
    decision = evidence.decision()
    if not decision.waivers:
        aside = [rule.id for rule in decision.rules if rule.waived or rule.status == "waived"]
        if aside or decision.verdict == "pass-with-waivers":
            raise Tampered(f"Something was set aside ({', '.join(aside)}) and no waiver is named.")
        return
    from governance.waiving.approvals import check_waivers  # noqa: PLC0415  heavy

    papers = [_papers(evidence, waiver, leaf_of) for waiver in decision.waivers]
    now = datetime.fromisoformat(at)
    for waiver in check_waivers(decision, papers, trust=trust, extends=extends, now=now):
        if canonical(waiver.to_json()) != evidence.bytes_of(f"{WAIVERS}/{waiver.id}/{SAID}"):
            raise Tampered(f"What is said of waiver {waiver.id[:12]} is not what its papers say.")


def extends_by(checkpoint: Checkpoint, read: Read) -> "Extends":
    """Return what raises unless a size and a root are of an earlier tree of a checkpoint's."""

    def extends(size: int, root: str) -> None:
        if size == 0 and root == merkle.EMPTY_ROOT.hex():
            return
        steps = read(f"{size}{CONSISTENCY}").decode(errors="replace").splitlines()
        merkle.check_consistency(
            old_size=size,
            size=checkpoint.size,
            proof=[unbase64(step) for step in steps],
            old_root=bytes.fromhex(root),
            expected_root=checkpoint.root,
        )

    return extends


def said_of_waivers(evidence: Evidence) -> list[dict[str, Any]]:
    """Return what a card says of each waiver: rule, count, who by role, why, until when."""
    return [evidence.json(f"{WAIVERS}/{name}/{SAID}") for name in evidence.decision().waivers]


def _papers(evidence: Evidence, waiver: str, leaf_of: Callable[[int], bytes]) -> "Papers":
    from governance.trail.ledger import Entry  # noqa: PLC0415  heavy
    from governance.waiving.papers import Papers  # noqa: PLC0415  heavy

    index = _index(evidence, waiver)
    requested, *acts = (
        Entry.of(leaf_of(row["number"])) for row in (index["requested"], *index["acts"])
    )
    names = [str(entry.body.get("document")) for entry in (requested, *acts)]
    return Papers(
        requested=requested,
        acts=tuple(acts),
        earlier=tuple(Entry.of(leaf_of(row["number"])) for row in index["earlier"]),
        documents={n: evidence.bytes_of(f"{WAIVERS}/{waiver}/{_document(n)}") for n in names},
        policy=_policy(evidence, str(requested.body.get("policy_sha256"))),
    )


def _policy(evidence: Evidence, digest: str) -> bytes:
    for name, data in evidence.files.items():
        if name.startswith("policies/") and evidence.digest(name) == digest:
            return data
    raise EvidenceMissing(f"The policy {digest[:12]} that a waiver is about is not in the bundle.")


def _index(evidence: Evidence, waiver: str) -> dict[str, Any]:
    found = evidence.json(f"{WAIVERS}/{waiver}/{INDEX}")
    try:
        numbers = [
            int(row["number"]) for row in (found["requested"], *found["acts"], *found["earlier"])
        ]
    except (KeyError, TypeError, ValueError):
        numbers = [-1]
    if min(numbers) < 0:
        raise Tampered(f"The index of the papers of waiver {waiver[:12]} does not read.")
    return found


def _row(entry: "Entry") -> dict[str, Json]:
    said = as_object(entry.body, "the body of a ledger entry")
    return {
        "number": entry.number,
        "kind": entry.kind,
        "waiver": said["waiver"],
        "document": said["document"],
    }


def _document(digest: str) -> str:
    return f"{digest[:16]}.sigstore.json"
