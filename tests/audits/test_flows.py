import pytest

from audits.places.flows import NAMED, Processor, Stop, findings_of, flows_of

HOME = {("IN", "aws:ap-south-1"): 8, ("unknown", "in"): 2}
STORE, ABROAD = Stop("store", "aws:ap-south-2", "aws:ap-south-2"), Stop("store", "US", "US")
COPY, ANYWHERE = Stop("copy", "gcs:eu", "gcs:eu"), Stop("copy", "azure:grs", "azure:grs")
LABELS = Stop("processor", "a label vendor", "azure:eastus")
COMPUTE = Stop("compute", "aws:us-east-1", "aws:us-east-1")


def test_samples_flow_from_their_subjects_to_where_they_are_held():
    assert flows_of(HOME, []) == {("IN", "IN", "held"): 8, ("unknown", "IN", "held"): 2}
    assert flows_of({("IN", None): 3, ("IN", "gcs:asia"): 4}, []) == {("IN", "unknown", "held"): 7}


def test_stores_take_from_where_samples_are_held_and_give_to_the_rest():
    flows = flows_of(HOME, [STORE, ABROAD, COPY, LABELS, COMPUTE])
    assert {flow: n for flow, n in flows.items() if flow[2] != "held"} == {
        ("IN", "IN", "store aws:ap-south-2"): 10,
        ("IN", "US", "store US"): 10,
        ("IN", "unknown", "copy gcs:eu"): 10,
        ("US", "unknown", "copy gcs:eu"): 10,
        ("IN", "US", "processor a label vendor"): 10,
        ("US", "US", "processor a label vendor"): 10,
        ("IN", "US", "compute aws:us-east-1"): 10,
        ("US", "US", "compute aws:us-east-1"): 10,
    }


def test_without_a_store_the_rest_takes_from_where_samples_are_held():
    held = {("unknown", "aws:us-east-1"): 1, ("unknown", "IN"): 9}
    assert flows_of(held, [COMPUTE]) == {
        ("unknown", "US", "held"): 1,
        ("unknown", "IN", "held"): 9,
        ("US", "US", "compute aws:us-east-1"): 1,
        ("IN", "US", "compute aws:us-east-1"): 9,
    }


def found(held, stops=(), processors=(), home="IN"):
    findings = findings_of(held, stops, processors, audit="locality", home=home)
    return {finding.name: finding for finding in findings}


def asked(findings):
    names = ("flows outside IN", "declared places outside IN", "unknown places",
             "processors without a contract")  # fmt: skip
    return [findings[name].value for name in names]


@pytest.mark.parametrize(
    ("held", "stops", "numbers"),
    [
        (HOME, [], [0, 0, 0, 0]),
        (HOME, [STORE], [0, 0, 0, 0]),
        (HOME, [ABROAD], [1, 1, 0, 0]),
        (HOME, [STORE, COPY, ANYWHERE], [2, 2, 2, 0]),
        ({("IN", None): 1, ("IN", "asia"): 1}, [], [1, 0, 2, 0]),
        ({("IN", "aws:us-east-1"): 1}, [STORE], [1, 0, 0, 0]),
        ({}, [], [0, 0, 0, 0]),
    ],
    ids=["home", "a store at home", "a store abroad", "copies nobody can place", "regions like it",
         "held abroad", "no sample"],
)  # fmt: skip
def test_what_rules_ask_is_counted_and_the_unknown_counts_as_outside(held, stops, numbers):
    assert asked(found(held, stops)) == numbers


def test_each_flow_names_its_ends_and_why_one_is_unknown():
    findings = found(HOME, [STORE, ANYWHERE])
    flow = findings["flow IN -> unknown (copy azure:grs)"]
    assert flow.value == 10
    assert flow.note.startswith("copy azure:grs: geo-redundant storage writes to a second region")
    assert "table of regions of 20" in findings["flow IN -> IN (store aws:ap-south-2)"].note
    assert findings["unknown places"].note == "copy azure:grs (unknown)."
    assert "not in the table" in found({("IN", "the moon"): 1})["unknown places"].note


def test_a_processor_without_a_contract_or_a_place_is_found():
    bare = Processor(name="a captioner", purpose="captions")
    under = Processor(name="a vendor", purpose="labels", region="IN", contract="MSA-7")
    stops = [Stop("processor", one.name, one.region) for one in (bare, under)]
    findings = found(HOME, stops, [bare, under])
    assert asked(findings) == [1, 1, 1, 1]
    assert findings["processors without a contract"].note == "processor a captioner (unknown)."
    assert asked(found(HOME, stops[1:], [under])) == [0, 0, 0, 0]


def test_what_is_not_declared_is_said_not_to_be_seen():
    findings = found(HOME)
    for name in ("declared places outside IN", "processors without a contract"):
        assert "what is not declared is not seen" in findings[name].note
    assert "not seen" not in found(HOME, [STORE])["declared places outside IN"].note


def test_the_country_called_home_is_the_operators():
    assert found(HOME, [STORE], home="DE")["flows outside DE"].value == 3


def test_many_pairs_of_countries_do_not_make_endless_findings():
    codes = ["DE", "FR", "JP", "US", "IN", "NP", "LK", "BD", "BT", "SG", "AU"]
    findings = found({(a, b): 1 for a in codes for b in codes})
    assert sum(name.startswith("flow ") for name in findings) == NAMED
    assert findings["flows not listed"].value == len(codes) ** 2 - NAMED
    assert findings["flows outside IN"].value == len(codes) * (len(codes) - 1)
