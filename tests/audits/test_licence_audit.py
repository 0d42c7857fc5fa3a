import io
from functools import partial

import duckdb
import pyarrow as pa
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from audits.engine import conclude, joined, measure, open_measures
from audits.licence import LicenceAudit
from audits.methods import method_of
from audits.reading.ingest import ingest
from audits.rights.lineage import model_id
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
        ({"licence": "Apache-2.0; MIT"}, ["Apache-2.0", "MIT"]),
        ({"licence": "https://creativecommons.org/licenses/by/2.0/", "creator": "A. Author",
          "source_url": "https://farm1.staticflickr.com/1/1_o.jpg",
          "extra": {"OriginalLandingURL": "https://www.flickr.com/photos/1", "OriginalSize": 9,
                    "AuthorProfileURL": "https://www.flickr.com/people/1"}}, ["CC-BY-2.0"]),
        ({"source_url": "http://images.cocodataset.org/1.jpg", "extra": {"license": 4}},
         ["CC-BY-2.0"]),
        ({"licence": "6", "extra": {"flickr_url": "http://farm1.staticflickr.com/1.jpg"}},
         ["CC-BY-ND-2.0"]),
        ({}, []),
    ],
    ids=["name", "address", "vague and exact", "version apart", "twice the same", "two columns",
         "notice", "columns about other things", "a list", "Open Images", "COCO's number",
         "Flickr's number", "silence"],
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


@pytest.mark.parametrize("url", ["https://coconut.example.org/1.jpg", "https://example.org/1.jpg"])
def test_a_bare_number_is_a_licence_of_flickr_only_where_something_speaks_of_flickr(url):
    (row,) = measured({"licence": "4", "source_url": url})
    assert (row["licence_claims"], row["licence_unrecognised"]) == ([], True)


def test_each_claim_is_kept_with_the_place_and_the_text_it_was_read_from():
    (row,) = measured(
        {"licence": "CC BY 4.0", "extra": {"license_note": "see \u202e the\nsite " + "x" * 999}},
        pictures=[picture_with(text=[("License", "CC BY-NC 4.0"), ("Copyright", "(c) A")])],
    )
    assert row["licence_evidence"][:2] == [
        "file License: CC BY-NC 4.0",
        "record licence: CC BY 4.0",
    ]
    noted = row["licence_evidence"][2]
    assert noted.startswith("record license_note: see the site xxx")
    assert noted.isprintable()
    assert len(noted) < 240


def test_who_is_named_is_kept_for_the_attribution():
    picture = picture_with(XMP_CREATOR.encode())
    rows = measured(
        {"creator": "A. Author", "attribution": "A. Author, CC BY"},
        {"creator": "A. Author"},
        {},
        {},
        pictures=[picture, picture, picture, None],
    )
    named = ["A. Author, CC BY", "A. Author", "Asha Example", None]
    assert [row["credit"] for row in rows] == named
    assert [row["attributed"] for row in rows] == [True, True, True, False]


XMP_CREATOR = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf'
    '-syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'dc:creator="Asha Example"/></rdf:RDF></x:xmpmeta>'
)


def test_a_notice_against_training_is_an_opt_out_of_whoever_wrote_it():
    picture = picture_with(text=[("Copyright", "(c) A. No AI training.")])
    (row,) = measured({"extra": {"rights_note": "data mining prohibited"}}, pictures=[picture])
    assert row["optout"] == ["notice:file", "notice:record"]
    assert row["licence_claims"] == []


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


def conclusion(*records, **relations):
    """Conclude over records, with columns of the engine or of audits that concluded before."""
    rows = pa.table(AUDIT.measure(batch_of(*records)), schema=AUDIT.columns)
    table = batch_of(*records).samples
    for name in rows.column_names:
        table = table.append_column(name, rows[name])
    for name, values in relations.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    with duckdb.connect() as measures:
        measures.register("measures", table)
        said = AUDIT.conclude(measures, lambda _: None)
    assert said.columns.schema.names == ["id", "licensor_conflict"]
    for finding in said.findings:
        assert method_of("licence", finding.name).measured
    return {f.name: f for f in said.findings}, said.columns["licensor_conflict"].to_pylist()


def concluded(*records):
    return conclusion(*records)[0]


def test_the_conclusion_counts_licences_conflicts_and_gaps():
    findings = concluded(
        {"licence": "MIT", "creator": "A"},
        {"licence": "MIT", "licence_url": "https://creativecommons.org/licenses/by/4.0/"},
        {"licence": "ask me"},
        {"generator": "FLUX.1-dev", "extra": {"noai": True}},
    )
    mit = findings["licence=MIT share"]
    assert (mit.value, mit.note[:14]) == (0.5, "2 of 4 samples")
    assert 0.1 < mit.low < 0.5 < mit.high < 0.9
    assert findings["licence=MIT in set share"].value == 0.5
    assert findings["licence=none in set share"].value == 0.5
    assert findings["licence conflicts"].ids == ("1",)
    assert "CC-BY-4.0 / MIT (1)" in findings["licence conflicts"].note
    quoted = findings["conflict CC-BY-4.0 / MIT"]
    assert quoted.ids == ("1",)
    assert "record licence: MIT" in quoted.note
    assert "record licence_url: https://creativecommons.org/licenses/by/4.0/" in quoted.note
    assert findings["no licence"].ids == ("3",)
    assert findings["licence unrecognised"].ids == ("2",)
    assert findings["no attribution"].ids == ("1", "2", "3")
    assert findings["opt-out column:noai"].ids == ("3",)
    assert findings["generator=flux.1-dev"].ids == ("3",)


