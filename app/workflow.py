"""The main path as a few functions: audit, clear, train, export. Each step appends to the ledger.

The only place where the rooms meet. Nothing is decided here: audits measure, policies judge,
governance permits, training obeys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from app.cases import with_child_safety
from app.clearing import check_may_train, clear, waiting
from app.keeper import unlock
from app.measuring import StandsOn, measure
from app.waivers import moment
from app.weights import cleared_weights, weights_of
from governance import attest
from governance.canon import Json, file_sha256, parse_json, write_whole
from governance.clearance import Terms, read_clearance
from governance.errors import EvidenceMissing, Tampered
from governance.records import (
    FINISHED,
    RUN_ENDS,
    SPENT,
    Decision,
    Finding,
    as_object,
    findings_bytes,
)
from governance.sealing.release import PACKAGE_FILE
from governance.snapshot import MANIFEST, Snapshot, samples_root, write_table
from governance.statements import PROVENANCE, payload_of, sign, statement
from governance.verify import CLEARANCE_FILE, PROVENANCE_FILE, RESULT_FILE
from governance.waiving.waived import InForce, in_force
from governance.weights import dependencies
from governance.workspace import Workspace, write_json
from training.records.record import Bars

if TYPE_CHECKING:
    from audits.audit import Audit, Conclusion
    from governance.waiving.approvals import Waiver
    from policies.decide import Judgement
    from policies.rules import Pack
    from training.config import RunConfig
    from training.records.record import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit ended with."""

    snapshot: Snapshot
    decision: Decision
    findings: tuple[Finding, ...]
    audits: tuple["Audit", ...]
    samples: pa.Table = field(repr=False)  # all that is known of each, and whether it is `cleared`
    left_out: int = 0  # samples of the sources that were withdrawn, and are not in the snapshot
    waivers: tuple["Waiver", ...] = ()  # those that had an effect
    idle: tuple[str, ...] = ()  # a sentence on each that had none


def audit(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    packs: Sequence[str],
    as_of: date,
    bars: Bars,
    workers: int = 2,
    mapping: Mapping[str, str] = MappingProxyType({}),
    sealed: bool = False,
) -> Audited:
    """Seal, measure, conclude and decide; with `sealed` every picture is encrypted as it is read.

    What each room raises passes through.
    """
    from audits.identity.salt import salt_at  # noqa: PLC0415  heavy
    from audits.registry import audits_of  # noqa: PLC0415  heavy
    from policies.rules import load_pack  # noqa: PLC0415  heavy

    # a bad policy or setting is told before an hour of work
    policies = [load_pack(name) for name in with_child_safety(packs)]
    audits = audits_of(
        workspace.declared().audits, folder=workspace.folder, salt=salt_at(workspace.salt)
    )
    measured = measure(
        workspace,
        sources,
        audits=audits,
        bars=bars,
        workers=workers,
        mapping=mapping,
        sealed=sealed,
    )
    snapshot, samples = measured.snapshot, measured.samples
    waivers = in_force(workspace, snapshot.root, snapshot.manifest(), now=moment(as_of))
    findings, judgement = _judged(
        samples, measured.conclusions, policies, waivers=waivers, as_of=as_of
    )
    decision = _keep_decision(
        workspace,
        snapshot,
        judgement,
        findings=findings,
        stands_on=measured.stands_on,
        audits=[audit.name for audit in audits],
        as_of=as_of,
    )
    kept = set(judgement.cleared.to_pylist())
    cleared = pa.array([name in kept for name in samples["id"].to_pylist()])
    return Audited(
        snapshot=snapshot,
        decision=decision,
        findings=findings,
        audits=audits,
        samples=samples.append_column("cleared", cleared),
        left_out=measured.left_out,
        waivers=tuple(waiver for waiver in waivers.waivers if waiver.id in judgement.waivers),
        idle=(*waivers.idle, *judgement.idle),
    )


def _judged(
    samples: pa.Table,
    conclusions: Sequence[tuple[str, "Conclusion"]],
    policies: Sequence["Pack"],
    *,
    waivers: InForce,
    as_of: date,
) -> tuple[tuple[Finding, ...], "Judgement"]:
    """Hold the rules against the evidence, and then the exclusions against parity."""
    from audits.people.parity import parity  # noqa: PLC0415  heavy
    from policies.decide import judge  # noqa: PLC0415  heavy

    findings = tuple(finding for _, said in conclusions for finding in said.findings)
    covered = samples.append_column("covered", pa.array([True] * samples.num_rows))
    audits_run = [name for name, _ in conclusions]
    judgement = judge(
        covered,
        audits_run=audits_run,
        findings=findings,
        packs=policies,
        as_of=as_of,
        snapshot=waivers.snapshot,
        waivers=waivers.active,
    )
    return (*findings, *parity(samples, judgement.excluded)), judgement


