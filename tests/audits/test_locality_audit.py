import io
import json
import pickle

import duckdb
import pyarrow as pa
import pytest
from locality_answers import planted, regions
from PIL import ExifTags, Image

from audits.engine import audits_digest
from audits.locality import REGIONS, LocalityAudit, origin_of, region_of
from audits.methods import method_of
from governance.canon import sha256
from governance.errors import EvidenceMissing, UsageError
from governance.images import decode
from made import batch_of
from policies.evidence import SAMPLE

AUDIT = LocalityAudit()
HERE = {1: "N", 2: (12.0, 58.0, 17.76), 3: "E", 4: (77.0, 35.0, 40.56)}
SOUTH = {"type": "Polygon", "coordinates": [[[70, 5], [90, 5], [90, 20], [70, 20], [70, 5]]]}
TABLE = {
    "boundaries": [{"name": "South (a map)", "country": "IN", "path": "maps/south.geojson"}],
    "stores": ["aws:ap-south-1"],
    "copies": ["gcs:asia"],
    "processors": [{"name": "a vendor", "purpose": "labels", "region": "US", "contract": "MSA-7"}],
    "compute": "aws:us-east-1",
}


@pytest.mark.parametrize(
    ("declared", "region"),
    [
        ("aws:ap-south-1", "aws:ap-south-1"),
        (" AWS / AP-South-1 ", "aws:ap-south-1"),
        ("gcp/asia-south1-b", "gcp:asia-south1-b"),
        ("ap-south-1", "ap-south-1"),
        ("IN", "in"),
        ("\uff29\uff2e", "in"),
        ("New\u2028 Delhi", "new delhi"),
        ("", None),
        ("  ", None),
        ("unknown", None),
        ("N/A", None),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_region_has_one_spelling(declared, region):
    assert region_of(declared) == region


@pytest.mark.parametrize(
    ("attributes", "country"),
    [
        ({"country_of_origin": "India"}, "IN"),
        ({"nationality": "Indian"}, "IN"),
        ({"region_of_origin": "Tamil Nadu", "country_of_origin": "IN"}, "IN"),
        ({"region_of_origin": "Tamil Nadu"}, "unknown"),
        ({"country_of_origin": "US", "nationality": "IN"}, "US"),
        ({"country_of_origin": ["de"]}, "DE"),
        ({"country_of_origin": ["DE", "US"]}, "unknown"),
        ({"country_of_origin": "aws:ap-south-1"}, "unknown"),
        ({"country_of_origin": 91}, "unknown"),
        ({"country_of_origin": "unknown", "nationality": None}, None),
        ({"skin_tone": "dark", "gender": "woman"}, None),
        ({}, None),
    ],
)
def test_a_subjects_country_is_what_is_declared_and_nothing_else(attributes, country):
    assert origin_of(json.dumps(attributes)) == country


def taken(gps=None):
    exif, stream = Image.Exif(), io.BytesIO()
    if gps:
        exif[ExifTags.IFD.GPSInfo] = gps
    Image.new("RGB", (4, 4)).save(stream, "JPEG", exif=exif)
    return decode(stream.getvalue())


def set_by(folder, **changed):
    (folder / "maps").mkdir(exist_ok=True)
    (folder / "maps" / "south.geojson").write_text(json.dumps(SOUTH))
    return LocalityAudit.of(TABLE | changed, folder)


def concluded(audit, *records, pictures=None):
    batch = batch_of(*records, pictures=pictures)
    columns = audit.measure(batch)
    assert list(columns) == audit.columns.names
    table = batch.samples
    for field in audit.columns:
        table = table.append_column(field, pa.array(columns[field.name], field.type))
    with duckdb.connect() as measures:
        measures.register("measures", table)
        findings = audit.conclude(measures, lambda _: None).findings
    assert all(method_of("locality", finding.name).how for finding in findings)
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def findings_of(*regions):
    return concluded(AUDIT, *({"region": region} for region in regions))


def test_regions_are_counted_and_so_is_silence():
    findings = findings_of("IN", "in ", "aws:us-east-1", None)
    assert findings["region=in share"].value == 0.5
    assert findings["region=in share"].ids == ("0", "1")
    assert findings["region=aws:us-east-1 share"].ids == ("2",)
    assert findings["region unknown share"].ids == ("3",)
    assert "claim" in findings["region unknown share"].note


def test_nothing_unknown_is_a_finding_too():
    assert findings_of("IN")["region unknown share"].value == 0.0
    assert [f.value for f in findings_of().values()] == [0.0, 0.0, 0, 0, 0, 0]


def test_a_thousand_made_up_regions_do_not_make_a_thousand_findings():
    findings = findings_of(*(f"place {n}" for n in range(REGIONS + 20)))
    assert sum(name.startswith("region") for name in findings) == REGIONS + 2
    assert findings["region=other share"].value == pytest.approx(20 / (REGIONS + 20))
    assert findings["unknown places"].value == REGIONS + 20


def test_subjects_positions_and_flows_are_told_together(tmp_path):
    audit = set_by(tmp_path)
    american = {"attributes": '{"country_of_origin": "US"}', "region": "aws:ap-south-1"}
    strange = {"attributes": '{"country_of_origin": "Atlantis"}', "region": "aws:ap-south-1"}
    north = {**HERE, 2: (28.0, 0.0, 0.0)}
    nowhere = {**HERE, 2: (95.0, 0.0, 0.0)}
    findings = concluded(
        audit, american, strange, {"region": "in"}, {"region": "in"}, {"region": "in"},
        pictures=[taken(HERE), taken(HERE), taken(north), taken(nowhere), taken()],
    )  # fmt: skip
    assert findings["subjects of US share"].ids == ("0",)
    assert findings["subjects of unknown share"].ids == ("1",)
    assert findings["subjects unsaid share"].ids == ("2", "3", "4")
    assert findings["positions in IN"].ids == ("0", "1")
    assert findings["positions outside every boundary"].ids == ("2",)
    assert findings["positions that are implausible"].ids == ("3",)
    assert "South (a map), sha256 " in findings["positions in IN"].note
    flows = {name: f.value for name, f in findings.items() if name.startswith("flow ")}
    assert flows == {
        "flow unknown -> IN (held)": 3,
        "flow US -> IN (held)": 1,
        "flow IN -> IN (held)": 1,
        "flow IN -> IN (store aws:ap-south-1)": 5,
        "flow IN -> unknown (copy gcs:asia)": 5,
        "flow IN -> US (processor a vendor)": 5,
        "flow IN -> US (compute aws:us-east-1)": 5,
    }
    assert findings["flows outside IN"].value == 3
    assert findings["declared places outside IN"].value == 3
    assert findings["unknown places"].value == 1
    assert findings["processors without a contract"].value == 0


def test_a_position_is_kept_nowhere(tmp_path):
    findings = concluded(set_by(tmp_path), {"region": "in"}, pictures=[taken(HERE)])
    kept = repr(findings) + repr(set_by(tmp_path).measure(batch_of({}, pictures=[taken(HERE)])))
    assert "12.9" not in kept
    assert "77.5" not in kept


def test_without_a_boundary_positions_are_not_judged():
    assert not [name for name in findings_of("IN") if "position" in name]
    assert AUDIT.measure(batch_of({}, pictures=[taken(HERE)]))["gps_country"] == [None]


def test_settings_name_content_and_not_places_and_travel_to_a_worker(tmp_path):
    audit = set_by(tmp_path)
    assert pickle.loads(pickle.dumps(audit)) == audit  # noqa: S301  our own bytes
    assert str(tmp_path) not in repr(audit)
    assert sha256((tmp_path / "maps" / "south.geojson").read_bytes()) in repr(audit)
    assert audits_digest([audit]) != audits_digest([AUDIT])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert audits_digest([set_by(elsewhere)]) == audits_digest([audit])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"store": ["IN"]}, "key 'store'"),
        ({"stores": "IN"}, "key 'stores'"),
        ({"home": "India"}, "key 'home'"),
        ({"processors": [{"name": "a vendor"}]}, r"key 'processors.0.purpose'"),
        ({"processors": [{"name": "a", "purpose": "b", "price": 3}]}, r"processors.0.price"),
        ({"boundaries": [{"name": "a", "country": "in", "path": "b"}]}, "boundaries.0.country"),
        ({"copies": ["IN", "IN"]}, "'copy IN' twice"),
        ({"stores": ["IN\nand more"]}, "key 'stores.0'"),
    ],
)
def test_settings_are_read_to_the_last_key(tmp_path, changed, problem):
    with pytest.raises(UsageError, match=problem):
        set_by(tmp_path, **changed)


def test_a_boundary_that_is_not_there_is_told_before_anything_is_measured(tmp_path):
    lost = [{"name": "lost", "country": "IN", "path": "lost.geojson"}]
    with pytest.raises(EvidenceMissing, match=r"lost\.geojson"):
        set_by(tmp_path, boundaries=lost)


def test_rules_may_read_what_is_promised():
    assert all(SAMPLE.field(field.name).type == field.type for field in LocalityAudit.columns)


@pytest.mark.shared
def test_every_planted_position_is_placed_right(shared):
    answers = planted(shared)
    assert len(answers) == 15
    assert [answer for answer in answers if answer[1] != answer[2]] == []


@pytest.mark.shared
def test_boundary_table_and_an_outside_list_agree_on_every_cloud_region(shared):
    rows = regions(shared)
    assert sum(row.in_india for row in rows) == 9
    assert [row for row in rows if not row.in_india == row.inside == (row.country == "IN")] == []
    assert [row.name for row in rows if row.country is None] == ["azure:brazilus"]
    assert [row.name for row in rows if row.odd] == ["azure:brazilus"]
    assert sum(bool(row.named) for row in rows) == 97
