import importlib.util
import re

import pyarrow as pa
import pytest
from quality_answers import made_up

from audits.expectations.data_docs import EXPECTATIONS, RESULTS, export_docs
from audits.expectations.suite import Suite, packaged
from governance.errors import EvidenceMissing

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("great_expectations") is None, reason="pramana[quality] is absent"
)
SUITE = b"""
name: own
version: "1"
expectations:
  - {finding: odd scripts, column: caption_script, kind: in_set, values: [latin], severity: info}
  - {finding: odd ids, column: id, kind: match_regex, regex: "^[0-9]+$", severity: critical}
"""
HOSTILE = ["<script>alert(1)</script>", "https://elsewhere.invalid/x.png", "a caption of a person"]


def test_the_pages_show_what_was_expected_and_how_often_it_was_not_so(tmp_path):
    written = export_docs(made_up(500), tmp_path / "docs")
    assert [path.name for path in written] == [RESULTS, EXPECTATIONS]
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == [RESULTS, EXPECTATIONS]
    results, expected = (path.read_text() for path in written)
    assert str(packaged()) in results
    assert "500 samples" in results
    assert "policies judge" in results
    assert "unexpected values found" in results
    for column in packaged().columns:
        assert column in results
        assert column in expected
    assert "20 total Expectations" in expected


def test_the_pages_ask_nothing_of_a_network_and_run_nothing(tmp_path):
    for path in export_docs(made_up(50), tmp_path):
        page = path.read_text()
        assert "default-src 'none'" in page
        assert (
            re.findall(r"https?:|//[a-z]|<script|<link|<img|<iframe|src=|url\(|onclick", page) == []
        )
        links = set(re.findall(r'href="([^"]*)"', page))
        assert {RESULTS, EXPECTATIONS} <= links
        assert {link for link in links if not link.startswith("#")} == {RESULTS, EXPECTATIONS}


def test_no_value_of_a_sample_stands_in_the_pages(tmp_path):
    table = pa.table({"id": HOSTILE, "caption_script": HOSTILE})
    for path in export_docs(table, tmp_path, Suite.read(SUITE, "own")):
        page = path.read_text()
        assert not [value for value in HOSTILE if value in page]
        assert not re.search(r"alert\(|elsewhere|of a person", page)


def test_what_a_suite_says_is_text_and_nothing_else(tmp_path):
    hostile = SUITE.replace(b"values: [latin]", b"values: ['<b onclick=x>&']")
    table = pa.table({"id": ["1"], "caption_script": ["latin"]})
    for path in export_docs(table, tmp_path, Suite.read(hostile, "own")):
        assert "<b onclick" not in path.read_text()
        assert "&lt;b onclick=x&gt;" in path.read_text()


def test_measures_without_a_column_are_no_evidence(tmp_path):
    with pytest.raises(EvidenceMissing, match="lack blur"):
        export_docs(made_up(5).drop_columns(["blur"]), tmp_path / "docs")
    assert not (tmp_path / "docs").exists()