def _keep_decision(
    workspace: Workspace,
    snapshot: Snapshot,
    judgement: "Judgement",
    *,
    findings: Sequence[Finding],
    stands_on: StandsOn,
    audits: Sequence[str],
    as_of: date,
) -> Decision:
    """Write a decision and its tables, sign for it, then say so in the ledger."""
    manifest = snapshot.manifest()
    kept = set(judgement.cleared.to_pylist())
    cleared = manifest.filter(pa.array(name in kept for name in manifest["id"].to_pylist()))
    for text in judgement.texts:
        workspace.store(text.data)
    decision = Decision(
        snapshot=snapshot.root,
        samples=snapshot.samples,
        findings=workspace.store(findings_bytes(findings)),
        verdict=judgement.verdict,
        cleared_root=samples_root(cleared),
        cleared=cleared.num_rows,
        excluded=snapshot.samples - cleared.num_rows,
        policies=tuple(text.used for text in judgement.texts),
        rules=judgement.rules,
        waivers=judgement.waivers,
        measures=stands_on.measures,
        audits=stands_on.audits,
        audit_code=stands_on.audit_code,
        as_of=as_of.isoformat(),
    )
    folder = workspace.decision_folder(decision.id)
    write_table(folder / "cleared.parquet", cleared.cast(MANIFEST))
    write_table(folder / "excluded.parquet", judgement.excluded)
    write_json(folder / "decision.json", decision.to_json())
    signer = workspace.keyring.signer
    measured = sign(attest.audited(decision, audits), signer("auditor"))
    decided = sign(attest.decided(decision, at=datetime.now(UTC).isoformat()), signer("gate"))
    body: dict[str, Json] = {
        "decision": decision.id,
        "snapshot": snapshot.root,
        "verdict": decision.verdict,
        "cleared_root": decision.cleared_root,
        "excluded_sha256": file_sha256(folder / "excluded.parquet"),
        "audit_statement": workspace.store(measured),
        "decision_statement": workspace.store(decided),
    }
    workspace.ledger.append("decided", body)
    return decision


def train(
    workspace: Workspace,
    *,
    preset: str,
    budget_s: float,
    started_at: float,
    bars: Bars,
    envelope: bytes | None = None,
) -> tuple[Path, "Result"]:
    """Train on what is cleared, to the deadline; resume a run that was cut off.

    Of several processes that `torchrun` started, the first asks the gate and signs.

    Args:
        workspace: where the evidence lies.
        preset: the name of a preset.
        budget_s: seconds of wall clock from `started_at` until everything has ended.
        started_at: seconds since the epoch at which the command began.
        bars: draws progress.
        envelope: a clearance to use; None asks the gate for one under the latest decision.

    Returns:
        The run's folder and its result. What training raises passes through.
    """
    from app.draw import blocklist  # noqa: PLC0415  heavy
    from training.config import load_preset  # noqa: PLC0415  heavy
    from training.records.meters import Rate  # noqa: PLC0415  heavy
    from training.start import start  # noqa: PLC0415  heavy
    from training.taught.pins import pinned  # noqa: PLC0415  heavy
    from training.team.launch import met  # noqa: PLC0415  heavy

    declared = workspace.declared()
    config, rate = pinned(load_preset(preset), declared.weights), Rate.read(declared.hourly_rate)
    with met(config) as team:
        asked = partial(
            _permitted, workspace, config, budget_s, envelope, world=team.world if team else 1
        )
        folder, envelope = team.first(asked) if team else asked()
        decision = workspace.decision(read_clearance(payload_of(envelope)).decision)
        result = start(
            folder=folder,
            envelope=envelope,
            trust=workspace.keyring.trust(),
            cleared=workspace.decision_folder(decision.id) / "cleared.parquet",
            snapshot=workspace.snapshot(decision.snapshot),
            config=config,
            ledger=workspace.ledger,
            memory=workspace.memory,
            unlock=partial(unlock, workspace, folder),
            started_at=started_at,
            budget_s=budget_s,
            bars=bars,
            rate=rate,
            blocklist=blocklist(),
            team=team,
        )
    if team is None or not team.rank:
        sign_run(workspace, folder)
        (folder / PACKAGE_FILE).unlink(missing_ok=True)  # a run that is over reads no more
    return folder, result


