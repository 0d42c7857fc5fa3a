"""A workspace with two snapshots, of which samples are withdrawn."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from governance.canon import canonical, digest, sha256
from governance.clearance import Terms, issue, read_clearance
from governance.records import Decision
from governance.rights.handles import NO_IMAGE
from governance.rights.requests import Answer, Request, withdraw
from governance.snapshot import (
    MANIFEST,
    TEXT_COLUMNS,
    Snapshot,
    samples_root,
    seal,
    write_table,
)
from governance.statements import payload_of
from governance.workspace import Workspace

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRETS = ("Asha Rao", "asha rao", "consent-1", "photos.example.org", "she wrote to us", "B. Sen")


def image_of(number: int) -> str:
    return sha256(f"picture {number}".encode())


def row_of(name: str, image: int | None, **said: str) -> dict[str, object]:
    return {
        **dict.fromkeys(TEXT_COLUMNS), "id": name, "shard": 0, "row": 0, "source": "one.parquet",
        "attributes": "{}", "extra": "{}", "caption": "secret", "size_bytes": 1,
        "sha256": NO_IMAGE if image is None else image_of(image), **said,
    }  # fmt: skip


FIRST = [
    row_of("a", 1, consent_ref="consent-1", source_url="https://Photos.Example.org/1.jpg"),
    row_of("b", 2, attributes='{"person_id":"P7"}', source_url="https://[hostile"),
    row_of("c", 3, extra='{"Subject":["Asha Rao","B. Sen"]}'),
    row_of("d", None, consent_ref="consent-1"),
    row_of("e", 1, source="two.parquet", consent_ref="consent-2; consent-3"),
    row_of("f", 4, source="two.parquet", extra='{"SubjectID":7}'),
]
SECOND = [row_of("a", 9), row_of("b", 2), row_of("g", 10, source="three.csv")]


@dataclass(frozen=True)
class House:
    """A workspace with two snapshots; the first six samples were cleared, and runs trained."""

    workspace: Workspace
    first: Snapshot
    second: Snapshot
    decision: Decision

    @classmethod
    def at(cls, folder: Path) -> "House":
        workspace = Workspace.at(folder)
        first, second = sealed(workspace, FIRST), sealed(workspace, SECOND)
        return cls(workspace, first, second, decided(workspace, first, first.manifest()))

    def withdraw(self, **named) -> Answer:
        return withdraw(self.workspace, Request(**named), now=NOON)

    def told(self, kind: str) -> list[dict]:
        return [dict(entry.body) for entry in self.workspace.ledger.entries(kind)]

    def clear(self, decision: Decision, run: str = "", *, ended: str = "") -> bytes:
        """Issue a clearance; a run uses it, and ends where an act says so."""
        ledger, terms = self.workspace.ledger, Terms(run_config="0" * 64, budget_s=60, host="cpu")
        signer = self.workspace.keyring.signer("gate")
        envelope = issue(decision, terms=terms, signer=signer, now=NOON)
        clearance = read_clearance(payload_of(envelope)).id
        ledger.append("cleared", {"clearance": clearance, "decision": decision.id})
        if run:
            ledger.spend(clearance, run)
        if ended:
            ledger.append(ended, {"run": run})
        return envelope


def sealed(workspace: Workspace, rows: list[dict]) -> Snapshot:
    table = pa.Table.from_pylist(rows, MANIFEST)
    snapshot = seal(workspace.snapshots, rows=table, shards=(), sources=("s",))
    workspace.ledger.append("sealed", {"snapshot": snapshot.root, "samples": snapshot.samples})
    return snapshot


def decided(workspace: Workspace, snapshot: Snapshot, cleared: pa.Table) -> Decision:
    decision = Decision(
        snapshot=snapshot.root, samples=snapshot.samples, measures=digest("measures"),
        audits=digest("audits"), audit_code=digest("code"), findings=digest("findings"),
        as_of="2026-11-23", verdict="pass", cleared_root=samples_root(cleared),
        cleared=cleared.num_rows, excluded=snapshot.samples - cleared.num_rows, policies=(),
        rules=(),
    )  # fmt: skip
    folder = workspace.decision_folder(decision.id)
    write_table(folder / "cleared.parquet", cleared)
    (folder / "decision.json").write_bytes(canonical(decision.to_json()))
    workspace.ledger.append("decided", {"decision": decision.id, "snapshot": snapshot.root})
    return decision
