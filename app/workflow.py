"""The main path as a few functions: audit, clear, train, export. Each step appends to the ledger.

The only place where the rooms meet. Nothing is decided here: audits measure, policies judge,
governance permits, training obeys.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from app.cases import check_cleared, check_contact, is_scraped, with_cases, with_child_safety
from governance.canon import Json, canonical, digest, file_sha256, parse_json, write_whole
from governance.clearance import Terms, issue, read_clearance
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.records import Decision, Finding, RuleResult, as_object, findings_bytes
from governance.snapshot import MANIFEST, Snapshot, samples_root, write_table
from governance.statements import PROVENANCE, payload_of, sign, statement
from governance.verify import CLEARANCE_FILE, PROVENANCE_FILE, RESULT_FILE, check_evidence
from governance.workspace import Workspace, write_json
from training.record import Bars

if TYPE_CHECKING:
    from audits.audit import Audit, Conclusion
    from policies.decide import Judgement
    from policies.rules import Pack
    from training.record import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit ended with."""

    snapshot: Snapshot
    decision: Decision
    findings: tuple[Finding, ...]
    audits: tuple["Audit", ...]
    samples: pa.Table = field(repr=False)  # all that is known of each, and whether it is `cleared`


@dataclass(frozen=True, slots=True, kw_only=True)
class StandsOn:
    """Digests of what was measured, by which audits under which settings, with which code."""

    measures: str
    audits: str
    audit_code: str


def audit(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    packs: Sequence[str],
    as_of: date,
    bars: Bars,
    workers: int = 2,
    mapping: Mapping[str, str] = MappingProxyType({}),
) -> Audited:
    """Seal, measure, conclude and decide. What each room raises passes through."""
    from audits import engine  # noqa: PLC0415  heavy
    from audits.identity.salt import salt_at  # noqa: PLC0415  heavy
    from audits.reading.ingest import ingest  # noqa: PLC0415  heavy
    from audits.registry import audits_of  # noqa: PLC0415  heavy
    from policies.rules import load_pack  # noqa: PLC0415  heavy

    # a bad policy or setting is told before an hour of work
    policies = [load_pack(name) for name in with_child_safety(packs)]
    audits = audits_of(
        workspace.declared().audits, folder=workspace.folder, salt=salt_at(workspace.salt)
    )
    snapshot = ingest(
        sources, snapshots=workspace.snapshots, mapping=mapping, progress=bars("reading", None)
    )
    ledger = workspace.ledger
    ledger.append("sealed", {"snapshot": snapshot.root, "samples": snapshot.samples})
    check_contact(workspace.declared(), snapshot)

    code = engine.audit_code_digest(audits)
    settings = digest({"audits": engine.audits_digest(audits), "code": code})
    named: dict[str, Json] = {"snapshot": snapshot.root, "audits": settings}
    folder = workspace.measures(snapshot.root, settings)

    def record(part: str, sha256: str) -> None:
        ledger.append("measured", {**named, "part": part, "sha256": sha256})

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
    samples = with_cases(workspace, snapshot, samples)
    findings, judgement = _judged(samples, conclusions, policies, as_of=as_of)
    done(1)
    decision = _keep_decision(
        workspace,
        snapshot,
        judgement,
        findings=findings,
        stands_on=StandsOn(
            measures=engine.measures_digest(measured.parts), audits=settings, audit_code=code
        ),
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
    )


def _judged(
    samples: pa.Table,
    conclusions: Sequence[tuple[str, "Conclusion"]],
    policies: Sequence["Pack"],
    *,
    as_of: date,
) -> tuple[tuple[Finding, ...], "Judgement"]:
    """Hold the rules against the evidence, and then the exclusions against parity."""
    from audits.people.parity import parity  # noqa: PLC0415  heavy
    from policies.decide import judge  # noqa: PLC0415  heavy

    findings = tuple(finding for _, said in conclusions for finding in said.findings)
    covered = samples.append_column("covered", pa.array([True] * samples.num_rows))
    audits_run = [name for name, _ in conclusions]
    judgement = judge(
        covered, audits_run=audits_run, findings=findings, packs=policies, as_of=as_of
    )
    return (*findings, *parity(samples, judgement.excluded)), judgement


def _keep_decision(
    workspace: Workspace,
    snapshot: Snapshot,
    judgement: "Judgement",
    *,
    findings: Sequence[Finding],
    stands_on: StandsOn,
    as_of: date,
) -> Decision:
    """Write a decision and its tables, then say so in the ledger."""
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
        measures=stands_on.measures,
        audits=stands_on.audits,
        audit_code=stands_on.audit_code,
        as_of=as_of.isoformat(),
    )
    folder = workspace.decision_folder(decision.id)
    write_table(folder / "cleared.parquet", cleared.cast(MANIFEST))
    write_table(folder / "excluded.parquet", judgement.excluded)
    write_json(folder / "decision.json", decision.to_json())
    body: dict[str, Json] = {
        "decision": decision.id,
        "snapshot": snapshot.root,
        "verdict": decision.verdict,
        "cleared_root": decision.cleared_root,
        "excluded_sha256": file_sha256(folder / "excluded.parquet"),
    }
    workspace.ledger.append("decided", body)
    return decision


