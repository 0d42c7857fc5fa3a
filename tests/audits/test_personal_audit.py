import csv
import io
import json
from functools import partial

import duckdb
import pyarrow as pa
import pytest
from PIL import Image

from audits.identifiers import KIND_NAMES
from audits.personal import PersonalAudit
from governance.images import decode
from made import batch_of, measured_by

AUDIT = PersonalAudit()
measured = partial(measured_by, AUDIT)


@pytest.mark.parametrize(
    ("record", "kinds"),
    [
        ({"caption": "my aadhaar 2341 2341 2346"}, ["aadhaar"]),
        ({"creator": "asha@example.in"}, ["email"]),
        ({"extra": {"aadhaar": "234123412346"}}, ["aadhaar"]),
        ({"extra": {"aadhaar_no": 234123412346}}, ["aadhaar"]),
        ({"extra": {"notes": ["one", "call 9876543210"]}}, ["phone"]),
        ({"extra": {"sha256": "2341 2341 2346", "photo_id": "98765 43210", "url": "a@b.in"}}, []),
        ({"extra": {"nested": {"a": "b"}, "flag": True}, "caption": None}, []),
    ],
    ids=["caption", "creator", "named by its column", "number", "list", "nobody's", "odd cells"],
)
def test_identifiers_are_found_where_a_record_speaks(record, kinds):
    (row,) = measured(record)
    assert row["pii_kinds"] == kinds
    assert row["pii_count"] == len(kinds)


def test_no_value_is_kept():
    record = {"caption": "aadhaar 2341 2341 2346, call 98765 43210", "consent_ref": "form 12"}
    text = json.dumps(measured(record))
    assert "2341" not in text
    assert "98765" not in text


@pytest.mark.parametrize(
    ("caption", "spoken"),
    [
        ("a girl on a swing", True),
        ("a 5-year-old at the beach", True),
        ("portrait, 17 years old", True),
        ("portrait, 18 years old", False),
        ("लड़का खेल रहा है", True),
        ("a kid goat", False),
        ("a woman reading", False),
    ],
)
def test_minors_are_noticed_by_words(caption, spoken):
    assert measured({"caption": caption})[0]["minor_terms"] is spoken


@pytest.mark.parametrize(
    ("reference", "consented"),
    [("form-12", True), ("", False), (None, False), ("False", False), ("none", False)],
)
def test_a_consent_is_a_reference_and_not_a_no(reference, consented):
    assert measured({"consent_ref": reference})[0]["consent"] is consented


def picture_with(exif):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=exif)
    return decode(stream.getvalue())


def test_an_owner_or_serial_number_in_the_file_is_noticed():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA431] = "SN-1"
    rows = measured({}, {}, pictures=[picture_with(exif), picture_with(Image.Exif())])
    assert [row["device_owner"] for row in rows] == [True, False]


def test_the_conclusion_counts_each_kind_and_the_coverage_of_consent():
    records = (
        {"caption": "call 98765 43210", "consent_ref": "form 1"},
        {"caption": "call 98765 43211"},
        {"caption": "a boy"},
    )
    table = batch_of(*records).samples
    for name, values in AUDIT.measure(batch_of(*records)).items():
        table = table.append_column(name, pa.array(values, AUDIT.columns.field(name).type))
    with duckdb.connect() as measures:
        measures.register("measures", table)
        findings = {f.name: f for f in AUDIT.conclude(measures, lambda _: None).findings}
    assert {f"identifier {kind}" for kind in KIND_NAMES} <= set(findings)
    assert findings["identifier phone"].ids == ("0", "1")
    assert findings["identifier aadhaar"].value == 0
    assert findings["identifiers share"].value == pytest.approx(2 / 3)
    assert findings["minors spoken of share"].ids == ("2",)
    assert findings["consent share"].value == pytest.approx(1 / 3)
    assert findings["personal data without consent reference"].ids == ("1",)
    assert "not seen" in findings["identifiers share"].note


@pytest.mark.shared
def test_planted_facts_about_persons_are_found_and_no_others(shared):
    folder = shared / "metadata"
    with (folder / "planted.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        (found,) = measured({}, pictures=[decode((folder / row["file"]).read_bytes())])
        assert found["gps"] is (row["field"] == "gps"), row["file"]
        assert found["device_owner"] is row["file"].endswith("owner-and-serial.jpg"), row["file"]
        assert found["minor_terms"] is row["file"].endswith("minor-under-age.jpg"), row["file"]
        kinds = {
            "planted/exif-comment-with-phone.jpg": ["email", "phone"],
            "planted/xmp-person-in-image.jpg": ["person_in_file"],
        }
        assert found["pii_kinds"] == kinds.get(row["file"], []), row["file"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "placed"),
    [
        ("exiftool-Apple.jpg", True),
        ("exiftool-Google.jpg", True),
        ("pillow-exif_gps.jpg", False),
        ("pillow-exif_gps_typeerror.jpg", False),
        ("pillow-empty_gps_ifd.jpg", False),
        ("pillow-flower.jpg", False),
    ],
)
def test_positions_in_real_files_are_noticed(shared, file, placed):
    data = (shared / "metadata" / "exif" / file).read_bytes()
    (found,) = measured({}, pictures=[decode(data)])
    assert found["gps"] is placed
