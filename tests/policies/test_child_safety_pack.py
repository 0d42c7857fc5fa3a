"""Suspected samples under the pack that is always applied: who is out, and when the gate opens."""

from datetime import date

import pyarrow as pa
import pytest

from policies.decide import Judgement, judge, judge_run
from policies.evidence import SAMPLE
from policies.rules import load_pack, read_pack

TODAY = date(2026, 11, 23)
SCREENED = {"decoded": True, "nsfw_scored": True, "suspected": False, "covered": True}
SILENT = """
schema: pramana.policy/v1
id: silent
version: '1'
regime: {name: a test, jurisdiction: none}
rules:
  - {id: R, cite: {instrument: a test}, status: voluntary, severity: low, on: sample,
     evidence: {columns: [decoded]}, require: decoded, remedy: record, waive: never, why: a test}
"""
STANDS = {  # what is known of a sample: whether it is cleared, and what its rules answer
    "screened": ({}, True, "pass"),
    "suspected, its case open": ({"suspected": True, "case_closed": False}, False, "block"),
    "suspected, its case closed": ({"suspected": True, "case_closed": True}, False, "pass"),
    "suspected, no case": ({"suspected": True}, False, "block"),
    "suspected once, its case open": ({"case_closed": False}, False, "block"),
    "suspected once, its case closed": ({"case_closed": True}, False, "pass"),
    "nobody knows": ({"suspected": None}, False, "block"),
    "decoded and not screened": ({"nsfw_scored": False}, False, "pass"),
    "not decoded": ({"decoded": False, "nsfw_scored": False}, True, "pass"),
}


def judged(**changed: object) -> Judgement:
    rows = [{"id": "ok", **SCREENED}, {"id": "it", **SCREENED, **changed}]
    return judge(
        pa.Table.from_pylist(rows, schema=SAMPLE),
        audits_run=["nsfw"], findings=(), packs=[load_pack("child-safety")], as_of=TODAY,
    )  # fmt: skip


@pytest.mark.parametrize(("known", "cleared", "verdict"), STANDS.values(), ids=STANDS.keys())
def test_a_suspected_image_is_out_for_ever_and_blocks_until_its_case_is_closed(
    known: dict[str, object],
    cleared: bool,  # noqa: FBT001
    verdict: str,
) -> None:
    judgement = judged(**known)
    assert ("it" in judgement.cleared.to_pylist()) is cleared
    assert judgement.verdict == verdict


def test_without_the_nsfw_audit_nothing_is_cleared() -> None:
    table = pa.Table.from_pylist([{"id": "ok", **SCREENED}], schema=SAMPLE)
    judgement = judge(
        table, audits_run=[], findings=(), packs=[load_pack("child-safety")], as_of=TODAY
    )
    assert judgement.verdict == "block"


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"scraped": True, "legal_contact": ""}, "violated"),
        ({"scraped": True, "legal_contact": "A. Counsel"}, "satisfied"),
        ({"scraped": False, "legal_contact": ""}, "satisfied"),
        ({"legal_contact": "A. Counsel"}, "violated"),
    ],
    ids=["nobody answers", "somebody does", "not scraped", "nobody looked"],
)
def test_a_run_on_scraped_data_needs_somebody_who_answers(
    facts: dict[str, object], status: str
) -> None:
    (rule,) = judge_run(facts, packs=[load_pack("child-safety")], as_of=TODAY)
    assert (rule.id, rule.status) == ("CS-CONTACT", status)


def test_of_a_suspected_sample_nothing_else_is_known_and_so_no_other_rule_judges_it() -> None:
    nothing = {"id": "it", "covered": True, "suspected": True, "case_closed": True}
    clean = {
        "id": "ok", **SCREENED, "caption": "a red circle", "licence_claims": ["CC0-1.0"],
        "licence_unrecognised": False, "pii_kinds": [],
    }  # fmt: skip
    judgement = judge(
        pa.Table.from_pylist([clean, nothing], schema=SAMPLE),
        audits_run=["nsfw", "licence", "personal", "duplicates"], findings=(), as_of=TODAY,
        packs=[load_pack("child-safety"), load_pack("commercial")],
    )  # fmt: skip
    assert {row["rule"] for row in judgement.excluded.to_pylist() if row["id"] == "it"} == {
        "CS-SUSPECTED",
    }  # fmt: skip
    answered = {rule.id: rule.violations for rule in judgement.rules}
    assert answered["COM-PERSONAL-NUMBER"] == 0  # it blocks, and would for lack of a value


def test_a_suspected_sample_is_not_cleared_where_no_pack_speaks_of_it() -> None:
    rows = [{"id": "ok", **SCREENED, "caption": "x"}, {"id": "it", "covered": True,
                                                       "suspected": True}]  # fmt: skip
    judgement = judge(
        pa.Table.from_pylist(rows, schema=SAMPLE), audits_run=[], findings=(), as_of=TODAY,
        packs=[read_pack(SILENT.encode(), source="silent.yaml")],
    )  # fmt: skip
    assert judgement.cleared.to_pylist() == ["ok"]
