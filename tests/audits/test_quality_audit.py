import importlib.util
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest

from audits.audit import Batch
from audits.quality import QualityAudit
from governance.errors import EvidenceMissing

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("great_expectations") is None, reason="pramana[quality] is absent"
)

MEASURES = pa.schema(
    [
        ("id", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("decoded", pa.bool_()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("trailing_bytes", pa.int64()),
        ("caption_chars", pa.int32()),
    ]
)
USUAL = {
    "sha256": "0" * 64,
    "size_bytes": 900,
    "decoded": True,
    "width_px": 72,
    "height_px": 96,
    "trailing_bytes": 0,
    "caption_chars": 12,
}
UNDECODED = {"decoded": False, "width_px": None, "height_px": None, "trailing_bytes": None}


def no_picture(sample_id):
    raise AssertionError(f"quality asked for the picture of {sample_id}")


def concluded(rows, audit=None, schema=MEASURES):
    table = pa.Table.from_pylist([USUAL | row for row in rows], schema=schema)
    with duckdb.connect() as connection:
        connection.register("measures", table)
        findings = (audit or QualityAudit()).conclude(connection, no_picture).findings
    return {finding.name: finding for finding in findings}


def test_captions_are_counted_in_characters_without_blanks_at_their_ends():
    captions = pa.table({"caption": ["  a cat ", None, "", "नमस्ते"]})
    columns = QualityAudit().measure(Batch(captions, (None,) * 4, (b"",) * 4))
    assert columns == {"caption_chars": [5, 0, 0, 6]}


def test_each_expectation_names_the_samples_that_are_not_as_expected():
    found = concluded(
        [
            {"id": "usual"},
            {"id": "twice"},
            {"id": "twice", "sha256": "F" * 64},
            {"id": "undecodable", **UNDECODED},
            {"id": "absent", "size_bytes": 0, **UNDECODED},
            {"id": "thin", "width_px": 31, "height_px": 8193},
            {"id": "polyglot", "trailing_bytes": 7},
            {"id": "silent", "caption_chars": 0},
            {"id": "endless", "caption_chars": 2001},
        ]
    )
    assert {name: (finding.value, finding.ids) for name, finding in found.items()} == {
        "ids that stand twice": (2, ("twice", "twice")),
        "samples without an id": (0, ()),
        "digests that are no SHA-256": (1, ("twice",)),
        "pictures that cannot be decoded": (2, ("undecodable", "absent")),
        "samples without image bytes": (1, ("absent",)),
        "widths out of range": (1, ("thin",)),
        "heights out of range": (1, ("thin",)),
        "bytes after a picture's end": (1, ("polyglot",)),
        "captions out of range": (2, ("silent", "endless")),
    }
    assert found["widths out of range"].note.startswith("2 samples have no value here")
    assert found["captions out of range"].note == ""


def test_settings_move_the_limits_and_both_ends_are_usual():
    audit = QualityAudit(sides_px=(72, 96), caption_chars=(12, 12))
    assert {f.value for f in concluded([{"id": "a"}], audit).values()} == {0}
    assert concluded([{"id": "a", "width_px": 71}], audit)["widths out of range"].value == 1


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
