import json
import math
from datetime import UTC, datetime

import pytest

from audits.reading.columns import row_of


@pytest.mark.parametrize(
    ("column", "word"),
    [
        ("caption", "caption"),
        ("TEXT", "caption"),
        ("alt_text", "caption"),
        ("prompt", "caption"),
        ("License", "licence"),
        ("licence", "licence"),
        ("license_spdx", "licence"),
        ("license_raw", "licence"),
        ("licence-url", "licence_url"),
        ("LicenseURL", "licence_url"),
        ("Author", "creator"),
        ("OriginalURL", "source_url"),
        ("coco_url", "source_url"),
        ("generator_model", "generator"),
        ("caption_model", "captioner"),
        ("consent_id", "consent_ref"),
        ("storage_region", "region"),
        ("crawl_date", "collected_at"),
        ("image_id", "id"),
    ],
)
def test_the_usual_names_are_known(column, word):
    assert row_of({column: "said"}, {})[word] == "said"


def test_the_most_specific_name_wins_and_the_others_are_kept():
    row = row_of({"license_raw": "CC BY", "license_spdx": "CC-BY-4.0", "license_id": 4}, {})
    assert row["licence"] == "CC-BY-4.0"
    assert json.loads(row["extra"]) == {"license_raw": "CC BY", "license_id": 4}


def test_an_empty_cell_gives_way_to_the_next_name():
    row = row_of({"caption": "", "text": "said", "alt": None}, {})
    assert row["caption"] == "said"
    assert row["extra"] == "{}"


def test_the_first_of_several_captions_is_the_caption_and_all_are_kept():
    row = row_of({"captions": ["one", "two"]}, {})
    assert row["caption"] == "one"
    assert json.loads(row["extra"]) == {"captions": ["one", "two"]}


def test_declared_attributes_are_carried_without_empty_ones():
    record = {
        "Gender": "woman",
        "skin_tones": ["dark", "light"],
        "age": 40,
        "caste": "",
        "race": [],
    }
    row = row_of(record, {})
    assert json.loads(row["attributes"]) == {
        "gender": "woman",
        "skin_tones": ["dark", "light"],
        "age": 40,
    }
    assert row["extra"] == "{}"


def nested(depth):
    value = "deep"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (math.nan, None),
        (math.inf, None),
        (2**60, str(2**60)),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (b"\x00", "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("half \ud800 a pair", "half ? a pair"),
        ({"a": [1, math.nan]}, {"a": [1, None]}),
        (False, False),
        (0, 0),
    ],
    ids=["NaN", "infinity", "huge", "date", "bytes", "surrogate", "nested NaN", "false", "zero"],
)
def test_any_cell_has_a_canonical_form(value, kept):
    extra = json.loads(row_of({"odd": value}, {})["extra"])
    assert extra == ({} if kept is None else {"odd": kept})


def test_a_cell_nested_too_deeply_is_cut():
    extra = row_of({"odd": nested(5000)}, {})["extra"]
    assert "nested deeper than" in extra
    assert len(extra) < 200


def test_an_id_is_printable_and_short():
    row = row_of({"id": "a\u202eb\n" + "c" * 500}, {})
    assert row["id"].startswith("a b ")
    assert len(row["id"]) == 200
