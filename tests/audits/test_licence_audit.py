import csv
import io
import json
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from audits.engine import conclude, joined, measure, open_measures
from audits.ingest import ingest
from audits.licence import LicenceAudit, model_id
from governance.images import decode
from made import batch_of, measured_by

AUDIT = LicenceAudit()
measured = partial(measured_by, AUDIT)


def picture_with(xmp=b"", text=()):
    stream = io.BytesIO()
    info = PngInfo()
    for key, value in text:
        info.add_text(key, value)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=info)
    return decode(stream.getvalue())


@pytest.mark.parametrize(
    ("record", "claims"),
    [
        ({"licence": "CC BY 4.0"}, ["CC-BY-4.0"]),
        ({"licence_url": "https://creativecommons.org/licenses/by/2.0/"}, ["CC-BY-2.0"]),
        ({"licence": "Attribution License",
          "licence_url": "http://creativecommons.org/licenses/by/2.0/"}, ["CC-BY-2.0"]),
        ({"licence": "by-nc", "extra": {"license_version": "2.0"}}, ["CC-BY-NC-2.0"]),
        ({"licence": "MIT", "extra": {"license_raw": "MIT License"}}, ["MIT"]),
        ({"licence": "Apache-2.0", "extra": {"license_conflict": "OFL-1.1"}},
         ["Apache-2.0", "OFL-1.1"]),
        ({"licence": "MIT", "extra": {"copyright": "all rights reserved"}},
         ["LicenseRef-All-Rights-Reserved", "MIT"]),
        ({"licence": "MIT", "extra": {"license_plate": "CC BY 4.0", "generator_license": "GPL-3.0",
                                      "license_id": "4", "license_conflict": "false"}}, ["MIT"]),
        ({}, []),
    ],
    ids=["name", "address", "vague and exact", "version apart", "twice the same", "two columns",
         "notice", "columns about other things", "silence"],
)  # fmt: skip
def test_every_claim_of_a_record_is_read(record, claims):
    (row,) = measured(record)
    assert row["licence_claims"] == claims
    assert row["licence_conflict"] is (len(claims) > 1)
    assert row["licence_unrecognised"] is False
    assert row["licence_sources"] == (["record"] if claims else [])


def test_a_claim_that_cannot_be_read_is_said_so():
    (row,) = measured({"licence": "ask the author"})
    assert (row["licence_spdx"], row["licence_claims"]) == (None, [])
    assert row["licence_unrecognised"] is True


def test_the_file_is_read_beside_the_record():
    picture = picture_with(
        text=[("Copyright", "Studio. All rights reserved."), ("License", "ask us")]
    )
    (row,) = measured({"licence": "CC0-1.0"}, pictures=[picture])
    assert row["licence_claims"] == ["CC0-1.0", "LicenseRef-All-Rights-Reserved"]
    assert row["licence_sources"] == ["record", "file"]
    assert row["licence_spdx"] == "CC0-1.0"
    assert row["licence_unrecognised"] is True


def test_a_plain_copyright_notice_is_neither_licence_nor_unread_claim():
    (row,) = measured({}, pictures=[picture_with(text=[("Copyright", "Copyright 2004 P. H.")])])
    assert (row["licence_claims"], row["licence_unrecognised"]) == ([], False)


@pytest.mark.parametrize(
    ("extra", "signals"),
    [
        ({"x_robots_tag": "noai, noimageai"}, ["robots:noai", "robots:noimageai"]),
        ({"X-Robots-Tag": ["noindex", "NoImageAI"]}, ["robots:noimageai"]),
        ({"x-robots-tag": "otherbot: noai"}, []),
        ({"robots": "noindex"}, []),
        ({"tdm_reservation": "1"}, ["tdm-reservation"]),
        ({"tdm-reservation": 1}, ["tdm-reservation"]),
        ({"tdm_reservation": "0"}, []),
        ({"opted_out": True}, ["column:optedout"]),
        ({"opted_out": "false", "noai": 0}, []),
        ({"noai": "yes"}, ["column:noai"]),
    ],
)
def test_opt_outs_that_the_crawl_wrote_down_are_read(extra, signals):
    assert measured({"extra": extra})[0]["optout"] == signals


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("FLUX.1-dev", "flux.1-dev"),
        ("black-forest-labs/FLUX.1-dev", "flux.1-dev"),
        ("FLUX.1 [dev]", "flux.1-dev"),
        ("flux-schnell", "flux.1-schnell"),
        ("DALL·E 3", "dall-e-3"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-xl"),
        ("Midjourney", "midjourney"),
        ("Midjourney v6", "midjourney v6"),
        ("Somebody's  Model", "somebody's model"),
        ("sdxl-turbo", "sdxl-turbo"),
        ("", ""),
    ],
)
def test_a_models_usual_names_have_one_id(stated, expected):
    assert model_id(stated) == expected


def test_lineage_is_null_only_where_nothing_speaks_of_a_model():
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf'
        b'-syntax-ns#"><rdf:Description xmlns:I="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        b'I:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmic'
        b'Media"/></rdf:RDF></x:xmpmeta>'
    )
    rows = measured(
        {}, {"generator": "SDXL", "captioner": "Gemini 1.5"}, {}, pictures=[None, None,
                                                                    picture_with(xmp)]
    )  # fmt: skip
    assert [row["generator_id"] for row in rows] == [None, "stable-diffusion-xl", "unstated"]
    assert [row["captioner_id"] for row in rows] == [None, "gemini 1.5", None]


