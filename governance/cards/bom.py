"""A bill of materials in CycloneDX 1.6: the model, the data it learnt from, what was decided.

Written here as JSON, because the Python library of CycloneDX drops model cards, data components and
declarations when it writes. Every value is read from evidence; what nobody evidenced is left out.
The same evidence gives the same bytes, so there is no time of its own in it: the checkpoint in the
bundle says when.

Does not see: components of the software that trained. Source: CycloneDX 1.6 (ECMA-424).
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from governance.canon import Json, canonical, printable
from governance.cards.declarations import (
    CLEARED_REF,
    MODEL_REF,
    SNAPSHOT_REF,
    declarations,
    standards,
)
from governance.cards.evidence import CONFIG_FILE, EVALUATION_FILE, MODEL_INDEX, Evidence
from governance.records import Decision, Finding
from governance.statements import CYCLONEDX, PROVENANCE, payload_of, read_statement, statement
from governance.verify import PROVENANCE_FILE, RESULT_FILE
from governance.weights import DEPENDENCY, UsedWeights, teachers

BOM_FILE = "bom.cdx.json"
PIPELINE = "pipeline"  # the folder of a run that holds the model
JOULES_PER_KWH = 3.6e6
NAMES = "https://pramana.dev/bom/"  # serial numbers are names in this space (RFC 9562, UUIDv5)


def render_bom(evidence: Evidence) -> bytes:
    """Return the bill of materials, the same bytes for the same evidence.

    Raises:
        EvidenceMissing: something that it must rest on is not there.
        Tampered: evidence does not read.
    """
    return canonical(bom(evidence))


def bom_statement(evidence: Evidence) -> bytes:
    """Return the payload that says what the model's files are made of, for the card key to sign.

    Source: in-toto attestation framework, predicate CycloneDX.
    """
    return statement(CYCLONEDX, subjects=model_files(evidence), predicate=bom(evidence))


def bom(evidence: Evidence) -> dict[str, Json]:
    """Return the bill of materials as JSON."""
    decision = evidence.decision()
    taught = teachers(evidence.bytes_of(PROVENANCE_FILE))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, NAMES + evidence.digest(RESULT_FILE)).urn,
        "version": 1 + len(evidence.withdrawals()),
        "metadata": {"component": _model(evidence), **_operator(evidence)},
        "components": [
            _snapshot(evidence, decision),
            _cleared(evidence, decision),
            *map(_weights, taught),
        ],
        "dependencies": [
            {"ref": MODEL_REF, "dependsOn": [CLEARED_REF, *map(_weights_ref, taught)]},
            {"ref": CLEARED_REF, "dependsOn": [SNAPSHOT_REF]},
        ],
        "declarations": declarations(evidence),
        "definitions": {"standards": standards(decision)},
    }


def model_files(evidence: Evidence) -> dict[str, str]:
    """Return the SHA-256 of each file of the model by its path in a bundle, as the trainer signed.

    Raises:
        EvidenceMissing, Tampered: the provenance is not there, or does not read.
    """
    signed = payload_of(evidence.bytes_of(PROVENANCE_FILE))
    subjects, _ = read_statement(signed, PROVENANCE)
    return {
        name.removeprefix(f"{PIPELINE}/"): digest
        for name, digest in sorted(subjects.items())
        if name.startswith(f"{PIPELINE}/")
    }


def _operator(evidence: Evidence) -> dict[str, Json]:
    named: dict[str, Json] = {}
    if evidence.declared("operator"):
        named["manufacturer"] = {"name": printable(evidence.declared("operator"))}
    if evidence.declared("contact"):
        named["properties"] = [_property("contact", printable(evidence.declared("contact")))]
    return named


def _model(evidence: Evidence) -> dict[str, Json]:
    result = evidence.json(RESULT_FILE)
    files = model_files(evidence)
    known = {
        "state": result.get("state"),
        "parameters": result.get("parameters"),
        "optimiser-steps": result.get("steps"),
        "samples-seen": result.get("samples_seen"),
        "floating-point-operations": result.get("flops"),
        "receipt": result.get("receipt"),
        "run-config": evidence.clearance().run_config,
        "host": evidence.clearance().host,
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL_REF,
        "name": str(result["preset"]),
        "version": str(result["run"]),
        "modelCard": _model_card(evidence),
        "components": [
            {
                "type": "file",
                "bom-ref": f"file:{name}",
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for name, digest in files.items()
        ],
        "properties": [_property(name, _text(value)) for name, value in known.items() if value],
    }


def _model_card(evidence: Evidence) -> dict[str, Json]:
    config, result = evidence.json(CONFIG_FILE), evidence.json(RESULT_FILE)
    parameters: dict[str, Json] = {
        "task": "text-to-image",
        "datasets": [{"ref": CLEARED_REF}],
        "inputs": [{"format": "text"}],
    }
    if MODEL_INDEX in evidence.files:
        parameters["modelArchitecture"] = str(evidence.json(MODEL_INDEX).get("_class_name"))
    if config.get("image_px"):
        parameters["outputs"] = [
            {"format": f"image of {config['image_px']} x {config['image_px']} px"}
        ]
    card: dict[str, Json] = {"modelParameters": parameters}
    evaluation = evidence.json(EVALUATION_FILE)
    metrics = list(_metrics(evaluation))
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    counts = {k: v for k, v in sorted(evaluation.items()) if isinstance(v, bool | int)}
    if counts:
        card["properties"] = [_property(f"evaluation:{k}", _text(v)) for k, v in counts.items()]
    if result.get("joules"):
        card["considerations"] = {"environmentalConsiderations": _energy(result)}
    return card


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[Json]:
    """Yield each score of an evaluation, with its interval where it has one."""
    for name, value in sorted(evaluation.items()):
        if isinstance(value, float):
            yield {"type": name, "value": _text(value)}
        elif isinstance(value, Mapping) and {"share", "low", "high"} <= value.keys():
            yield {"type": name, **_bounded(value, "share")}
        elif isinstance(value, Mapping):
            for part, inner in sorted(value.items()):
                if isinstance(inner, int | float):
                    yield {"type": name, "slice": str(part), "value": _text(inner)}
                elif isinstance(inner, Mapping) and "value" in inner:
                    yield {"type": name, "slice": str(part), **_bounded(inner, "value")}


def _bounded(known: Mapping[str, Any], name: str) -> dict[str, Json]:
    """Return a score as CycloneDX writes it, with its interval where it has one."""
    if not {"low", "high"} <= known.keys():
        return {"value": _text(known[name])}
    interval = {"lowerBound": _text(known["low"]), "upperBound": _text(known["high"])}
    return {"value": _text(known[name]), "confidenceInterval": interval}


def _energy(result: Mapping[str, Any]) -> dict[str, Json]:
    """Return the energy of training. Nothing is said of its source or its CO2: no evidence is."""
    joules = result["joules"]
    cost: dict[str, Json] = {"value": float(joules) / JOULES_PER_KWH, "unit": "kWh"}
    how = [
        _property(name, _text(result[name]))
        for name in ("joules_method", "joules_low", "joules_high")
        if name in result
    ]
    return {
        "energyConsumptions": [
            {
                "activity": "training",
                "energyProviders": [],
                "activityEnergyCost": cost,
                "properties": how,
            }
        ]
    }


def _snapshot(evidence: Evidence, decision: Decision) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "samples": decision.samples,
        "measures": decision.measures,
        "audit-settings": decision.audits,
        "audit-code": decision.audit_code,
    }
    found = [_finding(finding) for finding in evidence.findings() if finding.value is not None]
    properties = [_property(name, _text(value)) for name, value in facts.items()]
    return _dataset(
        evidence,
        ref=SNAPSHOT_REF,
        name="snapshot that was audited",
        root=decision.snapshot,
        properties=[*properties, *found],
    )


def _cleared(evidence: Evidence, decision: Decision) -> dict[str, Json]:
    facts = {
        "samples": decision.cleared,
        "excluded-samples": decision.excluded,
        "verdict": decision.verdict,
        "decision": decision.id,
        "clearance": evidence.clearance().id,
        "judged-by-the-law-of": decision.as_of,
    }
    return _dataset(
        evidence,
        ref=CLEARED_REF,
        name="samples cleared for training",
        root=decision.cleared_root,
        properties=[_property(name, _text(value)) for name, value in facts.items()],
    )


def _dataset(
    evidence: Evidence, *, ref: str, name: str, root: str, properties: list[Json]
) -> dict[str, Json]:
    """Return a data component. Its version is the Merkle root over its samples (RFC 6962)."""
    data: dict[str, Json] = {
        "type": "dataset",
        "name": name,
        "contents": {"properties": [_property("merkle-root", root), *properties]},
    }
    if evidence.declared("operator"):
        custodian = {"organization": {"name": printable(evidence.declared("operator"))}}
        data["governance"] = {"custodians": [custodian]}
    return {"type": "data", "bom-ref": ref, "name": name, "version": root, "data": [data]}


def _weights_ref(weights: UsedWeights) -> str:
    return f"{DEPENDENCY}{weights.role}"


def _weights(weights: UsedWeights) -> dict[str, Json]:
    """Return weights that taught the model. Their licence is what the operator declared."""
    known = {"role": weights.role, "licence-use": weights.use, "trained-on": weights.trained_on}
    found: dict[str, Json] = {
        "type": "machine-learning-model",
        "bom-ref": _weights_ref(weights),
        "name": printable(weights.name),
        "hashes": [{"alg": "SHA-256", "content": weights.sha256}],
        "licenses": [{"expression": weights.licence, "acknowledgement": "declared"}],
        "properties": [_property(name, printable(value)) for name, value in known.items() if value],
    }
    if weights.source:
        found["externalReferences"] = [{"type": "distribution", "url": weights.source}]
    return found


def _finding(finding: Finding) -> Json:
    value = _text(finding.value)
    if finding.low is not None and finding.high is not None:
        value += f" (95 % interval {_text(finding.low)} to {_text(finding.high)})"
    return _property(f"finding:{finding.audit}:{printable(finding.name)}", value)


def _property(name: str, value: str) -> dict[str, Json]:
    return {"name": f"pramana:{name}", "value": value}


def _text(value: Json) -> str:
    """Return a value as a text: a text as it is, a number as canonical JSON writes it."""
    return value if isinstance(value, str) else canonical(value).decode()
