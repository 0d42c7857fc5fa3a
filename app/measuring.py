"""Measuring: seal what is named, measure each sample once, conclude. Nothing is judged here.

The one way in which a dataset gets its evidence: a source that may be trained on, and what a
trained model drew, go through the same steps and leave the same acts in the ledger.

Does not see: what follows from a finding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from app.cases import check_contact, with_cases
from governance.canon import Json, digest
from governance.records import Finding
from governance.rights.withdrawals import LeftOut, standing
from governance.sealing.release import unlocked
from governance.sealing.sealed import NewKeys
from governance.snapshot import Snapshot
from governance.workspace import Workspace
from training.records.record import Bars

if TYPE_CHECKING:
    from audits.audit import Audit, Conclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class StandsOn:
    """Digests of what was measured, by which audits under which settings, with which code."""

    measures: str
    audits: str
    audit_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A sealed set, all that is known of each sample, and what each audit concluded."""

    snapshot: Snapshot
    samples: pa.Table = field(repr=False)
    conclusions: Sequence[tuple[str, "Conclusion"]] = field(repr=False)
    stands_on: StandsOn
    left_out: int  # samples of the sources that were withdrawn, and are not in the snapshot

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What all audits found, in their order."""
        return tuple(finding for _, said in self.conclusions for finding in said.findings)


def measure(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    audits: Sequence["Audit"],
    bars: Bars,
    workers: int = 2,
    mapping: Mapping[str, str] = MappingProxyType({}),
    sealed: bool = False,
) -> Measured:
    """Seal, measure and conclude; what was measured and recorded before is not measured again.

    What each room raises passes through.
    """
    from audits import engine  # noqa: PLC0415  heavy

    snapshot, left_out = _sealed(workspace, sources, mapping=mapping, sealed=sealed, bars=bars)
    check_contact(workspace.declared(), snapshot)
    code = engine.audit_code_digest(audits)
    settings = digest({"audits": engine.audits_digest(audits), "code": code})
    named: dict[str, Json] = {"snapshot": snapshot.root, "audits": settings}
    folder = workspace.measures(snapshot.root, settings)

    def record(part: str, sha256: str) -> None:
        workspace.ledger.append("measured", {**named, "part": part, "sha256": sha256})

    measured = engine.measure(
        snapshot,
        audits,
        folder=folder,
        recorded=workspace.recorded_parts(snapshot.root, settings),
        record=record,
        workers=workers,
        progress=bars("measuring", snapshot.samples),
    )
    measures = engine.open_measures(folder, recorded=measured.parts, snapshot=snapshot)
    done = bars("concluding", None)
    conclusions = engine.conclude(snapshot, audits, measures)
    samples = engine.joined(snapshot.manifest(), measures, conclusions)
    done(1)
    return Measured(
        snapshot=snapshot,
        samples=with_cases(workspace, snapshot, samples),
        conclusions=conclusions,
        stands_on=StandsOn(
            measures=engine.measures_digest(measured.parts), audits=settings, audit_code=code
        ),
        left_out=left_out,
    )


def _sealed(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    mapping: Mapping[str, str],
    sealed: bool,
    bars: Bars,
) -> tuple[Snapshot, int]:
    """Return the sources as one snapshot that can be read here, and how many were left out."""
    from audits.reading.ingest import ingest  # noqa: PLC0415  heavy

    left_out = LeftOut(standing(workspace))
    snapshot = ingest(
        sources,
        snapshots=workspace.snapshots,
        mapping=mapping,
        progress=bars("reading", None),
        keys=NewKeys(workspace.data_keys) if sealed else None,
        leave_out=left_out,
    )
    said: dict[str, Json] = {
        "samples": snapshot.samples,
        "encrypted": snapshot.encrypted,
        "left_out": left_out.count,
    }
    workspace.ledger.append("sealed", {"snapshot": snapshot.root, **said})
    return unlocked(workspace, snapshot), left_out.count
