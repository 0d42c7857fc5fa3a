"""Filing: what would not hold is refused, by the desk and by the database itself."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from governance.errors import Refused
from governance.statements import sign
from governance.trail import tables
from governance.trail.database import Database
from governance.trail.ledger import Entry
from governance.waiving.papers import (
    APPROVED,
    KINDS,
    REQUESTED,
    REVOKED,
)
from governance.waiving.waivers import (
    Request,
)
from office import PEOPLE, POLICY, Office


@pytest.fixture
def filed(office: Office) -> Request:
    """A request as the desk files it."""
    request = office.asked()
    envelope = sign(request.payload(), office.key("asha"))
    office.keep(envelope)
    office.desk.request(envelope, policy=POLICY, earlier=())
    return request


def _act(office: Office, request: Request, by: str, role: str = "", **changed: object) -> Entry:
    """Sign what a person says, and file it at the desk."""
    key = office.key(by, role)
    signed = sign(office.said(request, by, role=role or PEOPLE[by], **changed).payload(), key)
    office.keep(signed)
    return office.desk.act(signed, office.papers(request))


def test_the_desk_files_what_holds(office, filed):
    for person in ("devi", "lila"):
        _act(office, filed, person)
    assert office.check(filed)[0].roles == ("dpo", "legal")


@pytest.mark.parametrize(
    ("person", "role", "check"),
    [("asha", "dpo", 12), ("omar", "dpo", 12), ("omar", "owner", 11), ("asha", "ml", 11)],
    ids=["who asks", "who owns the data", "owner's own key", "requester's own key"],
)
def test_what_would_not_hold_is_refused_and_not_told(office, filed, person, role, check):
    if PEOPLE[person] != role:
        office.keyring.enrol(role, person)
    size = office.ledger.size()
    with pytest.raises(Refused, match=rf"waiver \({check}\)"):
        _act(office, filed, person, role)
    assert office.ledger.size() == size


def test_the_same_request_is_not_filed_twice(office, filed):
    envelope = sign(filed.payload(), office.key("asha"))
    size = office.ledger.size()
    with pytest.raises(Refused, match="refused this"):
        office.desk.request(envelope, policy=POLICY, earlier=())
    assert office.ledger.size() == size


def test_of_two_processes_that_act_for_one_person_the_second_is_refused(office, filed):
    before = office.papers(filed)
    _act(office, filed, "devi")
    again = sign(office.said(filed, "devi", nonce="again").payload(), office.key("devi"))
    with pytest.raises(Refused, match="refused this"):
        office.desk.act(again, before)  # what the second process had read


def test_people_stand_in_ledger_and_tables_as_tags_only(office, filed):
    _act(office, filed, "devi")
    _act(office, filed, "lila")
    said = b"".join(e.leaf() for e in office.ledger.entries() if e.kind in KINDS)
    rows = _rows(office, tables.waivers) + _rows(office, tables.approvals)
    assert len(rows) == 3
    for person in PEOPLE:
        assert person.encode() not in said
        assert all(person not in map(str, row) for row in rows)


def _rows(office: Office, table: sa.Table) -> list[tuple[object, ...]]:
    with Database.at(office.ledger.url).transaction(write=False) as connection:
        return [tuple(row) for row in connection.execute(table.select())]


MOVES = {
    "requested": {"approve", "reject"},
    "active": {"revoke"},
    "rejected": set(),
    "revoked": set(),
    "expired": set(),
}


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("verb", ["approve", "reject", "revoke"])
def test_only_legal_moves_are_filed(office, filed, state, verb):
    if state not in {"requested", "rejected"}:
        _act(office, filed, "devi")
        _act(office, filed, "lila")
    if state in {"rejected", "revoked"}:
        _act(office, filed, "devi", verb=state[:6], reason="a complaint")
    office.clock += timedelta(days=40 if state == "expired" else 0)
    if verb in MOVES[state]:
        assert _act(office, filed, "dina", verb=verb).kind.startswith(f"waiver.{verb}")
    else:
        with pytest.raises(Refused, match=f"is {state}"):
            _act(office, filed, "dina", verb=verb)


PARTIES = {"requester": "r", "requester_key": "rk", "owner": "o", "owner_key": "ok"}


@pytest.mark.parametrize(
    "row",
    [
        {"person": "r"}, {"person": "o"}, {"keyid": "rk"}, {"keyid": "ok"}, {"person": "p"},
        {"keyid": "k"}, {"owner": "x"}, {"requester": "x"}, {"waiver": "x"},
    ],
    ids=[
        "requester approves", "owner approves", "requester's key", "owner's key", "person twice",
        "key twice", "other owner", "other requester", "no such waiver",
    ],
)  # fmt: skip
def test_the_database_refuses_by_itself_and_then_nothing_is_told(ledger, row):
    first = {"waiver": "w", "person": "p", "keyid": "k", **PARTIES}
    asked = tables.waivers.insert().values(id="w", quorum=1, **PARTIES)
    ledger.append(REQUESTED, {}, rows=[asked])
    ledger.append(APPROVED, {}, rows=[tables.approvals.insert().values(first)])
    size, second = ledger.size(), {**first, "person": "q", "keyid": "j", **row}
    with pytest.raises(sa.exc.IntegrityError):
        ledger.append(APPROVED, {}, rows=[tables.approvals.insert().values(second)])
    assert ledger.size() == size


def test_the_database_ends_a_waiver_once_and_asks_for_a_quorum(ledger):
    asked = tables.waivers.insert()
    with pytest.raises(sa.exc.IntegrityError):
        ledger.append(REQUESTED, {}, rows=[asked.values(id="w", quorum=0, **PARTIES)])
    ledger.append(REQUESTED, {}, rows=[asked.values(id="w", quorum=1, **PARTIES)])
    ended = tables.waiver_ends.insert().values(waiver="w", how="revoked")
    ledger.append(REVOKED, {}, rows=[ended])
    ledger.append(REQUESTED, {}, rows=[asked.values(id="x", quorum=1, **PARTIES)])
    for again in (ended, ended.values(how="rejected"), ended.values(waiver="x", how="gone")):
        with pytest.raises(sa.exc.IntegrityError):
            ledger.append(REVOKED, {}, rows=[again])
