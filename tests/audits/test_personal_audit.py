import csv
import io
import json
from functools import partial

import duckdb
import pyarrow as pa
import pytest
from invented_documents import card, drawn
from PIL import Image

from audits.engine import audits_digest
from audits.identity.identifier_kinds import KIND_NAMES
from audits.identity.shown import marks_face, names_in
from audits.methods import method_of
from audits.personal import PersonalAudit
from audits.registry import audits_of
from audits.rights.embedded import xmp_in
from governance.errors import UsageError
from governance.images import decode
from made import batch_of, measured_by, png

AUDIT = PersonalAudit()
SALTED = PersonalAudit(salt=b"s" * 32)
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


@pytest.mark.parametrize("audit", [AUDIT, SALTED], ids=["without a salt", "salted"])
def test_no_value_is_kept(audit):
    record = {"caption": "aadhaar 2341 2341 2346, call 98765 43210", "consent_ref": "form 12"}
    text = json.dumps(measured_by(audit, record))
    assert "2341" not in text
    assert "98765" not in text


@pytest.mark.parametrize(
    ("caption", "kinds", "scores"),
    [
        ("aadhaar 2341 2341 2346", ["aadhaar"], {"aadhaar": 1.0}),
        ("2341 2341 2346", ["aadhaar"], {"aadhaar": 0.85}),
        ("aadhaar 2341 2341 2345", [], {"aadhaar": 0.2}),
        ("234123412345", [], {"aadhaar": 0.05}),
        ("2341 2341 2345, aadhaar 2341 2341 2346", ["aadhaar"], {"aadhaar": 1.0}),
        ("A1234567 and a@b.in", ["email"], {"email": 0.75, "passport_in": 0.3}),
        ("a horse", [], {}),
    ],
)
def test_each_kind_has_the_best_of_its_scores_and_doubtful_ones_do_not_count(
    caption, kinds, scores
):
    (row,) = measured({"caption": caption})
    assert (row["pii_kinds"], dict(row["pii_scores"])) == (kinds, scores)
    assert row["pii_count"] == len(kinds)


def test_one_value_has_one_digest_under_one_salt_however_it_is_written():
    captions = ("call 98765 43210", "+91 98765 43210", "call 98765 43211", "9876543210", "")
    records = [{"caption": caption} for caption in captions]
    first, again, other, doubtful, none = (
        row["pii_digests"] for row in measured_by(SALTED, *records)
    )
    assert first == again != other
    assert len(first) == 1
    assert first[0].startswith("phone:")
    assert doubtful == none == []
    elsewhere = measured_by(PersonalAudit(salt=b"t" * 32), *records)[0]["pii_digests"]
    assert set(elsewhere).isdisjoint(first)
    assert measured(*records)[0]["pii_digests"] is None


def test_the_salt_of_the_workspace_reaches_the_audit_whatever_is_set(tmp_path):
    for tables in ({}, {"personal": {}}):
        (audit,) = (
            a for a in audits_of(tables, folder=tmp_path, salt=b"s" * 32) if a.name == "personal"
        )
        assert audit == SALTED


def test_a_salt_is_no_setting_that_anybody_sees():
    assert "ssss" not in repr(SALTED)
    assert audits_digest([SALTED]) == audits_digest([AUDIT])


@pytest.mark.parametrize(
    "table", [{"presidio": "yes"}, {"presidio": 1}, {"salt": "a"}], ids=["text", "one", "unknown"]
)
def test_settings_of_another_name_or_type_are_refused(table, tmp_path):
    with pytest.raises(UsageError, match=r"\[audits.personal\]"):
        audits_of({"personal": table}, folder=tmp_path)


def test_an_empty_table_sets_nothing(tmp_path):
    assert PersonalAudit.of({}, tmp_path) == AUDIT


