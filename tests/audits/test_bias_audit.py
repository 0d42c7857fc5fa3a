import csv
import functools
import json
import math

import bias_answers
import pyarrow as pa
import pytest
from told import concluded, measured

from audits.audit import wilson
from audits.bias import declared
from governance.errors import Tampered, UsageError

emoji = functools.cache(bias_answers.emoji)  # 2,973 pictures are decoded
TONES = "light | medium | medium-dark | medium-light"
ROWS = [(f"w{n}", {"gender": "woman"}, "a nurse") for n in range(3)]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gender": "woman", "skin_tone": ""}, ["gender=woman"]),
        ({"skin_tones": ["dark", "light", "dark"]}, ["skin_tones=dark", "skin_tones=light"]),
        ({"age": 7, "minor": True, "height": None}, ["age=7", "minor=true"]),
        ({"a=b": "c=d"}, ["a b=c=d"]),
        ({"gender": "wo\u202eman\n"}, ["gender=wo man"]),
        ({"gender": " "}, []),
        ({}, []),
    ],
    ids=[
        "empty value", "list", "numbers", "equals signs", "control characters", "blank", "nothing",
    ],
)  # fmt: skip
def test_attributes_are_read_as_they_were_declared(attributes, expected):
    assert declared(json.dumps(attributes)) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", UsageError), ('{"a": 1, "a": 2}', UsageError), ("[1]", Tampered)],
    ids=["broken", "a key twice", "a list"],
)
def test_attributes_that_are_no_object_are_refused(text, fault):
    with pytest.raises(fault):
        declared(text)


def test_a_sample_that_declares_nothing_has_empty_lists():
    table = measured([("a", None, None), ("b", {}, "")])
    for column in ("declared", "stated", "traits"):
        assert table[column].to_pylist() == [[], []]


def test_traits_and_settings_are_no_groups():
    (row,) = measured([("a", None, "a poor woman in a kitchen")]).to_pylist()
    assert row["stated"] == ["gender=woman"]
    assert row["traits"] == ["setting=kitchen", "trait=poor"]


def test_counts_shares_coverage_and_effective_groups_are_reported():
    rows = [*ROWS, ("m", {"gender": "man"}, "a man"), ("x", None, "a mango")]
    found = concluded(measured(rows))
    assert found["gender=woman samples"].value == 3
    share = found["gender=woman share"]
    assert (share.value, share.low, share.high) == (0.75, *wilson(3, 4))
    assert found["declared gender coverage"].value == pytest.approx(4 / 5)
    assert found["samples with a declared group"].value == pytest.approx(4 / 5)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["gender effective groups"].value == pytest.approx(math.exp(entropy))
    assert found["stated occupation=nurse samples"].value == 3
    assert found["stated gender=man samples"].value == 1


def test_a_value_that_names_nobody_is_counted_and_is_no_group():
    found = concluded(measured([*ROWS, ("x", {"gender": "not-applicable"}, "")]))
    assert found["gender=not-applicable samples"].value == 1
    assert found["gender effective groups"].value == pytest.approx(1)


def test_a_sample_with_two_values_on_an_axis_counts_in_both_and_is_covered_once():
    rows = [("a", {"skin_tones": ["dark", "light"]}, ""), ("b", {"skin_tones": ["dark"]}, "")]
    found = concluded(measured([*rows, ("c", None, "")]))
    assert found["skin_tones=dark share"].value == 1.0
    assert found["skin_tones=light share"].value == 0.5
    assert found["declared skin_tones coverage"].value == pytest.approx(2 / 3)


def test_nothing_declared_is_a_finding_of_no_coverage():
    found = concluded(measured([("a", None, "a mango")]))
    assert found["samples with a declared group"].value == 0.0
    assert found["samples with a stated group"].value == 0.0


def test_no_sample_gives_no_share_and_the_whole_interval():
    found = concluded(measured([("a", None, "")]).slice(0, 0))
    covered = found["samples with a declared group"]
    assert (covered.value, covered.low, covered.high) == (0.0, 0.0, 1.0)


