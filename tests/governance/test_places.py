"""Where regions lie, held to an outside list; what has no single country has none here."""

import csv
from datetime import date

import pytest

from governance.places import country_named, country_of, reviewed_on, table_bytes, why_unknown


@pytest.mark.parametrize(
    ("region", "country"),
    [
        ("aws:ap-south-1", "IN"), ("AWS/ap-south-2", "IN"), ("ap-south-1", "IN"),
        ("ap-south-1a", "IN"), ("gcs:asia-south1-b", "IN"), ("gcp asia-south2", "IN"),
        ("azure:centralindia", "IN"), ("oci:ap-mumbai-1", "IN"), ("IN", "IN"), (" in ", "IN"),
        ("India", "IN"), ("country:de", "DE"), ("aws:us-east-1", "US"), ("us-east-1", "US"),
        ("europe-west3", "DE"), ("azure:westeurope", "NL"), ("alibaba:ap-south-1", "IN"),
        ("eu-west-1", None), ("aws:eu-west-1", "IE"), ("alibaba:eu-west-1", "GB"),
        ("azure:ap-south-1", None), ("nowhere:ap-south-1", None), ("asia", None), ("EU", None),
        ("XX", None), ("", None), (None, None), ("aws:", None), ("ap-south-9", None),
        ("INDIANA", None), ("on-prem", None), ("IN, US", None),
        ("United States", "US"), ("country:south korea", "KR"), ("South Korea", "KR"),
        ("Georgia", None), ("aws:in", None), ("s3://in", None), ("a:b:c", None),
    ],
)  # fmt: skip
def test_a_region_lies_in_one_country_or_it_is_not_known(region, country):
    assert country_of(region) == country


@pytest.mark.parametrize(
    ("trap", "why"),
    [
        ("gcs:ASIA", "several countries"),
        ("gcs:EU", "several countries"),
        ("gs:us", "name the region"),
        ("gcp:eur4", "name both regions"),
        ("aws:s3-accelerate", "name the region of the bucket"),
        ("azure:GRS", "a second region"),
        ("azure:centralindia grs", "not in the table"),
        ("hf:hub", "the US and the EU"),
        ("wandb cloud", "its contract says where"),
        ("eu-west-1", "several providers have this name"),
        ("", "not in the table of regions of 20"),
        (None, "not in the table"),
    ],
)
def test_what_has_no_single_country_is_unknown_and_says_why(trap, why):
    assert country_of(trap) is None
    assert why in why_unknown(trap)


def test_where_the_country_is_known_nothing_is_left_to_explain():
    assert why_unknown("aws:ap-south-1") == ""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("IN", "IN"), ("bharat", "IN"), ("Indian", "IN"), ("United States of America", "US"),
        ("Trinidad & Tobago", "TT"), ("ap-south-1", None), ("aws:ap-south-1", None),
        ("aws/IN", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_country_by_its_name_is_never_a_region_of_a_provider(name, code):
    assert country_named(name) == code


def test_each_row_of_the_table_stands_once_and_has_a_source_and_a_day():
    rows = list(csv.DictReader(table_bytes().decode().splitlines()))
    keys = [(row["provider"], row["region"]) for row in rows]
    assert keys == sorted(set(keys))
    assert all(row["source"] and row["confidence"] in {"H", "M", "L"} for row in rows)
    assert all(row["country"] == "" or row["country"].isupper() for row in rows)
    assert date.fromisoformat(reviewed_on())


@pytest.mark.shared
def test_every_cloud_region_in_india_is_known_and_no_other_is_taken_for_one(shared):
    with (shared / "geo" / "cloud_regions.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    indian = {r["region"] for r in rows if country_of(f"{r['provider']}:{r['region']}") == "IN"}
    assert indian == {row["region"] for row in rows if row["in_india"] == "1"}
    known = [r for r in rows if country_of(f"{r['provider']}:{r['region']}")]
    assert len(known) == len(rows) - 1  # Azure's brazilus: the US by name, Brazil by map
