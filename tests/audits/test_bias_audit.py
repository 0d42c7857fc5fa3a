import csv
import json
import math
from collections import Counter

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audits.audit import Batch, wilson
from audits.bias import BiasAudit, declared, parity
from governance.errors import Tampered, UsageError
from governance.records import findings_bytes

ATTRIBUTES = ("gender", "skin_tone", "skin_tones", "occupation", "cultural_marker")


def measured(rows):
    """Return measures of (id, attributes, caption) rows."""
    manifest = pa.table(
        {
            "id": [row[0] for row in rows],
            "attributes": pa.array(
                [None if row[1] is None else json.dumps(row[1]) for row in rows], pa.string()
            ),
            "caption": pa.array([row[2] for row in rows], pa.string()),
        }
    )
    audit = BiasAudit()
    columns = audit.measure(Batch(manifest, (None,) * len(rows), (b"",) * len(rows)))
    for field in audit.columns:
        manifest = manifest.append_column(field, pa.array(columns[field.name], field.type))
    return manifest


def no_picture(sample_id):
    raise AssertionError(f"bias asked for the picture of {sample_id}")


def concluded(measures):
    with duckdb.connect() as connection:
        connection.register("measures", measures)
        findings = BiasAudit().conclude(connection, no_picture).findings
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


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
    assert table["declared"].to_pylist() == [[], []]
    assert table["stated"].to_pylist() == [[], []]


def test_counts_shares_coverage_and_effective_groups_are_reported():
    rows = [(f"w{n}", {"gender": "woman"}, "a nurse") for n in range(3)]
    rows += [("m", {"gender": "man"}, "a man"), ("x", None, "a mango")]
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
    assert len(found) == 2


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


@pytest.mark.shared
@pytest.mark.parametrize("vendor", ["noto", "twemoji", "openmoji", "fluent"])
def test_counts_of_a_vendor_are_those_of_the_published_summary(shared, vendor):
    table = pq.read_table(shared / "emoji" / f"emoji-{vendor}.parquet")
    rows = [
        (row["id"], {name: row[name] for name in ATTRIBUTES}, row["caption"])
        for row in table.drop_columns(["image"]).to_pylist()
    ]
    found = concluded(measured(rows))
    summary = csv.DictReader((shared / "emoji" / "summary.csv").read_text().splitlines())
    expected = {
        f"{row['attribute']}={row['value']} samples": int(row[vendor])
        for row in summary
        if row["attribute"] in ATTRIBUTES
    }
    assert {name: found[name].value for name in expected} == expected
    assert found["gender=woman share"].value == pytest.approx(472 / 2973)


def people(seed=0, count=2000):
    """Return measures of people with two axes, one of them a list, and some excluded ids."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        gender = rng.choice(["woman", "man", "hijra"], p=[0.45, 0.54, 0.01])
        tones = sorted(set(rng.choice(["light", "medium", "dark"], 2)))
        rows.append((str(n), {"gender": gender, "skin_tones": tones}, ""))
    excluded = [r[0] for r in rows if rng.random() < (0.3 if "dark" in r[1]["skin_tones"] else 0.1)]
    return measured(rows), excluded


def test_parity_on_counts_is_that_of_fairlearn_on_rows_to_the_last_bit():
    metrics = pytest.importorskip("fairlearn.metrics")
    measures, excluded = people()
    found = {finding.name: finding for finding in parity(measures, excluded)}
    rows = [
        (group, int(name not in excluded))
        for name, groups in zip(
            measures["id"].to_pylist(), measures["declared"].to_pylist(), strict=True
        )
        for group in groups
        if group.startswith("skin_tones=")
    ]
    kept = [row[1] for row in rows]
    frame = metrics.MetricFrame(
        metrics=metrics.selection_rate,
        y_true=kept,
        y_pred=kept,
        sensitive_features=[row[0] for row in rows],
    )
    for group, rate in frame.by_group.items():
        assert found[f"{group} retention"].value == rate
    assert found["skin_tones retention difference"].value == frame.difference()
    assert found["skin_tones retention ratio"].value == frame.ratio()
    assert frame.difference() > 0.05


def test_a_small_group_has_a_rate_and_an_interval_but_no_part_in_the_gap():
    measures, excluded = people(count=300)
    scarce = Counter(g for groups in measures["declared"].to_pylist() for g in groups)
    assert 0 < scarce["gender=hijra"] < 30
    found = {finding.name: finding for finding in parity(measures, excluded)}
    assert found["gender=hijra retention"].note.startswith("Insufficient evidence")
    assert found["gender=woman retention"].note == ""
    woman, man = (found[f"gender={g} retention"].value for g in ("woman", "man"))
    assert found["gender retention difference"].value == pytest.approx(abs(woman - man))
    assert "Between 2 of 3 groups" in found["gender retention difference"].note


@pytest.mark.parametrize(
    ("rows", "excluded", "difference", "ratio"),
    [
        ({"woman": 29, "man": 40}, 0, None, None),
        ({"woman": 40}, 0, None, None),
        ({"woman": 40, "man": 40}, 80, 0.0, None),
        ({"woman": 40, "man": 40}, 40, 1.0, 0.0),
        ({"woman": 40, "man": 40}, 0, 0.0, 1.0),
    ],
    ids=["one large group", "one group", "nothing kept", "no woman kept", "all kept"],
)
def test_a_gap_is_a_number_or_nothing_and_never_nan(rows, excluded, difference, ratio):
    samples = [(f"{g}{n}", {"gender": g}, "") for g, count in rows.items() for n in range(count)]
    findings = parity(measured(samples), {s[0] for s in samples[:excluded]})
    found = {finding.name: finding.value for finding in findings}
    assert found["gender retention difference"] == difference
    assert found["gender retention ratio"] == ratio
    assert findings_bytes(findings)  # NaN has no canonical form


def test_nothing_declared_has_no_parity():
    assert parity(measured([("a", None, "a woman")]), []) == ()