def test_the_roll_up_counts_bytes_by_source():
    records = [{"licence": "MIT", "size_bytes": 10}, {"licence": "MIT", "size_bytes": 32}]
    assert "42 bytes" in concluded(*records)["licence=MIT in set share"].note


MIT, CC0, VAGUE = {"licence": "MIT"}, {"licence": "CC0-1.0"}, {"licence": "CC BY"}
SILENT, EXACT = {}, {"licence": "CC BY 4.0"}


@pytest.mark.parametrize(
    ("records", "relations", "conflict"),
    [
        ((MIT, CC0), {"duplicate_of": [None, "0"]}, [True, True]),
        ((MIT, MIT), {"duplicate_of": [None, "0"]}, [False, False]),
        ((VAGUE, EXACT), {"duplicate_of": [None, "0"]}, [False, False]),
        ((MIT, SILENT), {"duplicate_of": [None, "0"]}, [False, False]),
        ((MIT, CC0), {"duplicate_of": [None, None]}, [False, False]),
        ((MIT, MIT, CC0, CC0), {"duplicate_of": [None, "0", "1", None]},
         [True, True, True, False]),
        ((MIT, CC0, MIT), {"duplicate_of": ["1", "0", None]}, [True, True, False]),
        ((MIT, CC0, MIT), {"pixels_sha256": ["a", "a", None]}, [True, True, False]),
        ((MIT, CC0), {"pixels_sha256": ["a", "a"], "duplicate_of": [None, None]}, [False, False]),
        ((MIT, CC0), {}, [False, False]),
    ],
    ids=["two licensors", "a repeat", "less exactly the same", "one says nothing", "unrelated",
         "a chain", "a ring", "by pixels", "the duplicates audit knows better", "nothing known"],
)  # fmt: skip
def test_two_licensors_of_one_picture_are_a_conflict(records, relations, conflict):
    findings, found = conclusion(*records, **relations)
    assert found == conflict
    assert findings["licensor conflicts"].ids == tuple(
        str(place) for place, apart in enumerate(conflict) if apart
    )
    assert findings["licensor conflicts"].value == int(any(conflict))


def test_a_licensor_conflict_quotes_both_texts():
    findings, _ = conclusion(MIT, CC0, duplicate_of=[None, "0"])
    note = findings["licensor conflicts"].note
    assert "CC0-1.0 / MIT" in note
    assert "0: record licence: MIT" in note
    assert "1: record licence: CC0-1.0" in note


def test_other_creators_under_one_licence_are_reported_and_no_conflict():
    records = [{**MIT, "creator": "Asha"}, {**MIT, "creator": "Ben"}, {**MIT, "creator": " ASHA"}]
    findings, found = conclusion(*records, duplicate_of=[None, "0", "0"])
    assert found == [False, False, False]
    assert findings["pictures with several creators"].value == 1
    same, _ = conclusion(records[0], records[2], duplicate_of=[None, "0"])
    assert same["pictures with several creators"].value == 0


def test_a_sample_of_which_nothing_is_told_has_no_relation():
    table = batch_of(MIT).samples
    rows = pa.table({f.name: pa.nulls(1, f.type) for f in AUDIT.columns})
    for name in rows.column_names:
        table = table.append_column(name, rows[name])
    with duckdb.connect() as measures:
        measures.register("measures", table)
        said = AUDIT.conclude(measures, lambda _: None)
    assert said.columns["licensor_conflict"].to_pylist() == [None]


def test_opt_outs_that_cannot_be_read_and_whether_anybody_looked_are_told():
    findings = concluded({"extra": {"tdmrep": "{"}}, {"extra": {"x_robots_tag": "noindex"}}, {})
    assert findings["unreadable opt-outs"].ids == ("0",)
    assert findings["opt-out tdmrep.json:unreadable"].ids == ("0",)
    assert findings["opt-out evidence share"].value == pytest.approx(2 / 3)


def test_a_picture_that_two_models_made_stands_with_both():
    findings = concluded({"generator": "Midjourney + our own"}, {"captioner": "gpt-4o"})
    assert findings["generator=midjourney"].ids == ("0",)
    assert findings["generator=other"].ids == ("0",)
    assert findings["captioner=other"].ids == ("1",)


@pytest.mark.parametrize(
    "name",
    ["opt-out plus:DMI-PROHIBITED", "opt-out c2pa:ai_training", "opt-out c2pa:unreadable",
     "opt-out cawg:data_mining constrained", "opt-out robots.txt:*", "opt-out ai.txt:GPTBot",
     "opt-out tdm-reservation", "opt-out robots:noai", "opt-out content-usage:train-ai",
     "opt-out notice:file", "c2pa=invalid"],
)  # fmt: skip
def test_how_each_signal_was_come_by_is_written_down(name):
    assert method_of("licence", name).how


def test_a_hostile_record_keeps_few_texts():
    extra = {f"license_{n}": f"text {n}" for n in range(999)}
    (row,) = measured({"extra": extra, "creator": " \u202e ", "attribution": "A" * 9999})
    assert len(row["licence_evidence"]) == 20
    assert len(row["credit"]) == 500


def test_a_conclusion_about_nothing_is_empty_counts():
    assert {f.value for f in concluded().values()} == {0}


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
