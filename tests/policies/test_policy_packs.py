"""The packs that come with the program, held to their own rows; and that those rows can fail."""

import re
from datetime import date

import pytest

from policies import selftest
from policies.rules import Pack, load_pack, pack_names, read_pack

PACKS = tuple(load_pack(name) for name in pack_names())


@pytest.mark.parametrize("pack", PACKS, ids=pack_names())
def test_a_pack_passes_its_own_test_rows(pack: Pack) -> None:
    assert selftest.test_pack(pack) == []


@pytest.mark.parametrize(
    ("old", "new", "failure"),
    [
        ("require: decoded", "require: NOT decoded", "Test 1 of rule COM-DECODED: it is violated"),
        ("nsfw_score < 0.45", "nsfw_score < 0.6", "COM-NSFW: it is satisfied, not violated"),
        ("{decoded: null}", "{decodedd: null}", "no column 'decodedd'"),
        ("{decoded: null}", "{decoded: maybe}", "does not fit its column"),
        ("length(trim(caption)) > 0", "caption > 0", "COM-CAPTION: .*does not fit"),
        ("{rule: COM-OPTOUT, row: {optout: []}, expect: satisfied}",
         "{rule: COM-OPTOUT, row: {}, expect: violated}", "COM-OPTOUT has no test row that is sat"),
        ("[decoded]}\n    require: decoded", "[decodet]}\n    require: decodet", "'decodet'"),
        ("optout: []}, expect: satisfied", "optout: []}, expect: not-in-force", "it is satisfied"),
    ],
    ids=[
        "rule turned round", "other threshold", "unknown column in a row", "wrong type in a row",
        "condition that cannot run", "rule without a row", "column nobody measures", "wrong day",
    ],
)  # fmt: skip
def test_test_rows_notice_a_change(old: str, new: str, failure: str) -> None:
    text = load_pack("commercial").source.data.decode()
    assert old in text
    edited = read_pack(text.replace(old, new, 1).encode(), source="edited.yaml")
    assert any(re.search(failure, sentence) for sentence in selftest.test_pack(edited))


def test_no_duty_of_the_dpdp_act_is_claimed_before_its_day() -> None:
    rules = load_pack("dpdp").rules
    duties = [rule for rule in rules if rule.cite.instrument.startswith("DPDP")]
    assert {rule.applies_from for rule in duties} == {date(2027, 5, 13)}
    assert {rule.status for rule in duties} == {"future"}
    chosen = [rule for rule in rules if rule not in duties]
    assert {rule.status for rule in chosen} == {"voluntary"}
    assert all("not required by the DPDP Act today" in str(rule.cite) for rule in chosen)


def test_no_rule_of_the_child_safety_pack_is_ever_waived_or_not_in_force() -> None:
    rules = {rule.id: rule for rule in load_pack("child-safety").rules}
    assert {rule.waive for rule in rules.values()} == {"never"}
    assert all(rule.in_force(date(2026, 1, 1)) and not rule.tolerance for rule in rules.values())
    assert (rules["CS-SUSPECTED"].remedy, rules["CS-CASE-OPEN"].remedy) == ("exclude", "block")
    assert "makes no claim of absence" in " ".join(rules["CS-CASE-OPEN"].why.split())
