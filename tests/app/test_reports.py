"""Reports of an audit: who is named, what is apart, and nothing a spreadsheet would run."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from app import planted
from app.reports import ATTRIBUTION, DOCS, HASHES, SHARE_ALIKE, SOURCES
from audits.methods import method_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("reports")]
PRAMANA = [sys.executable, "-P", "-m", "app"]
LICENCES = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC0-1.0")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Some scenes under four licences, one by a hostile author, with all planted problems."""
    folder = tmp_path_factory.mktemp("audited")
    rows = list(planted.scenes(40, seed=5))
    rows = [replace(row, license=LICENCES[n % 4]) for n, row in enumerate(rows)]
    rows[0] = replace(rows[0], author="=HYPERLINK(1)\x1b")
    odd, _ = planted.planted(list(planted.scenes(240, seed=6)), np.random.default_rng(1))
    planted.write(folder / "set", rows)
    planted.write(folder / "odd", odd)
    command = [*PRAMANA, "--workspace", str(folder / "w"), "audit", str(folder / "set")]
    command += [str(folder / "odd"), "--policy", "commercial", "--policy", "dpdp"]
    command += ["--reports", str(folder / "reports"), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stderr
    return folder, json.loads(ended.stdout)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_everybody_whom_a_licence_asks_for_is_named_once(audited):
    folder, told = audited
    rows = rows_of(folder / "reports" / ATTRIBUTION)
    assert len({row["id"] for row in rows}) == len(rows) > 0
    assert {row["duties"] for row in rows} == {"attribution"}
    assert all(row["licence_claims"].startswith("CC-BY-4.0") and row["credit"] for row in rows)
    assert len(rows) <= told["decision"]["cleared"]


def test_no_cell_begins_like_a_formula(audited):
    text = (audited[0] / "reports" / ATTRIBUTION).read_text()
    assert "'=HYPERLINK(1)" in text
    assert "\x1b" not in text


def test_each_share_alike_licence_has_a_list_of_its_own(audited):
    folder = audited[0] / "reports" / SHARE_ALIKE
    assert {path.stem for path in folder.iterdir()} == {"CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"}
    rows = rows_of(folder / "CC-BY-NC-SA-4.0.csv")
    assert len(rows) == 10
    assert {row["cleared"] for row in rows} == {"False"}


def test_licences_are_counted_by_source(audited):
    folder, told = audited
    rows = rows_of(folder / "reports" / SOURCES)
    assert {row["source"] for row in rows} == {"set", "odd"}
    assert sum(int(row["samples"]) for row in rows) == told["samples"]
    assert sum(int(row["cleared"]) for row in rows) == told["decision"]["cleared"]
    cc0 = [row for row in rows if (row["source"], row["licence_claims"]) == ("set", "CC0-1.0")]
    assert [(row["licence_use"], row["samples"]) for row in cc0] == [("permitted", "10")]


def test_hashes_are_kept_for_other_audits_and_pages_for_readers(audited):
    folder, told = audited
    assert pq.read_metadata(folder / "reports" / HASHES).num_rows >= told["samples"] - 1
    assert (folder / "reports" / DOCS / "index.html").is_file()


def test_reports_are_not_written_over_files(audited):
    folder, _ = audited
    command = [*PRAMANA, "--workspace", str(folder / "w"), "audit", str(folder / "set")]
    command += ["--reports", str(folder / "set")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "holds files already" in ended.stderr


def test_every_finding_of_a_real_audit_has_a_method(audited):
    _, told = audited
    for finding in told["findings"]:
        method = method_of(finding["audit"], finding["name"])
        assert min(map(len, (method.measured, method.how, method.cannot_see))) > 20
    assert {finding["audit"] for finding in told["findings"]} == {
        "licence", "nsfw", "duplicates", "bias", "personal", "locality", "quality",
    }  # fmt: skip