def _permitted(
    workspace: Workspace,
    config: "RunConfig",
    budget_s: float,
    envelope: bytes | None,
    *,
    world: int,
) -> tuple[Path, bytes]:
    """Return the folder of a run and its clearance: of one cut off, as given, or from the gate."""
    from training.start import terms_of  # noqa: PLC0415  heavy

    workspace.memory.check(workspace.ledger, workspace.keyring.trust())
    _attest_left_over(workspace)
    terms, weights = terms_of(config, budget_s, world=world), weights_of(workspace, config)
    folder = None if envelope else _cut_off(workspace, terms)
    if folder is not None:
        envelope = (folder / CLEARANCE_FILE).read_bytes()
    if envelope is None:
        decision = workspace.latest_decision()
        envelope = waiting(workspace, decision, terms) or clear(
            workspace, decision, terms, preset=config.preset, weights=weights
        )
    clearance = read_clearance(payload_of(envelope))  # shown to no gate yet: only names places
    check_may_train(workspace, workspace.decision(clearance.decision))
    return folder or workspace.runs / clearance.id[:16], envelope


def sign_run(workspace: Workspace, folder: Path) -> None:
    """Sign what a finished run left: SLSA provenance over its files, by the trainer's key."""
    clearance = read_clearance(payload_of((folder / CLEARANCE_FILE).read_bytes()))
    names = [RESULT_FILE, "config.json", "receipts.jsonl", "metrics.jsonl", "samples.png"]
    if (folder / "evaluation.json").is_file():
        names.append("evaluation.json")
    pipeline = sorted(p for p in (folder / "pipeline").rglob("*") if p.is_file())
    names += [path.relative_to(folder).as_posix() for path in pipeline]
    result = as_object(parse_json((folder / RESULT_FILE).read_bytes()), "a result")
    predicate: dict[str, Json] = {
        "buildDefinition": {
            "buildType": "https://pramana.dev/train/v1",
            "externalParameters": {"preset": result.get("preset"), "budget_s": clearance.budget_s},
            "internalParameters": {"run_config": clearance.run_config},
            "resolvedDependencies": [
                {"name": "cleared-samples", "digest": {"sha256": clearance.cleared_root}},
                {"name": "clearance", "digest": {"sha256": clearance.id}},
                *dependencies(cleared_weights(workspace, clearance.id)),
            ],
        },
        "runDetails": {
            "builder": {"id": "https://pramana.dev/trainer/v1"},
            "metadata": {"invocationId": folder.name},
        },
    }
    payload = statement(
        PROVENANCE,
        subjects={name: file_sha256(folder / name) for name in names},
        predicate=predicate,
    )
    write_whole(folder / PROVENANCE_FILE, sign(payload, workspace.keyring.signer("trainer")))


def _attest_left_over(workspace: Workspace) -> None:
    """Sign for runs that ended and were killed before they could be signed for."""
    for entry in workspace.ledger.entries(FINISHED):
        folder = workspace.runs / str(entry.body["run"])
        result = folder / RESULT_FILE
        if not (folder / PROVENANCE_FILE).is_file() and result.is_file():
            if file_sha256(result) != entry.body["result"]:
                raise Tampered(f"The result of run {folder.name} was altered after the run ended.")
            sign_run(workspace, folder)


def _cut_off(workspace: Workspace, terms: Terms) -> Path | None:
    """Return the newest run of these terms that began and did not end."""
    ended = {str(e.body["run"]) for kind in RUN_ENDS for e in workspace.ledger.entries(kind)}
    for entry in reversed(workspace.ledger.entries(SPENT)):
        folder = workspace.runs / str(entry.body["run"])
        if folder.name in ended or not (folder / CLEARANCE_FILE).is_file():
            continue
        clearance = read_clearance(payload_of((folder / CLEARANCE_FILE).read_bytes()))
        if (clearance.run_config, clearance.budget_s) == (terms.run_config, terms.budget_s):
            return folder
    return None


def export_card(workspace: Workspace, run: str, out: Path) -> Path:
    """Write the bundle of a finished run. Raises UsageError, EvidenceMissing, Tampered."""
    from governance.cards.bundle import make_bundle  # noqa: PLC0415  heavy

    workspace.memory.remember(workspace.ledger, workspace.keyring.trust())
    folder = workspace.run_folder(run)
    if not (folder / PROVENANCE_FILE).is_file():
        raise EvidenceMissing(f"Run {folder.name} has not ended; resume it with `pramana train`.")
    return make_bundle(workspace, folder, out)