def clear(workspace: Workspace, decision: Decision, terms: Terms, *, preset: str) -> bytes:
    """Return a signed clearance, after holding the decision to its evidence once more.

    Raises:
        Refused: the decision is block, a policy changed since, or a rule forbids this run.
        Tampered: evidence is not what was recorded.
        EvidenceMissing: evidence is gone.
    """
    check_evidence(workspace, decision)
    _check_policies(decision)
    facts = _run_facts(workspace, decision, terms, preset)
    run_rules = _run_rules(workspace, decision, facts)
    told = {name: fact for name, fact in facts.items() if name != "legal_contact"}  # a person
    envelope = issue(
        decision, terms=terms, signer=workspace.keyring.signer("gate"), now=datetime.now(UTC)
    )
    body: dict[str, Json] = {
        "clearance": read_clearance(payload_of(envelope)).id,
        "decision": decision.id,
        "envelope": workspace.store(envelope),
        "facts": workspace.store(canonical(told)),
        "run_rules": digest([asdict(rule) for rule in run_rules]),
    }
    workspace.ledger.append("cleared", body)
    return envelope


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
    from training.config import load_preset  # noqa: PLC0415  heavy
    from training.start import host_class, start  # noqa: PLC0415  heavy

    _attest_left_over(workspace)
    config = load_preset(preset)
    terms = Terms(run_config=config.digest, budget_s=budget_s, host=host_class())
    folder = None if envelope else _cut_off(workspace, terms)
    if folder is not None:
        envelope = (folder / CLEARANCE_FILE).read_bytes()
    if envelope is None:
        envelope = clear(workspace, workspace.latest_decision(), terms, preset=preset)
    clearance = read_clearance(payload_of(envelope))  # shown to no gate yet: only names places
    decision = workspace.decision(clearance.decision)
    check_cleared(workspace, decision)
    folder = folder or workspace.runs / clearance.id[:16]
    result = start(
        folder=folder,
        envelope=envelope,
        trust=workspace.keyring.trust(),
        cleared=workspace.decision_folder(decision.id) / "cleared.parquet",
        snapshot=workspace.snapshot(decision.snapshot),
        config=config,
        ledger=workspace.ledger,
        started_at=started_at,
        budget_s=budget_s,
        bars=bars,
    )
    attest(workspace, folder)
    return folder, result


def attest(workspace: Workspace, folder: Path) -> None:
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
    for entry in workspace.ledger.entries("run.finished"):
        folder = workspace.runs / str(entry.body["run"])
        result = folder / RESULT_FILE
        if not (folder / PROVENANCE_FILE).is_file() and result.is_file():
            if file_sha256(result) != entry.body["result"]:
                raise Tampered(f"The result of run {folder.name} was altered after the run ended.")
            attest(workspace, folder)


def _cut_off(workspace: Workspace, terms: Terms) -> Path | None:
    """Return the newest run of these terms that began and did not end."""
    over = {"run.finished", "run.expired"}
    ended = {str(e.body["run"]) for e in workspace.ledger.entries() if e.kind in over}
    for entry in reversed(workspace.ledger.entries("clearance.spent")):
        folder = workspace.runs / str(entry.body["run"])
        if folder.name in ended or not (folder / CLEARANCE_FILE).is_file():
            continue
        clearance = read_clearance(payload_of((folder / CLEARANCE_FILE).read_bytes()))
        if (clearance.run_config, clearance.budget_s) == (terms.run_config, terms.budget_s):
            return folder
    return None


def _check_policies(decision: Decision) -> None:
    from policies.rules import unchanged  # noqa: PLC0415  heavy

    for used in decision.policies:
        if not unchanged(used):
            raise Refused(
                f"The policy {used.id} was edited after the decision, which was made under "
                f"{used.sha256[:12]}. Run `pramana audit` again."
            )


def _run_facts(
    workspace: Workspace, decision: Decision, terms: Terms, preset: str
) -> dict[str, Json]:
    """Return what rules about a run may read: who asks for what, and where this host is."""
    from training.host import attest as attest_host  # noqa: PLC0415  heavy

    declared = workspace.declared()
    return {
        "preset": preset,
        "budget_s": terms.budget_s,
        "host": terms.host,
        **attest_host(declared.compute_region, ask=declared.attest_host).facts(),
        "operator_country": declared.country or None,
        "legal_contact": declared.legal_contact,
        "scraped": is_scraped(workspace.snapshot(decision.snapshot)),
        "system": platform.system(),
    }


def _run_rules(
    workspace: Workspace, decision: Decision, facts: Mapping[str, Json]
) -> Sequence[RuleResult]:
    """Hold the rules about runs against this run. Raises Refused when one of them blocks."""
    from policies.decide import judge_run  # noqa: PLC0415  heavy
    from policies.rules import read_pack  # noqa: PLC0415  heavy

    judges = {rule.policy for rule in decision.rules}
    packs = [
        read_pack(workspace.load(used.sha256, used.id), source=used.source)
        for used in decision.policies
        if used.id in judges
    ]
    results = judge_run(facts, packs=packs, as_of=datetime.now(UTC).date())
    blocking = [r for r in results if r.status == "violated" and r.remedy == "block"]
    if blocking:
        reasons = "; ".join(f"{rule.id}: {rule.detail} {rule.why}" for rule in blocking)
        raise Refused(f"This run is not allowed. {reasons}")
    return results


def export_card(workspace: Workspace, run: str, out: Path) -> Path:
    """Write the bundle of a finished run. Raises UsageError, EvidenceMissing, Tampered."""
    from governance.cards.bundle import make_bundle  # noqa: PLC0415  heavy

    folder = workspace.run_folder(run)
    if not (folder / PROVENANCE_FILE).is_file():
        raise EvidenceMissing(f"Run {folder.name} has not ended; resume it with `pramana train`.")
    return make_bundle(workspace, folder, out)
