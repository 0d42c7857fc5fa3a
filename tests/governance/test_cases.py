"""Cases: opened once, closed by a person, never about content."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from governance.cases import (
    OUTCOMES,
    ROUTES,
    cases,
    close_case,
    closed,
    closed_by,
    open_cases,
    route,
)
from governance.errors import UsageError
from governance.trail.ledger import Ledger
from governance.workspace import Workspace

ONE, OTHER = "a1" * 32, "a1b2" * 16
SNAPSHOT = "5" * 64


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path)


@pytest.fixture
def ledger(workspace: Workspace) -> Ledger:
    return workspace.ledger


def suspects(*rows: tuple[str, str | None]) -> pa.Table:
    """Samples by image digest and what suspects them, None for nothing."""
    return pa.table(
        {
            "id": [f"s{place}" for place in range(len(rows))],
            "sha256": [digest for digest, _ in rows],
            "shard": pa.array([0] * len(rows), pa.int32()),
            "row": pa.array(range(len(rows)), pa.int32()),
            "suspected": [by is not None for _, by in rows],
            "suspected_by": pa.array([by for _, by in rows], pa.string()),
        }
    )


WORDS, LISTED = "CS-01 minor and nudity by caption terms", "CS-07 list watch@1"


def test_a_case_says_which_image_where_and_by_what_and_no_more(ledger: Ledger) -> None:
    open_cases(ledger, suspects((OTHER, None), (ONE, LISTED)), snapshot=SNAPSHOT)
    (entry,) = ledger.entries("case-opened")
    assert dict(entry.body) == {
        "sha256": ONE, "rule": "CS-07", "by": "list watch@1", "snapshot": SNAPSHOT,
        "sample": "s1", "shard": 0, "row": 1,
    }  # fmt: skip
    (case,) = cases(ledger)
    assert (case.opened_at, case.closing) == (entry.at, None)


def test_an_image_is_opened_once_however_often_and_wherever_it_is_found(ledger: Ledger) -> None:
    for snapshot in (SNAPSHOT, SNAPSHOT, "6" * 64):
        open_cases(ledger, suspects((ONE, WORDS), (ONE, WORDS)), snapshot=snapshot)
    assert len(ledger.entries("case-opened")) == 1


def test_a_list_that_finds_a_closed_image_later_opens_it_again(
    workspace: Workspace, ledger: Ledger
) -> None:
    open_cases(ledger, suspects((ONE, WORDS)), snapshot=SNAPSHOT)
    close_case(workspace, ONE, reference="r", by="p", outcome="not-reportable")
    open_cases(ledger, suspects((ONE, WORDS)), snapshot=SNAPSHOT)
    assert closed(cases(ledger), pa.chunked_array([[ONE]])).to_pylist() == [True]
    open_cases(ledger, suspects((ONE, LISTED)), snapshot=SNAPSHOT)
    assert closed(cases(ledger), pa.chunked_array([[ONE]])).to_pylist() == [False]


def test_closing_names_a_person_and_a_reference_and_closes_every_rule_of_the_image(
    workspace: Workspace,
    ledger: Ledger,
) -> None:
    open_cases(ledger, suspects((ONE, WORDS)), snapshot=SNAPSHOT)
    open_cases(ledger, suspects((ONE, LISTED)), snapshot=SNAPSHOT)
    ended = close_case(workspace, ONE[:8], reference=" NCRP 7 ", by="A. Rao", outcome="reported")
    assert len(ended) == 2
    for case in cases(ledger):
        assert case.closing is not None
        assert closed_by(workspace, case.closing) == ("A. Rao", "NCRP 7")
    assert b"Rao" not in b"".join(ledger.leaves())
    standing = closed(cases(ledger), pa.chunked_array([[ONE, OTHER]]))
    assert standing.to_pylist() == [True, None]


@pytest.mark.parametrize(
    ("prefix", "said", "message"),
    [
        ("a1a1", {}, "at least 6 hex digits"),
        ("", {}, "at least 6 hex digits"),
        ("A1A1A1", {}, "at least 6 hex digits"),
        ("ffffff", {}, "0 open cases begin with ffffff"),
        ("abcabc", {}, "2 open cases begin with abcabc"),
        (ONE, {"by": "  "}, "takes by as 1 to 200"),
        (ONE, {"reference": ""}, "takes reference"),
        (ONE, {"reference": "x" * 201}, "takes reference"),
        (ONE, {"by": "a\x1b[2Jb"}, "takes by"),
    ],
    ids=["short", "empty", "capitals", "none", "two", "no person", "no reference", "a novel",
         "control characters"],
)  # fmt: skip
def test_what_does_not_name_one_case_a_person_and_a_reference_closes_nothing(
    workspace: Workspace, ledger: Ledger, prefix: str, said: dict[str, str], message: str
) -> None:
    two = ("abcabc" + "0" * 58, WORDS), ("abcabc" + "1" * 58, WORDS)
    open_cases(ledger, suspects((ONE, WORDS), *two), snapshot=SNAPSHOT)
    given = {"reference": "r", "by": "p"} | said
    with pytest.raises(UsageError, match=message):
        close_case(workspace, prefix, outcome="reported", **given)
    assert not ledger.entries("case-closed")


def test_a_case_that_is_closed_cannot_be_closed_again(workspace: Workspace, ledger: Ledger) -> None:
    open_cases(ledger, suspects((ONE, WORDS)), snapshot=SNAPSHOT)
    close_case(workspace, ONE, reference="r", by="p", outcome="reported")
    with pytest.raises(UsageError, match="0 open cases"):
        close_case(workspace, ONE, reference="r", by="p", outcome="reported")


@pytest.mark.parametrize(
    ("country", "named"),
    [("IN", "cybercrime.gov.in, telephone 1930, the Special Juvenile Police Unit"),
     ("in", "local police"), ("US", "NCMEC CyberTipline"), ("GB", "Internet Watch Foundation"),
     ("UK", "Internet Watch Foundation"), ("FR", "INHOPE"), ("", "INHOPE")],
)  # fmt: skip
def test_each_country_has_its_route(country: str, named: str) -> None:
    assert named in route(country)


def test_the_ledger_that_holds_cases_verifies_and_holds_only_known_words(
    workspace: Workspace, ledger: Ledger
) -> None:
    open_cases(ledger, suspects((ONE, WORDS)), snapshot=SNAPSHOT)
    close_case(workspace, ONE, reference="r", by="p", outcome=OUTCOMES[0])
    assert ledger.verify().size == 2
    assert set(json.loads(ledger.leaves()[1])["body"]) == {
        "sha256", "rule", "outcome", "by", "record",
    }  # fmt: skip
    assert set(ROUTES) == {"IN", "US", "GB", ""}
