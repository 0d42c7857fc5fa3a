"""The fields of a model card: each one a value read from one evidence file, or nothing.

A field never guesses. What only a person can say (intended use, licence of the weights) has no
evidence here and prints as not evidenced until somebody declares it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from governance.attest import DRAWN
from governance.cards.evidence import (
    CHECKPOINT,
    CONFIG_FILE,
    DECISION_FILE,
    DECLARED_FILE,
    EVALUATION_FILE,
    FINDINGS_FILE,
    USAGE_POLICY,
    Evidence,
)
from governance.records import Finding
from governance.signers.trust import TRUST_FILE
from governance.trail.witness import check_checkpoint, check_cosigned
from governance.verify import CLEARANCE_FILE, PROVENANCE_FILE, RESULT_FILE
from governance.weights import teachers

READS = {  # how a score is to be read, by a part of its name
    "scores / frechet": (
        "the interval is over pictures; a Fréchet distance falls as pictures are added, so only "
        "scores of the same number, weights and protocol compare"
    ),
    "memorised / by_": (
        "squared distances to the nearest training picture (by hash: bits of 64); closer means "
        "below the 1 % quantile of the pictures kept out of training"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a card: section, what, its value as text or None, the evidence file behind it."""

    section: str
    name: str
    value: str | None
    evidence: str
    note: str = ""


def fields(evidence: Evidence) -> list[Field]:
    """Return every field of the card, in the order it prints."""
    return [
        *_model(evidence),
        *_data(evidence),
        *_findings(evidence),
        *_training(evidence),
        *_weights(evidence),
        *evaluated(evidence),
        *drawn(evidence),
        *_ledger(evidence),
    ]


def _model(evidence: Evidence) -> Iterator[Field]:
    section = "Model"
    declared, config, result = (
        evidence.json(name) for name in (DECLARED_FILE, CONFIG_FILE, RESULT_FILE)
    )
    for name, source, value in (
        ("Who answers for it", DECLARED_FILE, declared.get("operator")),
        ("Contact", DECLARED_FILE, declared.get("contact")),
        ("Licence of the weights", DECLARED_FILE, None),
        ("Intended use", DECLARED_FILE, None),
        ("Uses that are out of scope", RESULT_FILE, _usage_policy(result)),
        ("Preset", CONFIG_FILE, config.get("preset")),
        ("Resolution", CONFIG_FILE, _with_unit(config.get("image_px"), "px")),
        ("Parameters", RESULT_FILE, _count(result.get("parameters"))),
    ):
        yield Field(
            section=section, name=name, value=str(value) if value else None, evidence=source
        )


def _usage_policy(result: dict[str, Any]) -> str | None:
    """Return the usage policy that came out with the weights, by its digest."""
    digest = result.get("pipeline", {}).get(USAGE_POLICY)
    return f"{USAGE_POLICY}, SHA-256 {digest}" if digest else None


def _data(evidence: Evidence) -> Iterator[Field]:
    section, decision = "Training data", evidence.decision()
    clearance = evidence.clearance()
    for name, value in (
        ("Snapshot (Merkle root over its samples)", decision.snapshot),
        ("Samples audited", _count(decision.samples)),
        ("Samples cleared", _count(decision.cleared)),
        ("Samples excluded", _count(decision.excluded)),
        ("Cleared samples (Merkle root)", decision.cleared_root),
        ("Policies", ", ".join(f"{p.id} {p.version}" for p in decision.policies)),
        ("Judged by the rules of", decision.as_of),
        ("Verdict", decision.verdict),
        ("Waivers", _count(len(decision.waivers))),
    ):
        yield Field(section=section, name=name, value=value, evidence=DECISION_FILE)
    yield Field(
        section=section, name="Cleared until", value=clearance.expires_at, evidence=CLEARANCE_FILE
    )


def _findings(evidence: Evidence) -> Iterator[Field]:
    for finding in evidence.findings():
        if finding.value is not None:
            yield Field(
                section=f"Findings: {finding.audit}",
                name=finding.name,
                value=measured(finding),
                evidence=FINDINGS_FILE,
                note=finding.note,
            )


def _training(evidence: Evidence) -> Iterator[Field]:
    section, result, clearance = "Training", evidence.json(RESULT_FILE), evidence.clearance()
    early = result.get("forecast") or {}
    rows: tuple[tuple[str, str | None], ...] = (
        ("State at the end", result.get("state")),
        ("Optimiser steps", _count(result.get("steps"))),
        ("Samples seen", _count(result.get("samples_seen"))),
        ("Samples forecast early in the run", _number(early.get("samples"))),
        ("Forecast of samples too high by, as a share", _number(early.get("samples_off"))),
        ("Forecast of energy too high by, as a share", _number(early.get("joules_off"))),
        ("Seconds from start to end", _number(result.get("seconds"))),
        ("Seconds left at the deadline", _number(result.get("margin_s"))),
        ("Host", clearance.host),
        ("Floating-point operations, by formula", _number(result.get("flops"))),
        ("Energy of training in joules", _number(result.get("joules"))),
        ("Energy in joules, at least", _number(result.get("joules_low"))),
        ("Energy in joules, at most", _number(result.get("joules_high"))),
        ("How the energy is known", result.get("joules_method")),
        ("Receipt (hash chain over the images seen)", result.get("receipt")),
        ("Run config (digest)", clearance.run_config),
    )
    for name, value in rows:
        yield Field(section=section, name=name, value=value, evidence=RESULT_FILE)


