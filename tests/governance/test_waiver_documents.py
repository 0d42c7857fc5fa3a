"""What is signed on waivers: plain, strict, shown; and what a decision may stand on."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from governance.canon import canonical, sha256
from governance.errors import Refused, Tampered, UsageError
from governance.records import PolicyUsed
from governance.snapshot import sample_leaves
from governance.statements import WAIVER, statement
from governance.waiving import approvals
from governance.waiving.papers import (
    entries_on_waivers,
)
from governance.waiving.waivers import (
    Request,
    check_plain,
    clause_of,
    sample_ids,
    sample_list,
    shown,
)
from office import MANY, NAMED, POLICY, SNAPSHOT, decided


def test_a_document_that_cites_another_ledger_is_told_from_ours(office):
    for changed in ({"root": "0" * 64}, {"size": 1, "root": "0" * 64}):
        with pytest.raises(Tampered, match="not this one"):
            office.check(office.ask(**changed, nonce=json.dumps(changed)))
    request = office.ask()
    office.approve(request, "devi", root="0" * 64)
    with pytest.raises(Tampered, match="not this one"):
        office.check(request)


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (17, {"waivers": ()}), (17, {"waivers": ("9" * 64,)}), (17, {"verdict": "pass"}),
        (18, {"snapshot": "b" * 64}),
        (18, {"policies": (PolicyUsed(id="commercial", version="1", source="", sha256="2" * 64),)}),
        (18, {"policies": ()}),
    ],
    ids=[
        "decision names none", "decision names another", "verdict hides it", "other snapshot",
        "policy edited since", "policy did not judge",
    ],
)  # fmt: skip
def test_a_decision_stands_only_on_waivers_about_it(office, granted_one, check, changed):
    with pytest.raises(Refused, match=rf"waiver \({check}\)"):
        office.check(granted_one, **changed)


@pytest.mark.parametrize(
    "rule",
    [{"waived": 3}, {"id": "COM-OTHER"}, {"policy": "dpdp"}, {"waived": 0}],
    ids=["one sample more", "other rule", "other policy", "waived nothing"],
)
def test_a_rule_sets_aside_no_more_than_its_waivers_name(office, granted_one, rule):
    results = (replace(decided(granted_one).rules[0], **rule),)
    with pytest.raises(Refused, match=r"waiver \(19\)"):
        office.check(granted_one, rules=results)


def test_a_decision_without_waivers_waives_nothing(office, granted_one):
    assert office.check() == ()
    with pytest.raises(Refused, match=r"waiver \(19\)"):
        office.check(rules=decided(granted_one).rules)


def test_a_document_that_was_altered_or_erased_is_told(office, granted_one):
    entry = entries_on_waivers(office.ledger)[1]
    for data in (b"", office.objects[str(entry.body["document"])] + b" "):
        office.objects[str(entry.body["document"])] = data
        with pytest.raises(Tampered, match="altered"):
            office.check(granted_one)


def test_a_rule_that_is_never_waived_cannot_be_asked_for(office):
    for policy, rule in (
        (POLICY, "COM-DECODED"),
        (POLICY, "COM-NONE"),
        (POLICY.replace(b"id: commercial", b"id: child-safety"), "COM-NSFW"),
    ):
        with pytest.raises(Refused, match="never be waived"):
            clause_of(policy, rule)
    for text in (b"", b"[]", b"rules: 3", b"\xff", b"id: x\nrules: [{id: R, waive: {}}]"):
        with pytest.raises(Tampered):
            clause_of(text, "R")


def test_the_text_that_is_signed_is_plain_and_the_same_each_time(office):
    request = office.asked()
    text = shown(request, clause_of(POLICY, "COM-NSFW"))
    assert text == shown(Request.read(request.payload()), clause_of(POLICY, "COM-NSFW"))
    for said in (
        request.id, "COM-NSFW", "nsfw_score < 0.45", "Operator's policy, threshold", "2 samples",
        request.subject, request.ends_at, "asha", "omar", "2 of the roles dpo, legal, among them",
        "statues in a museum", "a person looked at each", "0 waivers of this rule", SNAPSHOT,
    ):  # fmt: skip
        assert said in text
    assert text.isprintable() or set(filter(lambda c: not c.isprintable(), text)) == {"\n"}


@pytest.mark.parametrize("text", ["", " x", "x\ny", "x" * 501, "x\u202ey", "\x1b[31mx"])
def test_a_reason_is_one_plain_line(office, text):
    with pytest.raises(UsageError):
        check_plain("reason", text)
    for field_name in ("reason", "measure"):
        with pytest.raises(Tampered):
            Request.read(replace(office.asked(), **{field_name: text}).payload())


def test_a_document_is_read_strictly(office):
    whole = json.loads(office.asked().payload())
    for change in (
        {"count": "2"}, {"count": True}, {"roles": [1]}, {"more": 1}, {"reason": None},
        {"roles": "dpo"},
    ):  # fmt: skip
        said = {**whole, "predicate": {**whole["predicate"], **change}}
        with pytest.raises(Tampered):
            Request.read(canonical(said))
    less = {k: v for k, v in whole["predicate"].items() if k != "owner"}
    with pytest.raises(Tampered):
        Request.read(canonical({**whole, "predicate": less}))
    with pytest.raises(Tampered):
        Request.read(json.dumps(whole, indent=1).encode())
    with pytest.raises(Tampered):
        Request.read(statement(WAIVER, subjects={}, predicate=whole["predicate"]))


def test_a_sample_set_is_named_by_the_root_over_its_sorted_leaves(office):
    request, listed = office.asked(), sample_list(MANY, NAMED)
    assert sample_list(MANY, reversed(NAMED)) == listed
    assert sample_ids(listed, request) == tuple(name for _, name in json.loads(listed))
    leaves = sorted(leaf.hex() for leaf in sample_leaves(MANY))
    assert set(json.loads(listed)[0][:1]) < set(leaves)
    more = sample_list(MANY, (*NAMED, "s5"))
    backwards = canonical(json.loads(listed)[::-1])
    for other in (more, backwards, b"[]", b"{}", b"[1]"):
        with pytest.raises(Tampered):
            sample_ids(other, request)
        with pytest.raises(Tampered):
            sample_ids(other, replace(request, samples=sha256(other)))


def test_the_document_on_waivers_names_every_check():
    waiving = Path(approvals.__file__).parent
    root = waiving.parents[1]
    code = "".join((waiving / f"{n}.py").read_text() for n in ("approvals", "waived"))
    made = re.findall(r"_refusal\(\s*(\d+)|_(?:check_told|opened)\((\d+)|waiver \((\d+)\)", code)
    told = re.findall(r"^\| (\d+) \|", (root / "docs" / "waivers.md").read_text(), re.MULTILINE)
    assert {int(one) for found in made for one in found if one} == {int(n) for n in told}