def test_an_axis_of_many_values_is_reported_by_its_largest_groups():
    rows = [(str(n), {"creator": f"c{n // 2 if n < 4 else n}"}, "") for n in range(120)]
    found = concluded(measured(rows))
    assert sum(name.startswith("creator=") for name in found) == 2 * 50
    assert found["creator=c0 samples"].value == 2
    assert "Of 118" in found["creator effective groups"].note


def test_an_ambiguous_name_is_counted_as_that_and_as_no_group():
    found = concluded(measured([("a", None, "Mr Khan at a fair"), ("b", None, "a Sikh")]))
    assert found["stated ambiguous=khan samples"].value == 1
    assert found["samples with a stated group"].value == 0.5
    assert "stated ambiguous=khan share" not in found


def test_a_picture_with_several_captions_counts_once_with_all_they_say():
    said = {"a": "a man", "b": "a boy", "c": "a man", "d": "a woman", "e": "a woman"}
    rows = [(name, None, caption) for name, caption in said.items()]
    chain = pa.array([None, "a", None, "c", "d"], pa.string())  # e copies d, which copies c
    found = concluded(measured(rows, duplicate_of=chain))
    assert found["pictures with stated gender=man alone"].value == 1
    assert found["pictures with several stated gender groups"].value == 1
    assert found["stated gender=man samples"].value == 3


def test_scripts_of_captions_are_shares():
    rows = [
        ("a", None, "a man"),
        ("b", None, "एक आदमी"),
        ("c", None, "ஒரு ஆண், a man"),
        ("d", None, ""),
    ]
    found = concluded(measured(rows))
    assert found["captions in Latin script share"].value == pytest.approx(2 / 3)
    assert found["captions in Devanagari script share"].value == pytest.approx(1 / 3)
    assert "captions in Bengali script share" not in found


def test_the_same_measures_give_the_same_findings_in_any_order():
    table = measured([*ROWS, ("m", {"gender": "man"}, "a man"), ("x", None, "a mango")])
    turned = table.take(pa.array(range(table.num_rows - 1, -1, -1)))
    assert concluded(table) == concluded(turned)


@pytest.mark.shared
def test_captions_of_coco_name_only_men_in_928_pictures_and_only_women_in_400(shared):
    found = bias_answers.coco(shared)
    assert found["pictures with stated gender=man alone"].value == 928
    assert found["pictures with stated gender=woman alone"].value == 400
    assert found["pictures with several stated gender groups"].value == 185


@pytest.mark.shared
@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        ("openmoji", {
            "one picture for gender=man | unspecified": 102,
            "one picture for gender=unspecified | woman": 6,
        }),
        ("noto", {
            f"one picture for skin_tone=dark | default | {TONES}": 1,
            f"one picture for skin_tones=dark | {TONES} | nothing": 1,
        }),
        ("twemoji", {}),
        ("fluent", {}),
    ],
)  # fmt: skip
def test_pictures_under_several_labels_are_those_that_are_published(shared, vendor, expected):
    found = emoji(shared, vendor)
    shared_by = {n: f.value for n, f in found.items() if n.startswith("one picture for ")}
    assert shared_by == expected
    known = {}
    with (shared / "emoji" / "exact_duplicates.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["id"].startswith(f"{vendor}/") and row["reason"] != "same picture, other name":
                known.setdefault(row["group"], set()).add(row["id"])
    several = found["samples whose picture stands for another group too"]
    assert set(several.ids) == set().union(*known.values())


@pytest.mark.shared
@pytest.mark.parametrize("vendor", ["noto", "twemoji", "openmoji", "fluent"])
def test_balanced_labels_raise_no_alarm_and_counts_are_those_published(shared, vendor):
    found = emoji(shared, vendor)
    assert found["associations compared"].value > 100
    assert found["associations beyond chance"].value == 0
    summary = csv.DictReader((shared / "emoji" / "summary.csv").read_text().splitlines())
    expected = {
        f"{row['attribute']}={row['value']} samples": int(row[vendor])
        for row in summary
        if row["attribute"] in bias_answers.DECLARED
    }
    assert {name: found[name].value for name in expected} == expected
    assert found["gender=woman share"].value == pytest.approx(472 / 2973)
