"""Findings for people: as what they are, headlines first, and how each was come by."""

import re
import subprocess
import sys

import pytest

from app import found
from audits.methods import Method, method_of
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import Finding

GONE = Finding(audit="licence", name="no licence", value=3, ids=("a", "b", "c"))
MORE = (
    GONE,
    Finding(audit="licence", name="licence conflicts", value=0),
    Finding(audit="licence", name="generator=no licence", value=0),
    Finding(audit="quality", name="ids that stand twice", value=0),
)
OFFERED = "licence/no licence; licence/licence conflicts; licence/generator=no licence"


@pytest.mark.parametrize(
    ("name", "measured", "value", "interval"),
    [
        ("CC0 share", (0.5, 0.4, 0.625), "50.0 %", "40.0 % to 62.5 %"),
        ("decoded_share", (1.0, None, None), "100.0 %", ""),
        ("retention", (0.8, 0.7, 0.9), "80.0 %", "70.0 % to 90.0 %"),
        ("nPMI woman, nurse", (0.31, 0.1, 0.5), "0.31", "0.1 to 0.5"),
        ("effective groups", (3.14159, 2.0, 4.5), "3.14", "2 to 4.5"),
        ("exact groups", (12184, None, None), "12,184", ""),
        ("outside India", (None, None, None), "not measured", ""),
    ],
)
def test_a_finding_reads_as_what_it_is(name, measured, value, interval):
    share, low, high = measured
    finding = Finding(audit="a", name=name, value=share, low=low, high=high)
    [row] = found.finding_rows([finding])["a"]
    assert (row.value, row.interval) == (value, interval)
    assert (row.share is not None) == value.endswith("%")


def test_findings_keep_the_order_of_their_audits_and_carry_no_control_characters(workspace):
    said = found.findings(workspace, workspace.latest_decision())
    rows = found.finding_rows([*said, Finding(audit="last", name="a\u202eb\x1b[31m", value=1)])
    assert list(rows) == ["licence", "nsfw", "duplicates", "bias", "locality", "quality", "last"]
    assert rows["last"][0].name == "a b [31m"


def test_altered_findings_are_not_shown(copy):
    decision = copy.latest_decision()
    [path] = (copy.state / "objects").rglob(decision.findings)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"0.52", b"0.92"))
    with pytest.raises(Tampered, match="the findings were altered"):
        found.findings(copy, decision)


@pytest.mark.parametrize("asked", ["licence/no licence", "no licence", "CENCE/NO"])
def test_a_finding_is_explained_by_its_name_or_a_part_that_only_it_has(asked):
    row, method = found.explained(MORE, asked)
    assert (row.key, row.value, row.samples) == ("licence/no licence", "3", 3)
    assert all(len(text) > 20 for text in (method.measured, method.how, method.cannot_see))


@pytest.mark.parametrize(
    ("asked", "count", "offered"),
    [
        ("licence/", 3, OFFERED),
        ("licence/nothing", 0, OFFERED),
        ("\x1b[31mnobody", 0, "none"),
    ],
)
def test_a_name_that_fits_none_or_many_is_answered_with_names_that_fit(asked, count, offered):
    with pytest.raises(UsageError, match=re.escape(f"Give one of: {offered}.")) as told:
        found.explained(MORE, asked)
    assert str(told.value).startswith(f"{count} findings")
    assert "\x1b" not in str(told.value)


def test_a_finding_without_a_method_is_said_to_have_none():
    odd = Finding(audit="licence", name="made up by nobody", value=1)
    with pytest.raises(EvidenceMissing, match="Nobody wrote down"):
        found.explained([odd], "made up")
    assert found.method(odd) is None


def test_only_headlines_that_are_not_zero_are_shown_at_once():
    rows = found.headlines(MORE)
    assert [row.key for row in rows] == ["licence/no licence"]


def test_a_method_says_what_its_audit_cannot_see_unless_it_says_so_itself():
    assert isinstance(method_of("licence", "no licence"), Method)
    with pytest.raises(EvidenceMissing):
        method_of("../secrets", "no licence")


def test_the_command_line_explains_and_refuses_to_guess(workspace):
    def ask(*more):
        command = [sys.executable, "-P", "-m", "app", "--workspace", str(workspace.folder), "audit"]
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False)

    name = found.findings(workspace, workspace.latest_decision())[0].name
    told = ask("--explain", f"licence/{name}")
    assert told.returncode == 0, told.stderr
    assert {"measured", "how", "library", "cannot"} <= set(told.stdout.split())
    assert ask("--explain", "no such thing").returncode == 2
    assert ask().returncode == 2