def _weights(evidence: Evidence) -> Iterator[Field]:
    """Yield whose weights, other than its own, shaped the model while it was trained."""
    taught = teachers(evidence.bytes_of(PROVENANCE_FILE))
    rows = [(weights.role, weights.said) for weights in taught] or [("Weights of others", "none")]
    for name, value in rows:
        yield Field(
            section="Weights that taught this model",
            name=name,
            value=value,
            evidence=PROVENANCE_FILE,
        )


def evaluated(evidence: Evidence) -> Iterator[Field]:
    """Yield the scores of a run, each with how it is to be read."""
    found = evidence.json(EVALUATION_FILE)
    if not found:
        yield Field(
            section="Evaluation", name="Held-out scores", value=None, evidence=EVALUATION_FILE
        )
    for name, value in sorted(_leaves(found)):
        note = next((said for part, said in READS.items() if part in name), "")
        yield Field(
            section="Evaluation", name=name, value=value, evidence=EVALUATION_FILE, note=note
        )


def drawn(evidence: Evidence) -> Iterator[Field]:
    """Yield what the audits found in pictures the model drew, and what was never let through."""
    section, found = "What it draws, audited", evidence.json(DRAWN)
    if not found:
        yield Field(section=section, name="Pictures audited", value=None, evidence=DRAWN)
        return
    refused = ", ".join(f"{rule}: {count}" for rule, count in found["refused"].items())
    for name, value in (
        ("Prompts", _count(found["prompts"]["asked"])),
        ("Refused at the door, by rule", refused or "none"),
        ("Pictures audited", _count(found["samples"])),
        ("Snapshot of them (Merkle root)", found["snapshot"]),
        ("Code of the audits (digest)", found["audits"]["code"]),
    ):
        yield Field(section=section, name=name, value=value, evidence=DRAWN)
    for row in found["figures"]:
        share = _with_interval(row["estimate"], row["low"], row["high"])
        yield Field(
            section=section,
            name=row["name"],
            value=f"{share}, {row['n']:,} pictures",
            evidence=DRAWN,
            note=row["note"],
        )


def _ledger(evidence: Evidence) -> Iterator[Field]:
    """Yield which checkpoint the card stands on and who saw it: the only time an outsider has."""
    section, trust, note = "Ledger", evidence.trust(), evidence.bytes_of(CHECKPOINT)
    checkpoint = check_checkpoint(note, trust)
    cosigned = check_cosigned(note, trust, at_least=0)
    for name, value, source in (
        ("Origin", checkpoint.origin, CHECKPOINT),
        ("Acts under the checkpoint", _count(checkpoint.size), CHECKPOINT),
        ("Root of the checkpoint", checkpoint.root.hex(), CHECKPOINT),
        ("Profile", f"{trust.profile}: {trust.witnesses} witnesses needed", TRUST_FILE),
        *((f"Seen by witness {person}", _utc(at), CHECKPOINT) for person, at in cosigned),
    ):
        yield Field(section=section, name=name, value=value, evidence=source)
    if not cosigned:
        yield Field(section=section, name="Seen by a witness", value=None, evidence=CHECKPOINT)


def measured(finding: Finding) -> str:
    """Return a finding's value with its interval, as people read it."""
    if finding.low is None or finding.high is None:
        return _number(finding.value) or "not measured"
    return _with_interval(finding.value, finding.low, finding.high)


def _leaves(value: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the numbers and short texts of nested JSON, each under its path of names."""
    for key, inner in value.items():
        name = f"{above}{key}"
        if isinstance(inner, dict) and {"share", "low", "high"} <= set(inner):
            yield name, _with_interval(inner["share"], inner["low"], inner["high"])
        elif isinstance(inner, dict) and {"value", "count"} <= set(inner):
            yield name, _estimated(inner)
        elif isinstance(inner, dict):
            yield from _leaves(inner, f"{name} / ")
        elif isinstance(inner, bool | int | float | str):
            yield name, str(inner) if isinstance(inner, bool | str) else _number(inner) or ""


def _estimated(known: dict[str, Any]) -> str:
    """Return an estimate with what it was taken on, and by which network where one looked."""
    value = _number(known["value"]) or ""
    if {"low", "high"} <= set(known):
        value = _with_interval(known["value"], known["low"], known["high"])
    if "extractor" not in known:
        return f"{value}, {known['count']:,} samples"
    return (
        f"{value}, {known['count']:,} drawn, {known['reference']:,} of training, "
        f"{known['extractor']} {known['sha256'][:12]}, {known['protocol']}"
    )


def _with_interval(value: object, low: object, high: object) -> str:
    return f"{_number(value)} (95 % interval {_number(low)} to {_number(high)})"


def _number(value: object) -> str | None:
    """Return a number with four significant digits; whole numbers whole."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.4g}"  # noqa: PLR2004  beyond this a power of ten reads better


def _count(value: object) -> str | None:
    return f"{value:,}" if isinstance(value, int) else None


def _utc(posix: int) -> str:
    return datetime.fromtimestamp(posix, UTC).isoformat()


def _with_unit(value: object, unit: str) -> str | None:
    return f"{value} {unit}" if value else None
