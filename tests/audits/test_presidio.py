import importlib.util
import socket
import sys

import pytest
from personal_answers import differences, filled, marked_spans, ours, presidios

from audits.identity.presidio_adapter import presidio_spans, presidio_version
from audits.personal import PersonalAudit
from governance.errors import EvidenceMissing
from made import measured_by

installed = pytest.mark.skipif(
    importlib.util.find_spec("presidio_analyzer") is None,
    reason="presidio-analyzer is an optional extra and is not installed",
)


def test_where_it_is_not_installed_its_opinion_is_missing_evidence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # nothing is installed here
    with pytest.raises(EvidenceMissing, match=r"pramana\[presidio\]"):
        presidio_version()
    with pytest.raises(EvidenceMissing, match=r"pramana\[presidio\]"):
        PersonalAudit.of({"presidio": True}, tmp_path)
    assert PersonalAudit.of({"presidio": False}, tmp_path) == PersonalAudit()


@installed
def test_its_opinion_stands_beside_ours_when_it_is_asked_for(tmp_path):
    audit = PersonalAudit.of({"presidio": True}, tmp_path)
    assert presidio_version() in repr(audit)
    captions = ("2341 2341 2346, mail asha@example.in", "pin code 560001", "a horse")
    rows = measured_by(audit, *({"caption": caption} for caption in captions))
    assert [row["pii_presidio_kinds"] for row in rows] == [["aadhaar", "email"], [], []]
    assert measured_by(PersonalAudit(), {"caption": captions[0]})[0]["pii_presidio_kinds"] is None


@installed
def test_nothing_is_fetched_for_it(monkeypatch):
    def refuse(*_):
        raise AssertionError("an address was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert [kind for kind, *_ in presidio_spans("write to asha@mail.example.co.in")] == ["email"]


@installed
@pytest.mark.shared
def test_both_see_the_same_numbers_where_a_check_digit_or_a_form_speaks_for_them(shared):
    found = differences(filled(shared)[::3])
    agreed = {("aadhaar", s) for s in ("named", "form", "bare")}
    agreed |= {("payment_card", s) for s in ("named", "form", "bare")}
    agreed |= {("gstin", "named"), ("gstin", "form"), ("pan", "named"), ("pan", "form")}
    agreed |= {("vehicle_in", "form"), ("voter_id", "named"), ("phone", "named"), ("phone", "form")}
    assert agreed.isdisjoint((kind, style) for kind, style, _ in found)
    alone = {(kind, side) for kind, _, side in found}
    assert alone <= {
        ("email", "ours"),  # "asha@example.in-Office": its pattern reads on past the hyphen
        ("vehicle_in", "ours"),  # plates written with gaps
        ("passport_in", "ours"),  # numbers that end in 0
        ("pan", "Presidio"),  # in small letters with no word near
        ("phone", "Presidio"),  # ten bare digits with no word near
        ("voter_id", "Presidio"),  # its own form with no word near
        ("vehicle_in", "Presidio"),
    }


@installed
@pytest.mark.shared
def test_on_marked_texts_it_sees_nothing_of_these_kinds_that_we_do_not(shared):
    for text, _ in marked_spans(shared):
        assert set(presidios(text)) <= set(ours(text))
