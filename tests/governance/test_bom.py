"""The bill of materials: strict CycloneDX 1.6, from evidence alone, the same bytes each time."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from governance.canon import canonical, sha256
from governance.cards.bom import bom, bom_statement, model_files, render_bom
from governance.cards.evidence import Evidence
from governance.clearance import Terms, issue
from governance.errors import EvidenceMissing
from governance.records import Decision, Finding, PolicyUsed, RuleResult, findings_bytes
from governance.statements import CYCLONEDX, PROVENANCE, read_statement, sign, statement

PACK = b"id: commercial\n"
FINDINGS = [
    Finding(audit="licence", name="licence=CC0-1.0 share", value=0.31, low=0.27, high=0.35),
    Finding(audit="licence", name="licence=\u202e<b>x</b> share", value=0.5),
    Finding(audit="locality", name="samples stored outside India", value=None),
]


def _rule(name: str, **said: object) -> RuleResult:
    known = {
        "id": name, "policy": "commercial", "on": "sample", "status": "satisfied", "violations": 0,
        "remedy": "exclude", "severity": "high", "require": "licence_use = 'permitted'",
        "cite": "SPDX", "why": "it must be allowed",
    }  # fmt: skip
    return RuleResult(**{**known, **said})


RULES = {  # rule: what is attested, with which score, as a claim or a counter-claim
    _rule("HELD"): ("Held: no violation of HELD of commercial was found.", 1.0, "claims"),
    _rule("OUT", status="violated", violations=12): (
        "Violated by 12 of those audited, which were taken out: OUT of commercial.", 1.0, "claims",
    ),
    _rule("QUARANTINED", status="violated", violations=3, remedy="quarantine"): (
        "Violated by 3 of those audited, which were taken out: QUARANTINED of commercial.",
        1.0, "claims",
    ),
    _rule("NOTED", status="violated", violations=7, remedy="record"): (
        "Violated by 7: NOTED of commercial (record).", 0.0, "counterClaims",
    ),
    _rule("WAIVED", status="waived", waived=5): (
        "Waived: 5 violations of WAIVED of commercial stand under a waiver.", None, "claims",
    ),
    _rule("LATER", status="not-in-force", violations=9, in_force_from="2027-05-13"): (
        "LATER of commercial is in force from 2027-05-13; 9 would violate it.", None, None,
    ),
    _rule("AT-RUN", status="at-run", on="run", remedy="block"): (
        "AT-RUN of commercial was weighed when the clearance was issued.", None, None,
    ),
    _rule("BUILT-IN", policy="pramana"): (
        "Held: no violation of BUILT-IN of pramana was found.", 1.0, "claims",
    ),
}  # fmt: skip


def _decision(**said: object) -> Decision:
    known = {
        "snapshot": sha256(b"snapshot"), "samples": 100, "measures": sha256(b"measures"),
        "audits": sha256(b"audits"), "audit_code": sha256(b"code"),
        "findings": sha256(findings_bytes(FINDINGS)), "as_of": "2026-11-23", "verdict": "pass",
        "cleared_root": sha256(b"cleared"), "cleared": 85, "excluded": 15,
        "policies": (
            PolicyUsed(id="commercial", version="3", source="p/c.yaml", sha256=sha256(PACK)),
            PolicyUsed(id="reference/licences", version="1", source="l.csv", sha256=sha256(b"l")),
        ),
        "rules": tuple(RULES),
    }  # fmt: skip
    return Decision(**{**known, **said})


@pytest.fixture
def evidence() -> Evidence:
    return _evidence(_decision())


def _evidence(decision: Decision) -> Evidence:
    signer = CryptoSigner.generate_ecdsa()
    terms = Terms(run_config=sha256(b"config"), budget_s=60.0, host="cpu")
    began = datetime(2026, 11, 23, tzinfo=UTC)
    subjects = {"pipeline/model_index.json": sha256(b"{}"), "result.json": sha256(b"r")}
    result = {
        "run": "run-1", "preset": "micro", "state": "finished", "steps": 640, "flops": 1.3e14,
        "parameters": 5_412_096, "samples_seen": 20_480, "receipt": sha256(b"receipt"),
        "joules": 7.2e6, "joules_low": 3.6e6, "joules_high": 1.44e7, "joules_method": "estimate",
    }  # fmt: skip
    evaluation = {
        "all_attributes": {"share": 0.83, "low": 0.79, "high": 0.87, "asked": 64, "right": 53},
        "fid": 12.5,
        "heldout_error_by_time": {
            "0.1": 0.006,
            "0.5": {"value": 0.01, "low": 0.008, "high": 0.013, "count": 40},
            "0.9": {"value": 0.02, "count": 1},
        },
        "prompts_drawn": 64,
        "samples_shown": ["a red circle"],
    }
    return Evidence(
        {
            "decision.json": canonical(decision.to_json()),
            "findings.json": findings_bytes(FINDINGS),
            "policies/commercial.yaml": PACK,
            "policies/reference/licences.csv": b"l",
            "clearance.json": issue(decision, terms=terms, signer=signer, now=began),
            "provenance.json": sign(statement(PROVENANCE, subjects=subjects, predicate={}), signer),
            "config.json": canonical({"preset": "micro", "image_px": 32}),
            "result.json": canonical(result),
            "evaluation.json": canonical(evaluation),
            "declared.json": canonical({"operator": "Asha Research", "contact": "a@asha.example"}),
            "model_index.json": canonical({"_class_name": "PRXPixelPipeline"}),
        }
    )


def _without(evidence: Evidence, *names: str, **changed: dict[str, object]) -> Evidence:
    files = {name: data for name, data in evidence.files.items() if name not in names}
    return Evidence({**files, **{f"{name}.json": canonical(v) for name, v in changed.items()}})


def _refs(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        yield from ([found["bom-ref"]] if "bom-ref" in found else [])
        found = list(found.values())
    if isinstance(found, list):
        for inner in found:
            yield from _refs(inner)


@pytest.fixture(params=["everything evidenced", "hardly anything evidenced"])
def rendered(request: pytest.FixtureRequest, evidence: Evidence) -> bytes:
    if request.param == "everything evidenced":
        return render_bom(evidence)
    bare = _without(evidence, "evaluation.json", "model_index.json", config={}, declared={})
    return render_bom(_without(bare, result={"run": "run-1", "preset": "micro"}))


def test_it_is_strict_cyclonedx_by_the_library_of_cyclonedx(rendered: bytes) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="see .ci/run")
    schema = pytest.importorskip("cyclonedx.schema", reason="see .ci/run")
    strict = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert strict.validate_str(rendered.decode()) is None
    spoilt = json.loads(rendered) | {"pramana": "an extra key"}
    assert strict.validate_str(json.dumps(spoilt)) is not None


@pytest.mark.shared
def test_it_is_cyclonedx_by_the_published_schema(rendered: bytes, shared: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="comes with great-expectations")
    referencing = pytest.importorskip("referencing", reason="comes with jsonschema")
    folder = shared / "conformance" / "cyclonedx" / "schema"
    schemas = {p.name: json.loads(p.read_bytes()) for p in folder.glob("*.json")}
    registry = referencing.Registry().with_resources(
        [
            (f"http://cyclonedx.org/schema/{name}", referencing.Resource.from_contents(schema))
            for name, schema in schemas.items()
        ]
    )
    published = jsonschema.Draft7Validator(schemas["bom-1.6.schema.json"], registry=registry)
    assert not list(published.iter_errors(json.loads(rendered)))
    for known in (shared / "conformance" / "cyclonedx").glob("invalid-component-type-1.6.json"):
        assert list(published.iter_errors(json.loads(known.read_bytes())))


def test_the_same_evidence_gives_the_same_bytes(evidence: Evidence) -> None:
    assert render_bom(evidence) == render_bom(Evidence(dict(reversed(evidence.files.items()))))


def test_every_reference_leads_somewhere_and_only_there(evidence: Evidence) -> None:
    found = bom(evidence)
    refs = list(_refs(found))
    assert len(refs) == len(set(refs))
    said = found["declarations"]
    mapped = [row for attested in said["attestations"] for row in attested["map"]]
    pointed = [
        *(row["requirement"] for row in mapped),
        *(c for row in mapped for c in (*row.get("claims", ()), *row.get("counterClaims", ()))),
        *(claim["target"] for claim in said["claims"]),
        *(name for claim in said["claims"] for name in claim["evidence"]),
        *(attested["assessor"] for attested in said["attestations"]),
        *(row["ref"] for row in found["dependencies"]),
        *(name for row in found["dependencies"] for name in row["dependsOn"]),
        *(row["ref"] for row in _card(found)["modelParameters"]["datasets"]),
    ]
    assert set(pointed) <= set(refs)


@pytest.mark.parametrize(("rule", "said"), RULES.items(), ids=[rule.id for rule in RULES])
def test_each_rule_is_attested_as_it_was_decided(
    evidence: Evidence, rule: RuleResult, said: tuple[str, float | None, str | None]
) -> None:
    sentence, score, side = said
    found = bom(evidence)["declarations"]
    ref = f"{rule.policy}/{rule.id}"
    rows = [row for attested in found["attestations"] for row in attested["map"]]
    (row,) = [row for row in rows if row["requirement"] == f"rule:{ref}"]
    assert row["conformance"].get("rationale") == sentence
    assert row["conformance"].get("score") == score
    assert {"claims", "counterClaims"} & row.keys() == ({side} if side else set())
    claims = [c["predicate"] for c in found["claims"] if c["bom-ref"] == f"claim:{ref}"]
    assert claims == ([sentence] if side else [])


def test_claims_cite_the_decision_the_findings_and_the_policy_by_digest(evidence: Evidence) -> None:
    found = bom(evidence)["declarations"]
    described = {row["bom-ref"]: row["description"] for row in found["evidence"]}
    (claim,) = [c for c in found["claims"] if c["bom-ref"] == "claim:commercial/OUT"]
    names = ["decision.json", "findings.json", "policies/commercial.yaml"]
    assert [described[ref] for ref in claim["evidence"]] == [
        f"SHA-256 {evidence.digest(name)}" for name in names
    ]


def test_a_pack_is_a_standard_whose_text_is_named_by_digest(evidence: Evidence) -> None:
    standards = {s["name"]: s for s in bom(evidence)["definitions"]["standards"]}
    assert set(standards) == {"commercial", "pramana"}
    reference = standards["commercial"]["externalReferences"][0]
    assert (standards["commercial"]["version"], reference["url"]) == (
        "3",
        "evidence/policies/commercial.yaml",
    )
    assert reference["hashes"] == [{"alg": "SHA-256", "content": sha256(PACK)}]


def _card(found: Any) -> Any:
    return found["metadata"]["component"]["modelCard"]


def test_the_model_card_reads_architecture_scores_and_energy_from_evidence(
    evidence: Evidence,
) -> None:
    card = _card(bom(evidence))
    assert card["modelParameters"]["modelArchitecture"] == "PRXPixelPipeline"
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0] == {
        "type": "all_attributes", "value": "0.83",
        "confidenceInterval": {"lowerBound": "0.79", "upperBound": "0.87"},
    }  # fmt: skip
    assert {"type": "fid", "value": "12.5"} in metrics
    by_time = [row for row in metrics if row["type"] == "heldout_error_by_time"]
    assert by_time[0] == {"type": "heldout_error_by_time", "slice": "0.1", "value": "0.006"}
    assert by_time[1]["confidenceInterval"] == {"lowerBound": "0.008", "upperBound": "0.013"}
    assert by_time[2] == {"type": "heldout_error_by_time", "slice": "0.9", "value": "0.02"}
    (energy,) = card["considerations"]["environmentalConsiderations"]["energyConsumptions"]
    assert energy["activityEnergyCost"] == {"value": 2.0, "unit": "kWh"}
    assert energy["energyProviders"] == []


@pytest.mark.parametrize(
    ("gone", "at"),
    [
        ({"evaluation": {}}, "quantitativeAnalysis"),
        ({"result": {"run": "r", "preset": "micro"}}, "considerations"),
    ],
    ids=["no scores", "no energy"],
)
def test_what_is_not_evidenced_is_left_out(
    evidence: Evidence, gone: dict[str, dict[str, object]], at: str
) -> None:
    assert at in _card(bom(evidence))
    assert at not in _card(bom(_without(evidence, **gone)))


def test_nobody_is_named_who_was_not_declared(evidence: Evidence) -> None:
    found = bom(_without(evidence, declared={}))
    assert "manufacturer" not in found["metadata"]
    assert "organization" not in found["declarations"]["assessors"][0]
    assert all("governance" not in c["data"][0] for c in found["components"])


def test_findings_stand_with_their_intervals_and_without_control_characters(
    evidence: Evidence,
) -> None:
    snapshot = bom(evidence)["components"][0]["data"][0]["contents"]["properties"]
    said = {row["name"]: row["value"] for row in snapshot}
    name = "pramana:finding:licence:licence=CC0-1.0 share"
    assert said[name] == "0.31 (95 % interval 0.27 to 0.35)"
    assert "\u202e" not in json.dumps(snapshot, ensure_ascii=False)
    assert not any("outside India" in key for key in said)  # it was not measured


def test_a_withdrawal_makes_a_new_version_of_the_same_bill(evidence: Evidence) -> None:
    rows = [{"at": "2026-12-01", "record": "ab" * 32, "samples": 1, "digests": [], "task": "ab"}]
    later = Evidence({**evidence.files, "withdrawals.json": canonical(rows)})
    first, second = bom(evidence), bom(later)
    assert (first["version"], second["version"]) == (1, 2)
    assert first["serialNumber"] == second["serialNumber"]


def test_the_statement_is_about_the_files_of_the_model(evidence: Evidence) -> None:
    subjects, predicate = read_statement(bom_statement(evidence), CYCLONEDX)
    assert subjects == model_files(evidence) == {"model_index.json": sha256(b"{}")}
    assert canonical(predicate) == render_bom(evidence)


def test_a_bill_without_its_decision_is_not_made(evidence: Evidence) -> None:
    with pytest.raises(EvidenceMissing, match=r"decision\.json"):
        bom(_without(evidence, "decision.json"))


def test_a_rule_that_blocked_is_told_as_broken() -> None:
    blocked = replace(next(iter(RULES)), status="violated", violations=1, remedy="block")
    found = bom(_evidence(_decision(rules=(blocked,))))["declarations"]
    assert found["attestations"][0]["map"][0]["conformance"]["score"] == 0.0
