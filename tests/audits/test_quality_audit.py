import importlib.util
import json
import pickle
import subprocess
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from quality_answers import blurred, by_gx, by_sql, made_up

from audits.engine import audits_digest
from audits.expectations.suite import Suite, packaged
from audits.methods import method_of
from audits.quality import QualityAudit
from governance.errors import EvidenceMissing, UsageError
from governance.images import decode
from made import measured_by, png
from policies.evidence import SAMPLE

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("great_expectations") is None, reason="pramana[quality] is absent"
)

MEASURES = pa.schema([field for field in SAMPLE if field.name in packaged().columns])
USUAL = {
    "sha256": "0" * 64,
    "size_bytes": 900,
    "decoded": True,
    "width_px": 72,
    "height_px": 96,
    "frames": 1,
    "trailing_bytes": 0,
    "aspect": 0.75,
    "blur": 0.3,
    "entropy": 6.5,
    "brightness": 0.5,
    "caption_chars": 12,
    "caption_words": 3,
    "caption_script": "latin",
}
OF_PICTURE = ("width_px", "height_px", "frames", "trailing_bytes", "aspect", "blur", "entropy",
              "brightness")  # fmt: skip
UNDECODED = {"decoded": False} | dict.fromkeys(OF_PICTURE)
OWN = """
name: ours
version: "2026.1"
expectations:
  - {finding: not like ours, column: width_px, kind: between, min: 72, max: 72, severity: info}
"""


def no_picture(sample_id):
    raise AssertionError(f"quality asked for the picture of {sample_id}")


def concluded(rows, audit=None, schema=MEASURES):
    table = pa.Table.from_pylist([USUAL | row for row in rows], schema=schema)
    with duckdb.connect() as connection:
        connection.register("measures", table)
        findings = (audit or QualityAudit()).conclude(connection, no_picture).findings
    assert all(method_of("quality", finding.name).how for finding in findings)
    return {finding.name: finding for finding in findings}


def unusual(found):
    counted = {name: (f.value, f.ids) for name, f in found.items() if name != "expectations met"}
    return {name: told for name, told in counted.items() if told != (0, ())}


def test_captions_are_counted_without_blanks_at_their_ends():
    captions = ["  a cat ", None, "", "नमस्ते दुनिया"]
    rows = measured_by(QualityAudit(), *({"caption": caption} for caption in captions))
    assert [(r["caption_chars"], r["caption_words"], r["caption_script"]) for r in rows] == [
        (5, 2, "latin"), (0, 0, "none"), (0, 0, "none"), (13, 2, "devanagari"),
    ]  # fmt: skip


def test_a_picture_is_measured_and_what_is_none_is_not():
    wide = decode(png_of(np.tile(np.arange(256, dtype=np.uint8), (64, 1))))
    rows = measured_by(QualityAudit(), {}, {}, {}, pictures=[wide, None, decode(png())])
    assert rows[0]["aspect"] == 4.0
    assert rows[0]["entropy"] == pytest.approx(8.0)
    assert rows[0]["brightness"] == pytest.approx(0.5)
    assert rows[0]["blur"] == pytest.approx(1.0)  # a ramp is as smooth as can be
    assert {rows[1][name] for name in ("aspect", "blur", "entropy", "brightness")} == {None}
    assert (rows[2]["blur"], rows[2]["entropy"]) == (None, 0.0)


def png_of(values):
    import io  # noqa: PLC0415

    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def test_each_expectation_names_the_samples_that_are_not_as_expected():
    found = concluded(
        [
            {"id": "usual"},
            {"id": "twice"},
            {"id": "twice", "sha256": "F" * 64},
            {"id": "undecodable", **UNDECODED},
            {"id": "absent", "size_bytes": 0, **UNDECODED},
            {"id": "thin", "width_px": 31, "height_px": 8193, "aspect": 31 / 8193},
            {"id": "polyglot", "trailing_bytes": 7, "frames": 3},
            {"id": "silent", "caption_chars": 0, "caption_words": 0, "caption_script": "none"},
            {"id": "endless", "caption_chars": 2001, "caption_words": 301},
            {"id": "two", "caption_script": "mixed"},
            {"id": "fog", "blur": 0.9, "brightness": 0.99, "entropy": 0.5},
            {"id": "ours", "blur": -0.1, "brightness": 1.1, "entropy": 8.1},
        ]
    )
    assert unusual(found) == {
        "ids that stand twice": (2, ("twice", "twice")),
        "digests that are no SHA-256": (1, ("twice",)),
        "pictures that cannot be decoded": (2, ("undecodable", "absent")),
        "samples without image bytes": (1, ("absent",)),
        "widths out of range": (1, ("thin",)),
        "heights out of range": (1, ("thin",)),
        "aspect ratios out of range": (1, ("thin",)),
        "bytes after a picture's end": (1, ("polyglot",)),
        "pictures of several frames": (1, ("polyglot",)),
        "pictures that are blurred": (1, ("fog",)),
        "pictures of almost one tone": (1, ("fog",)),
        "pictures almost black or white": (2, ("fog", "ours")),
        "values of blur beyond 0 to 1": (1, ("ours",)),
        "values of entropy beyond 0 to 8 bits": (1, ("ours",)),
        "values of brightness beyond 0 to 1": (1, ("ours",)),
        "captions out of range": (2, ("silent", "endless")),
        "captions of one word or too many": (2, ("silent", "endless")),
        "captions without a letter": (1, ("silent",)),
        "captions of several scripts": (1, ("two",)),
    }
    assert "Usual of width_px: at least 32 and at most 8192 (warning). 2 samples have no" in (
        found["widths out of range"].note
    )
    assert found["captions out of range"].note.endswith("(warning).")
    assert found["expectations met"].value == 1
    assert f"Of 20 in {packaged()}; 12 samples; Great Expect" in found["expectations met"].note