def test_a_hostile_record_is_measured():
    extra = {"license": ["\u202e", None, 3, {"a": 1}, "x" * 10_000], "robots": None, "": "MIT"}
    (row,) = measured({"licence": "\0" * 99, "extra": extra, "generator": "\u202e\n"})
    assert row["licence_claims"] == []
    assert row["licence_unrecognised"] is True


def concluded(*records):
    rows = pa.table(AUDIT.measure(batch_of(*records)), schema=AUDIT.columns)
    table = batch_of(*records).samples
    for name in rows.column_names:
        table = table.append_column(name, rows[name])
    with duckdb.connect() as measures:
        measures.register("measures", table)
        return {f.name: f for f in AUDIT.conclude(measures, lambda _: None).findings}


def test_the_conclusion_counts_licences_conflicts_and_gaps():
    findings = concluded(
        {"licence": "MIT", "creator": "A"},
        {"licence": "MIT", "licence_url": "https://creativecommons.org/licenses/by/4.0/"},
        {"licence": "ask me"},
        {"generator": "FLUX.1-dev", "extra": {"noai": True}},
    )
    mit = findings["licence=MIT share"]
    assert (mit.value, mit.note) == (0.5, "2 of 4 samples")
    assert 0.1 < mit.low < 0.5 < mit.high < 0.9
    assert findings["licence=MIT in set share"].value == 0.5
    assert findings["licence conflicts"].ids == ("1",)
    assert "CC-BY-4.0 / MIT (1)" in findings["licence conflicts"].note
    assert findings["no licence"].ids == ("3",)
    assert findings["licence unrecognised"].ids == ("2",)
    assert findings["no attribution"].ids == ("1", "2", "3")
    assert findings["opt-out column:noai"].ids == ("3",)
    assert findings["generator=flux.1-dev"].ids == ("3",)


def test_a_conclusion_about_nothing_is_empty_counts():
    assert {f.value for f in concluded().values()} == {0}


@pytest.mark.shared
def test_planted_rights_in_files_are_read_as_their_answer_says(shared):
    folder = shared / "metadata"
    with (folder / "planted.csv").open(newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    answers = {
        "planted/xmp-cc-by-nc.png": ["CC-BY-NC-4.0"],
        "planted/xmp-cc-by-india-port.jpg": ["LicenseRef-CC-BY-2.5-IN"],
        "planted/xmp-webstatement-by-nd.jpg": ["CC-BY-ND-4.0"],
        "planted/xmp-all-rights-reserved.jpg": ["LicenseRef-All-Rights-Reserved"],
        "planted/xmp-marked-false.jpg": ["CC0-1.0"],
    }
    for file, row in rows.items():
        (found,) = measured({}, pictures=[decode((folder / file).read_bytes())])
        assert found["licence_claims"] == answers.get(file, []), file
        reserved = row["field"] == "plus:DataMining" and "PROHIBITED" in row["value"]
        assert found["optout"] == ([f"plus:{row['value']}"] if reserved else []), file


@pytest.mark.shared
def test_noto_conflicts_and_the_mutant_notice_is_found_in_the_picture(tmp_path, shared):
    sources = [str(shared / "emoji" / f"emoji-{name}.parquet") for name in ("noto", "mutant-nc")]
    snapshot = ingest(sources, snapshots=tmp_path / "snapshots")
    parts = {}
    measure(snapshot, (AUDIT,), folder=tmp_path / "measures", recorded={}, record=parts.__setitem__)
    measures = open_measures(tmp_path / "measures", parts, snapshot)
    rows = joined(snapshot.manifest(), measures).to_pylist()
    noto = [row for row in rows if row["source"] == "emoji-noto.parquet"]
    mutant = [row for row in rows if row["source"] == "emoji-mutant-nc.parquet"]
    assert (len(noto), len(mutant)) == (2973, 292)
    assert all(row["licence_claims"] == ["Apache-2.0", "OFL-1.1"] for row in noto)
    assert all(row["licence_conflict"] for row in noto)
    for row in mutant:
        assert row["licence"] is None
        assert row["licence_claims"] == ["CC-BY-NC-SA-4.0"]
        assert row["licence_sources"] == ["file"]
        assert not row["licence_unrecognised"]
    ((_, said),) = conclude(snapshot, (AUDIT,), measures)
    conflicts = next(f for f in said.findings if f.name == "licence conflicts")
    assert (conflicts.value, "Apache-2.0 / OFL-1.1 (2973)" in conflicts.note) == (2973, True)


@pytest.mark.shared
def test_expected_answers_to_headers_are_given(shared):
    for row in json.loads((shared / "optout" / "made-http-headers.json").read_text()):
        (found,) = measured({"extra": row["headers"]})
        assert (found["optout"] == []) is row["allowed"], row["url"]


@pytest.mark.shared
def test_the_openverse_sample_is_read_through_the_record(shared):
    table = pq.read_table(shared / "licences" / "openverse_samples.parquet").to_pylist()
    records = [
        {"licence": r["license"], "extra": {"license_version": r["license_version"]}} for r in table
    ]
    assert all(len(row["licence_claims"]) == 1 for row in measured(*records))
