"""What may be written in a pack, and how a pack that is wrong is refused."""

from datetime import date
from pathlib import Path

import pytest

from governance.canon import sha256
from governance.errors import UsageError
from policies.rules import load_pack, pack_names, read_pack, unchanged

RULE = """\
  - id: OWN-CAPTION
    cite: {instrument: Our policy, section: s.1, url: "https://example.org"}
    status: voluntary
    severity: low
    on: sample
    evidence: {columns: [caption]}
    require: length(caption) > 0
    remedy: exclude
    waive: never
    why: a caption is needed
"""
HEAD = """\
schema: pramana.policy/v1
id: own
version: "1"
regime: {name: Ours, jurisdiction: IN}
rules:
"""
PACK = HEAD + RULE


def edited(old: str, new: str) -> bytes:
    assert old in PACK
    return PACK.replace(old, new).encode()


def test_a_pack_keeps_the_exact_bytes_it_was_read_from(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(PACK)
    pack = load_pack(path)
    assert pack.source.data == PACK.encode()
    assert pack.source.used.sha256 == sha256(PACK.encode())
    assert (pack.id, pack.rules[0].on, str(pack.rules[0].cite)) == (
        "own", "sample", "Our policy, s.1, https://example.org",
    )  # fmt: skip


def test_an_edited_policy_no_longer_is_the_one_that_judged(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(PACK)
    used = load_pack(str(path)).source.used
    assert unchanged(used)
    path.write_text(PACK.replace("> 0", "> 1"))
    assert not unchanged(used)
    path.unlink()
    assert not unchanged(used)


def test_a_packaged_policy_is_found_by_its_name_and_again_by_its_record() -> None:
    assert {"commercial", "dpdp"} <= set(pack_names())
    used = load_pack("commercial").source.used
    assert used.source == "package:packs/commercial.yaml"
    assert unchanged(used)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (edited("    why:", "    note: x\n    why:"), r"own\.yaml: rule 'OWN-CAPTION', key 'note'"),
        (edited("rules:", "defaults: {}\nrules:"), "key 'defaults'"),
        (edited("    remedy: exclude\n", ""), "rule 'OWN-CAPTION', key 'remedy'"),
        (HEAD.replace("rules:", "rules: []").encode(), "key 'rules'.*at least 1"),
        ((PACK + RULE).encode(), "rule id 'OWN-CAPTION' stands twice"),
        (edited("    why:", "    remedy: block\n    why:"), "'remedy' stands twice"),
        (edited("on: sample", "on: samples"), "key 'on'"),
        (edited("on: sample", "on: run"), "Only samples can be put under exclude"),
        (edited("status: voluntary", "status: future"), "give applies_from"),
        (edited("status: voluntary", "status: future\n    applies_from: soon"), "applies_from"),
        (edited("waive: never", "waive: {roles: [dpo], max_days: 400}"), "max_days"),
        (edited("waive: never", "waive: {roles: [], max_days: 4}"), "roles"),
        (edited("waive: never", "tolerance: 101 %\n    waive: never"), "tolerance"),
        (edited("waive: never", "tolerance: -1\n    waive: never"), "tolerance"),
        (edited("[caption]", "[caption, licence]"), "evidence.columns lists"),
        (edited("length(caption) > 0", "read_text('x') = 'y'"), "key 'require': .*read_text"),
        (edited("length(caption) > 0", "(caption"), "key 'require': .*not SQL"),
        (edited("id: own", "id: pramana"), "kept for what holds by construction"),
        (edited("OWN-CAPTION", "PRAMANA-X"), "kept for what holds by construction"),
        (edited("OWN-CAPTION", "own caption"), "key 'id'"),
        (edited('version: "1"', "version: 1"), "key 'version'"),
        (edited("policy/v1", "policy/v2"), "key 'schema'"),
        (b"- just\n- a list\n", "dictionary|object"),
        (b"", "own.yaml"),
        (b"\xff\xfe", "not UTF-8"),
        (edited("a caption is needed", r'"\ud800"'), "not UTF-8"),
        (edited("a caption is needed", "!!binary /w=="), "not UTF-8"),
        (edited("length(caption) > 0", "NOT " * 499 + "TRUE"), "not JSON we accept"),
        (b"a: &x 1\nb: *x\n", "an alias stands"),
        ((PACK + "tests:\n  - {rule: OTHER, row: {}, expect: satisfied}\n").encode(), "'OTHER'"),
        ((PACK + "tests:\n  - {rule: OWN-CAPTION, expect: violated}\n").encode(), "row or rows"),
        (
            edited("on: sample", "on: group(caption)").replace(b"exclude", b"block"),
            "never printed as groups",
        ),
    ],
    ids=[
        "unknown key", "unknown key of the pack", "key left out", "no rules", "id twice",
        "key twice",
        "unknown scope", "excluding a run", "future without a date", "no date",
        "endless waiver", "nobody may waive", "more than all", "less than none",
        "evidence that is not read", "reads a file", "broken SQL", "our name", "our rules' name",
        "id of two words", "version as a number", "unknown schema", "a list", "nothing", "not text",
        "half a character", "bytes", "a condition deeper than Python",
        "alias", "test of no rule", "test without rows", "groups of captions",
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refusal:
        read_pack(data, source="folder/own.yaml")
    assert str(refusal.value).startswith("Policy own.yaml")
    assert "folder/" not in str(refusal.value)


def test_a_pack_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="commercial, dpdp"):
        load_pack("comercial")


@pytest.mark.parametrize(
    ("written", "applicable", "tolerated"),
    [("3", 10, 3), ("0.5 %", 1000, 5), ("0.5 %", 199, 0), ("100%", 7, 7), ("5 %", 19, 0)],
)
def test_a_tolerance_is_a_number_or_a_share(written: str, applicable: int, tolerated: int) -> None:
    data = edited("waive: never", f"tolerance: {written}\n    waive: never")
    assert read_pack(data, source="own.yaml").rules[0].tolerated(applicable) == tolerated


@pytest.mark.parametrize(
    ("lines", "day", "expected"),
    [
        ("status: in_force", date.min, True),
        ("status: future\n    applies_from: 2027-05-13", date(2027, 5, 12), False),
        ("status: future\n    applies_from: 2027-05-13", date(2027, 5, 13), True),
        ("status: proposed", date.max, False),
        ("status: proposed\n    applies_from: 2020-01-01", date.max, False),
    ],
    ids=["always", "the day before", "the very day", "proposed", "proposed with a date"],
)
def test_a_rule_is_in_force_from_its_day_and_never_while_proposed(
    lines: str, day: date, *, expected: bool
) -> None:
    rule = read_pack(edited("status: voluntary", lines), source="own.yaml").rules[0]
    assert rule.in_force(day) is expected