@pytest.mark.parametrize(
    ("caption", "spoken"),
    [
        ("a girl on a swing", True),
        ("a 5-year-old at the beach", True),
        ("portrait, 17 years old", True),
        ("portrait, 18 years old", False),
        ("12-year-old whisky", False),
        ("a class 5 student", True),
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


REGION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"
 xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/">%s</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("said", "names", "marked"),
    [
        (b"<mwg-rs:Type>Face</mwg-rs:Type><mwg-rs:Name>Asha  E.</mwg-rs:Name>", ["asha e"], True),
        (b"<mwg-rs:Type>Face</mwg-rs:Type>", [], True),
        (b"<mwg-rs:Type>Pet</mwg-rs:Type><mwg-rs:Name>Rex</mwg-rs:Name>", [], False),
        (b"<MPReg:PersonDisplayName>Asha</MPReg:PersonDisplayName>", ["asha"], False),
        (b"<MPReg:Rectangle>0.1, 0.1, 0.2, 0.2</MPReg:Rectangle>", [], True),
        (b"", [], False),
    ],
    ids=["named face", "face", "pet", "Microsoft's", "Microsoft's face", "nothing"],
)
def test_persons_whom_a_file_names_or_marks_are_noticed(said, names, marked):
    xmp = xmp_in(REGION % said)
    assert (names_in(xmp), marks_face(xmp)) == (names, marked)


def test_a_document_is_scored_and_what_was_not_decoded_is_not():
    stream = io.BytesIO()
    drawn(card, 1)[0].save(stream, "PNG")
    plain = decode(png(200))
    rows = measured({}, {}, {}, pictures=[decode(stream.getvalue()), plain, None])
    written, blank, absent = (row["document_like"] for row in rows)
    assert written > 0.5
    assert (blank, absent) == (0.0, None)


def concluded(audit, *records, **columns):
    batch = batch_of(*records)
    sources = pa.array([record.get("place", "set") for record in records])
    table = batch.samples.drop_columns("source").append_column("source", sources)
    for name, values in audit.measure(batch).items():
        table = table.append_column(name, pa.array(values, audit.columns.field(name).type))
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    with duckdb.connect() as measures:
        measures.register("measures", table)
        findings = audit.conclude(measures, lambda _: None).findings
    assert len({finding.name for finding in findings}) == len(findings)
    for finding in findings:
        assert method_of(audit.name, finding.name).measured
    return {finding.name: finding for finding in findings}


def test_the_conclusion_counts_each_kind_and_the_coverage_of_consent():
    findings = concluded(
        AUDIT,
        {"caption": "call 98765 43210", "consent_ref": "form 1"},
        {"caption": "call 98765 43211"},
        {"caption": "a boy"},
        {"caption": "aadhaar 2341 2341 2345"},
    )
    assert {f"identifier {kind}" for kind in KIND_NAMES} <= set(findings)
    assert findings["identifier phone"].ids == ("0", "1")
    assert findings["identifier aadhaar"].value == 0
    assert findings["doubtful aadhaar"].ids == ("3",)
    assert findings["identifiers share"].value == pytest.approx(2 / 4)
    assert findings["minors spoken of share"].ids == ("2",)
    assert findings["consent share"].value == pytest.approx(1 / 4)
    assert findings["consent share in set"].value == pytest.approx(1 / 4)
    assert findings["consent share where persons"].value == pytest.approx(1 / 2)
    assert findings["personal data without consent reference"].ids == ("1",)
    assert "not seen" in findings["identifiers share"].note
    assert not any(name.startswith("repeated") for name in findings)


def test_values_that_stand_in_several_samples_are_counted_by_kind():
    findings = concluded(
        SALTED,
        {"caption": "call 98765 43210, mail a@b.in"},
        {"caption": "+91 98765 43210"},
        {"caption": "a@b.in or call 98765 43211"},
        {"caption": "c@b.in, again c@b.in"},
    )
    assert findings["repeated phone values"].value == 1
    assert findings["repeated phone values"].ids == ("0", "1")
    assert findings["repeated email values"].ids == ("0", "2")
    assert findings["repeated aadhaar values"].value == 0


def test_consent_is_asked_of_each_source_and_where_faces_were_detected():
    findings = concluded(
        AUDIT,
        {"place": "one", "consent_ref": "form 1"},
        {"place": "one"},
        {"place": "two"},
        faces=[1, 2, 0],
    )
    assert findings["consent share in one"].value == pytest.approx(1 / 2)
    assert findings["consent share in two"].value == 0
    assert findings["consent share where persons"].value == pytest.approx(1 / 2)
    assert "detected faces" in findings["consent share where persons"].note
    assert "consent share where persons in two" not in findings
    assert findings["personal data without consent reference"].ids == ("1",)


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
        assert found["person_named"] is row["file"].endswith("person-in-image.jpg"), row["file"]
        released = "MR-NON" if row["file"].endswith("model-release-none.jpg") else None
        assert found["model_release"] == released, row["file"]
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