def test_an_operators_suite_takes_the_place_of_ours_and_both_ends_are_usual(tmp_path):
    (tmp_path / "ours.yaml").write_text(OWN)
    audit = QualityAudit.of({"suite": "ours.yaml"}, tmp_path)
    found = concluded([{"id": "a"}, {"id": "b", "width_px": 71}], audit)
    assert list(found) == ["expectations met", "not like ours"]
    assert found["not like ours"].ids == ("b",)
    assert "suite ours 2026.1, sha256 " in found["expectations met"].note
    assert str(tmp_path) not in repr(audit)
    assert pickle.loads(pickle.dumps(audit)) == audit  # noqa: S301  our own bytes
    assert audits_digest([audit]) != audits_digest([QualityAudit()])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"column": "caption"}, "expectations.0.column"),
        ({"kind": "quantiles"}, "expectations.0.kind"),
        ({"severity": "fatal"}, "expectations.0.severity"),
        ({"min": None, "max": None}, "between takes max or min"),
        ({"kind": "in_set"}, "in_set takes values"),
        ({"kind": "unique"}, "unique takes nothing more"),
        ({"mostly": 0.9}, "expectations.0.mostly"),
        ({"min": "72"}, "expectations.0.min"),
    ],
)
def test_a_suite_is_read_to_the_last_key(changed, problem):
    one = {"finding": "a", "column": "width_px", "kind": "between", "min": 1, "severity": "info"}
    told = {"name": "ours", "version": "1", "expectations": [one | changed]}
    with pytest.raises(UsageError, match=problem):
        Suite.read(json.dumps(told).encode(), "ours.yaml")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff", "is no text"),
        (b"[]", "valid dictionary"),
        (OWN.encode() + OWN.encode().rsplit(b":\n", 1)[-1], "stands twice"),
        (b"name: ours\nversion: '1'\nexpectations: []\n", "expectations"),
    ],
    ids=["bytes", "a list", "a finding twice", "nothing expected"],
)
def test_what_is_no_suite_is_refused(data, problem):
    with pytest.raises(UsageError, match=problem):
        Suite.read(data, "ours.yaml")


def test_settings_are_read_to_the_last_key(tmp_path):
    with pytest.raises(UsageError, match="key 'sides_px'"):
        QualityAudit.of({"suite": "ours.yaml", "sides_px": [1, 2]}, tmp_path)
    with pytest.raises(EvidenceMissing, match=r"ours\.yaml"):
        QualityAudit.of({"suite": "ours.yaml"}, tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
def test_great_expectations_counts_what_one_query_counts(seed):
    measures = made_up(3000, seed)
    counts = by_gx(measures, packaged())
    assert counts == by_sql(measures, packaged())
    assert len(counts) == 20
    assert min(counts.values()) > 0


@pytest.mark.parametrize(
    ("rows", "undecodable"),
    [([], 0), ([{"id": "a", **UNDECODED}, {"id": "b", **UNDECODED}], 2)],
    ids=["no sample", "nothing decodable"],
)
def test_a_set_without_values_is_still_checked(rows, undecodable):
    found = concluded(rows)
    assert found["pictures that cannot be decoded"].value == undecodable
    assert found["widths out of range"].value == 0


def test_an_expectation_that_crashes_is_missing_evidence_and_not_a_zero():
    broken = MEASURES.set(MEASURES.get_field_index("width_px"), pa.field("width_px", pa.string()))
    with pytest.raises(EvidenceMissing, match="could not check for widths out of range"):
        concluded([{"id": "a", "width_px": "wide"}], schema=broken)


def test_the_suite_leaves_no_file_and_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    concluded([{"id": "a"}])
    assert list(tmp_path.rglob("*")) == []
    assert capfd.readouterr() == ("", "")


def test_the_library_is_imported_only_when_a_set_is_concluded():
    code = "import sys, audits.quality; print('great_expectations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_rules_may_read_what_is_promised():
    assert all(SAMPLE.field(field.name).type == field.type for field in QualityAudit.columns)


@pytest.mark.shared
def test_photographs_that_were_blurred_are_told_from_those_that_were_not(shared):
    for radius, grows, over_sharp, _ in blurred(shared, step=10):
        assert grows == 1.0
        assert over_sharp > (0.98 if radius == 1 else 0.999)
