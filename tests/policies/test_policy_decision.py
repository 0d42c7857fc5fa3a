"""The decision: what blocks by construction, what is taken out, and what the day changes."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governance.errors import UsageError
from governance.records import Finding, RuleResult
from policies.decide import Judgement, judge, judge_run
from policies.evidence import SAMPLE
from policies.rules import Pack, load_pack, read_pack

TODAY = date(2026, 11, 22)
AUDITS = ("licence", "nsfw", "duplicates", "personal", "locality")
CLEAN: Mapping[str, object] = {
    "caption": "a red circle", "source": "demo", "decoded": True, "covered": True,
    "licence_claims": ["CC0-1.0"], "licence_unrecognised": False, "attributed": False,
    "licensor_conflict": False, "optout": [], "generator_id": None, "captioner_id": None,
    "nsfw_scored": True, "nsfw_score": 0.0, "faces": 0,
    "suspected": False, "duplicate_of": None, "pii_kinds": [], "pii_count": 0, "gps": False,
    "pii_scores": [], "document_like": 0.0,
    "device_owner": False, "minor_terms": False, "consent": False,
    "storage_region": "aws:ap-south-1",
}  # fmt: skip
IN_PLACE = tuple(
    Finding(audit="locality", name=name, value=0)
    for name in (
        "declared places outside IN", "flows outside IN", "unknown places",
        "processors without a contract",
    )
)  # fmt: skip


def samples(**changed: Mapping[str, object]) -> pa.Table:
    """One clean sample, `ok`, and one for each name given, with what is changed in it."""
    rows = [{"id": "ok", **CLEAN}, *({"id": name, **CLEAN, **row} for name, row in changed.items())]
    return pa.Table.from_pylist(rows, schema=SAMPLE)


def pack(*rules: str, name: str = "own") -> Pack:
    """A pack of rules, each written as its own keys beside those that every rule needs."""
    common = "cite: {instrument: test}, severity: low, waive: never, why: because"
    lines = "".join(f"  - {{id: R-{n}, {common}, {rule}}}\n" for n, rule in enumerate(rules, 1))
    head = f"schema: pramana.policy/v1\nid: {name}\nversion: '1'\n"
    regime = "regime: {name: Ours, jurisdiction: IN}\n"
    return read_pack(f"{head}{regime}rules:\n{lines}".encode(), source=f"{name}.yaml")


def decided(table: pa.Table, *packs: Pack, as_of: date = TODAY, **more: object) -> Judgement:
    audits = more.get("audits", AUDITS)
    findings = more.get("findings", IN_PLACE)
    assert isinstance(audits, tuple)
    assert isinstance(findings, tuple)
    return judge(table, audits_run=audits, findings=findings, packs=packs, as_of=as_of)


def result(judgement: Judgement, name: str) -> RuleResult:
    return next(rule for rule in judgement.rules if rule.id == name)


def reasons(judgement: Judgement) -> list[tuple[str, str]]:
    return [(row["id"], row["rule"]) for row in judgement.excluded.to_pylist()]


NEEDS_CONSENT = (
    "on: sample, status: future, applies_from: 2027-05-13, evidence: {columns: [consent]}, "
    "require: consent, remedy: block"
)


DECODED = "on: sample, status: voluntary, evidence: {columns: [decoded]}, require: decoded"


def test_clean_samples_pass_and_are_cleared_in_manifest_order() -> None:
    judgement = decided(samples(b={}, a={}), load_pack("commercial"), load_pack("dpdp"))
    assert judgement.verdict == "pass"
    assert judgement.cleared.to_pylist() == ["ok", "b", "a"]
    assert judgement.excluded.num_rows == 0
    assert [text.id for text in judgement.texts] == [
        "commercial", "dpdp", "reference/licences", "reference/generators", "reference/regions",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "rule", "remedy"),
    [
        ({"decoded": False}, "COM-DECODED", "exclude"),
        ({"caption": " "}, "COM-CAPTION", "exclude"),
        ({"nsfw_second_score": 0.6}, "COM-NSFW", "quarantine"),
        ({"licence_claims": ["CC-BY-NC-4.0"]}, "COM-LICENCE-FORBIDDEN", "exclude"),
        ({"licence_claims": []}, "COM-LICENCE-UNKNOWN", "exclude"),
        ({"licence_claims": None}, "COM-LICENCE-UNKNOWN", "exclude"),
        ({"licence_unrecognised": None}, "COM-LICENCE-UNKNOWN", "exclude"),
        ({"licence_unrecognised": True}, "COM-LICENCE-UNKNOWN", "exclude"),
        ({"licence_claims": ["CC-BY-SA-4.0"], "attributed": True}, "COM-LICENCE-DISPUTED",
         "quarantine"),
        ({"licence_claims": ["CC-BY-4.0"]}, "COM-ATTRIBUTION", "exclude"),
        ({"generator_id": "flux.1-dev"}, "COM-GENERATOR", "exclude"),
        ({"generator_id": "a model nobody knows"}, "COM-GENERATOR-UNREAD", "quarantine"),
        ({"optout": ["tdm-reservation"]}, "COM-OPTOUT", "exclude"),
        ({"nsfw_score": 0.7}, "COM-NSFW", "quarantine"),
        ({"nsfw_score": float("nan")}, "COM-NSFW", "quarantine"),
        ({"nsfw_scored": None, "nsfw_score": None}, "COM-NSFW", "quarantine"),
        ({"captioner_id": "gpt-4o"}, "COM-CAPTIONER", "exclude"),
        ({"captioner_id": "ours"}, "COM-CAPTIONER-UNREAD", "quarantine"),
        ({"licensor_conflict": True}, "COM-LICENSORS", "quarantine"),
        ({"duplicate_of": "ok", "duplicate_same_attributes": True}, "COM-DUPLICATE", "exclude"),
        ({"pii_kinds": ["aadhaar"], "pii_count": 1, "pii_scores": [("aadhaar", 0.85)]},
         "COM-PERSONAL-NUMBER", "block"),
        ({"pii_kinds": ["aadhaar"], "pii_count": 1, "pii_scores": [("aadhaar", 0.65)]},
         "COM-PERSONAL-BARE-NUMBER", "exclude"),
        ({"document_like": 0.9}, "COM-DOCUMENT", "quarantine"),
        ({"model_release": "MR-NON"}, "COM-MODEL-RELEASE", "quarantine"),
        ({"storage_region": "aws:us-east-1"}, "DPDP-KEEP-IN-INDIA", "block"),
        ({"storage_region": None}, "DPDP-KEEP-IN-INDIA", "block"),
        ({"covered": None}, "PRAMANA-COVERAGE", "block"),
    ],
)  # fmt: skip
def test_each_planted_problem_is_taken_out_with_its_reason(
    changed: Mapping[str, object], rule: str, remedy: str
) -> None:
    judgement = decided(samples(bad=changed), load_pack("commercial"), load_pack("dpdp"))
    assert reasons(judgement) == [("bad", rule)]
    assert judgement.cleared.to_pylist() == ["ok"]
    assert result(judgement, rule).violations == 1
    assert result(judgement, rule).remedy == remedy
    assert judgement.verdict == ("block" if remedy == "block" else "pass")


def test_a_duplicate_with_other_attributes_stays() -> None:
    twin = {"duplicate_of": "ok", "duplicate_same_attributes": False}
    assert decided(samples(twin=twin), load_pack("commercial")).cleared.to_pylist() == [
        "ok",
        "twin",
    ]


def test_the_generator_overrides_the_tag_and_every_reason_is_kept() -> None:
    bad = {"licence_claims": ["Apache-2.0"], "attributed": True, "generator_id": "FLUX.1 [dev]"}
    judgement = decided(samples(bad=bad | {"optout": ["noai"]}), load_pack("commercial"))
    assert reasons(judgement) == [("bad", "COM-GENERATOR"), ("bad", "COM-OPTOUT")]


def test_reasons_stand_in_the_order_of_the_samples_and_then_of_the_rules() -> None:
    late, early = {"optout": ["noai"]}, {"decoded": False, "caption": ""}
    judgement = decided(samples(first=late, second=early), load_pack("commercial"))
    assert reasons(judgement) == [
        ("first", "COM-OPTOUT"), ("second", "COM-DECODED"), ("second", "COM-CAPTION"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "packs", "audits", "rule", "sentence"),
    [
        (samples(), (), AUDITS, "PRAMANA-NO-RULE", "0 rules were in force"),
        (samples(), (pack(NEEDS_CONSENT),), AUDITS, "PRAMANA-NO-RULE", "0 rules were in force"),
        (
            samples(gap={"covered": False}), (load_pack("commercial"),), AUDITS,
            "PRAMANA-COVERAGE", "1 of 2 samples were not measured",
        ),
        (
            samples().drop_columns(["covered"]), (load_pack("commercial"),), AUDITS,
            "PRAMANA-COVERAGE", "1 of 1 samples were not measured",
        ),
        (
            samples(), (load_pack("commercial"),), ("licence", "duplicates", "personal"),
            "PRAMANA-COVERAGE", "not run: nsfw",
        ),
        (
            samples(), (load_pack("commercial"),), ("licence", "duplicates", "personal"),
            "COM-NSFW", "The audit 'nsfw' was not run",
        ),
        (
            samples().drop_columns(["nsfw_score"]), (load_pack("commercial"),), AUDITS,
            "COM-NSFW", "no column 'nsfw_score'.*nearest are nsfw_scored",
        ),
        (
            samples().drop_columns(["licence_unrecognised"]), (load_pack("commercial"),), AUDITS,
            "COM-LICENCE-UNKNOWN", "no column 'licence_use'",
        ),
        (
            samples().slice(0, 0), (load_pack("commercial"),), AUDITS,
            "PRAMANA-NOTHING-CLEARED", "0 of 0 samples are left",
        ),
        (
            samples().set_column(0, "id", pa.array(["ok"])).set_column(
                SAMPLE.get_field_index("decoded"), "decoded", pa.array([False])
            ),
            (load_pack("commercial"),), AUDITS,
            "PRAMANA-NOTHING-CLEARED", "0 of 1 samples are left",
        ),
    ],
    ids=[
        "no policy", "nothing in force yet", "a sample not measured", "no coverage known",
        "an audit not run", "a rule without its audit", "a column that is not there",
        "half of the licence evidence", "no sample", "no sample left",
    ],
)  # fmt: skip
def test_what_is_not_shown_blocks(
    table: pa.Table, packs: tuple[Pack, ...], audits: tuple[str, ...], rule: str, sentence: str
) -> None:
    judgement = decided(table, *packs, audits=audits)
    found = result(judgement, rule)
    assert judgement.verdict == "block"
    assert (found.status, found.remedy) == ("violated", "block")
    assert re.search(sentence, found.detail)


def test_a_rule_to_come_is_counted_and_not_enforced() -> None:
    bad = {"pii_count": 1, "pii_kinds": ["phone"], "gps": True}
    table, packs = samples(bad=bad), (load_pack("commercial"), load_pack("dpdp"))
    today, later = decided(table, *packs), decided(table, *packs, as_of=date(2027, 6, 1))
    basis = result(today, "DPDP-BASIS")
    assert (today.verdict, basis.status, basis.violations) == ("pass", "not-in-force", 1)
    assert basis.in_force_from == "2027-05-13"
    assert basis.detail.startswith("From 2027-05-13: 1 of the 1 samples")
    assert today.cleared.to_pylist() == ["ok", "bad"]
    assert later.verdict == "block"
    assert result(later, "DPDP-BURDEN-OF-PROOF").status == "violated"
    assert later.cleared.to_pylist() == ["ok"]
    assert ("bad", "DPDP-BASIS") in reasons(later)


def test_few_gaps_of_consent_are_left_out_and_many_shut_the_gate() -> None:
    faces = {f"f{n}": {"faces": 1, "consent": n > 0} for n in range(20)}
    few = decided(samples(**faces), load_pack("dpdp"), as_of=date(2027, 6, 1))
    assert few.verdict == "pass"
    assert result(few, "DPDP-BURDEN-OF-PROOF").violations == 1
    assert reasons(few) == [("f0", "DPDP-BASIS")]
    many = samples(**faces, g={"faces": 1})
    assert decided(many, load_pack("dpdp"), as_of=date(2027, 6, 1)).verdict == "block"


def test_what_is_only_recorded_takes_nothing_out() -> None:
    judgement = decided(samples(bad={"decoded": False}), pack(f"{DECODED}, remedy: record"))
    assert (judgement.verdict, judgement.cleared.to_pylist()) == ("pass", ["ok", "bad"])
    assert result(judgement, "R-1").status == "violated"


def test_within_its_tolerance_a_rule_that_blocks_is_satisfied() -> None:
    table = samples(bad={"decoded": False})
    within = decided(table, pack(f"{DECODED}, remedy: block, tolerance: 1"))
    assert (within.verdict, result(within, "R-1").violations) == ("pass", 1)
    assert decided(table, pack(f"{DECODED}, remedy: block, tolerance: 49 %")).verdict == "block"
    tolerant = decided(table, pack(f"{DECODED}, remedy: exclude, tolerance: 1"))
    assert (tolerant.verdict, reasons(tolerant)) == ("pass", [("bad", "R-1")])


@pytest.mark.parametrize(
    ("require", "satisfied"),
    [
        ("samples = 3 AND cleared = 2 AND excluded = 1 AND covered = 3", True),
        ("excluded_share > 0.33 AND excluded_share < 0.34", True),
        ("finding['bias/women share'] >= 0.4", True),
        ("finding_low['bias/women share'] >= 0.4", False),
        ("finding_high['bias/women share'] <= 0.6", True),
        ("finding['bias/unheard of'] >= 0 OR FALSE", False),
        ("finding['bias/twice'] IS NOT NULL", False),
        ("finding['bias/broken'] IS NOT NULL", False),
    ],
)
def test_a_rule_about_the_snapshot_reads_counts_and_findings(
    require: str, *, satisfied: bool
) -> None:
    words = ("samples", "cleared", "excluded", "covered", "excluded_share")
    columns = [word for word in words if f"{word} " in require] or [require.partition("[")[0]]
    rule = f"on: snapshot, status: voluntary, evidence: {{columns: [{', '.join(columns)}]}}, "
    findings = (
        Finding(audit="bias", name="women share", value=0.5, low=0.3, high=0.6),
        Finding(audit="bias", name="twice", value=1),
        Finding(audit="bias", name="twice", value=2),
        Finding(audit="bias", name="broken", value=float("nan")),
    )
    judgement = decided(
        samples(a={}, bad={"decoded": False}),
        pack(
            f"{DECODED}, remedy: exclude",
            f'{rule} require: "{require}", remedy: block',
        ),
        findings=findings,
    )
    assert result(judgement, "R-2").status == ("satisfied" if satisfied else "violated")
    assert judgement.verdict == ("pass" if satisfied else "block")


def test_a_rule_about_groups_counts_groups_of_what_is_cleared() -> None:
    table = samples(
        a={"declared": ["gender=woman", "age=adult"]},
        b={"declared": ["gender=man"]},
        c={"declared": ["gender=woman"], "decoded": False},
        d={"source": "\u202eother\n"},
    )
    judgement = decided(
        table,
        pack(
            f"{DECODED}, remedy: exclude",
            "on: group(declared), status: voluntary, "
            "evidence: {columns: [declared, excluded_share]}, "
            "when: declared LIKE 'gender=%', require: excluded_share <= 0.2, remedy: block",
            "on: group(source), status: voluntary, evidence: {columns: [source, share]}, "
            "require: share >= 0.5, remedy: record",
            "on: group(skin_tone), status: voluntary, evidence: {columns: [skin_tone, share]}, "
            "require: share > 0, remedy: record",
        ),
    )
    parity, spread, absent = (result(judgement, f"R-{n}") for n in (2, 3, 4))
    assert (parity.status, parity.violations) == ("violated", 1)
    assert parity.detail == "1 of the 2 groups it applies to violate it, first gender=woman."
    assert spread.detail == "1 of the 2 groups it applies to violate it, first  other ."
    assert (absent.status, absent.remedy) == ("violated", "block")
    assert "skin_tone" in absent.detail


def test_a_policy_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="given twice"):
        decided(samples(), load_pack("dpdp"), load_pack("dpdp"))


def test_a_condition_that_does_not_fit_names_its_rule() -> None:
    wrong = "on: sample, status: voluntary, evidence: {columns: [caption]}, remedy: exclude"
    with pytest.raises(UsageError, match=r"Rule R-1 of policy own: .*does not fit"):
        decided(samples(), pack(f"{wrong}, require: caption > 5"))


def test_columns_that_pretend_to_be_a_verdict_are_not_believed() -> None:
    claimed = samples(bad={"licence_claims": ["CC-BY-NC-4.0"]}).append_column(
        "licence_use", pa.array(["permitted", "permitted"])
    )
    assert reasons(decided(claimed, load_pack("commercial"))) == [("bad", "COM-LICENCE-FORBIDDEN")]


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"compute_region": "aws:ap-south-1"}, "satisfied"),
        ({"compute_country": "IN"}, "satisfied"),
        ({"compute_region": "aws:us-east-1"}, "violated"),
        ({"compute_region": "aws:us-east-1", "compute_country": "IN"}, "violated"),
        ({"compute_region": ""}, "violated"),
        ({"compute_country": None, "preset": "micro"}, "violated"),
        ({}, "violated"),
    ],
    ids=["region", "country", "abroad", "contradiction", "not declared", "null", "nothing"],
)
def test_a_run_is_held_to_where_it_computes(facts: dict[str, str | None], status: str) -> None:
    packs = (load_pack("commercial"), load_pack("dpdp"))
    results = judge_run(facts, packs=packs, as_of=TODAY)
    (found,) = [result for result in results if result.id == "DPDP-RUN-IN-INDIA"]
    assert (found.id, found.status, found.remedy) == ("DPDP-RUN-IN-INDIA", status, "block")
    assert result(decided(samples(), *packs), "DPDP-RUN-IN-INDIA").status == "at-run"


def test_a_fact_of_a_run_that_is_missing_blocks() -> None:
    rule = "on: run, status: voluntary, evidence: {columns: [budget_s]}, require: budget_s <= 60"
    (found,) = judge_run({}, packs=[pack(f"{rule}, remedy: record")], as_of=TODAY)
    assert (found.status, found.remedy) == ("violated", "block")
    (found,) = judge_run({"budget_s": 60}, packs=[pack(f"{rule}, remedy: record")], as_of=TODAY)
    assert found.status == "satisfied"


def test_the_same_evidence_gives_the_same_decision() -> None:
    table = samples(**{f"s{n}": {"decoded": n % 3 > 0, "gps": n % 5 == 0} for n in range(300)})
    first, second = (decided(table, load_pack("commercial"), load_pack("dpdp")) for _ in range(2))
    assert first.rules == second.rules
    assert first.excluded.equals(second.excluded)
    for words in (
        chunk.dictionary for column in first.excluded.columns[1:] for chunk in column.chunks
    ):
        assert len(words.unique()) == len(words)  # or Parquet gets bytes that nobody wrote
    assert first.cleared.equals(second.cleared)


@pytest.mark.shared
def test_of_the_emoji_the_share_alike_set_waits_and_the_non_commercial_set_goes(
    shared: Path,
) -> None:
    rows: list[Mapping[str, object]] = []
    for path in sorted((shared / "emoji").glob("emoji-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            stated = [row.get("license_spdx"), row.get("license_conflict")]
            # the non-commercial shard has no licence column; its licence stands in the picture
            claims = sorted(c for c in stated if c) or ["CC-BY-NC-SA-4.0"]
            rows.append({**CLEAN, "id": row["id"], "licence_claims": claims, "attributed": True})
    judgement = decided(pa.Table.from_pylist(rows, schema=SAMPLE), load_pack("commercial"))
    counts = {rule.id: rule.violations for rule in judgement.rules if rule.violations}
    assert counts == {"COM-LICENCE-FORBIDDEN": 292, "COM-LICENCE-DISPUTED": 2973}
    assert judgement.verdict == "pass"
    assert len(judgement.cleared) == 12_184 - 292 - 2973
