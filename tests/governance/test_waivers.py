"""Waivers: every check refuses alone, by its number."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from governance.canon import sha256
from governance.errors import Refused
from governance.signers.keys import signer_at
from governance.statements import sign
from governance.waiving.approvals import earliest_end, stopped
from governance.waiving.papers import (
    APPROVED,
    REQUESTED,
    REVOKED,
)
from governance.waiving.waivers import (
    Request,
    clause_of,
    sample_list,
    sample_root,
    shown,
)
from office import MANY, NAMED, NOW, POLICY, SNAPSHOT, Office


def test_a_waiver_approved_by_its_quorum_holds(office, granted_one):
    (waiver,) = office.check(granted_one)
    assert waiver.state(NOW) == "active"
    assert waiver.to_json() == {
        "id": granted_one.id, "policy": "commercial", "rule": "COM-NSFW", "count": 2,
        "roles": ("dpo", "legal"), "reason": "statues in a museum",
        "measure": "a person looked at each", "ends_at": granted_one.ends_at,
    }  # fmt: skip
    assert earliest_end([waiver]) == NOW + timedelta(days=30)
    assert earliest_end([]) is None


def test_a_waiver_of_a_whole_snapshot_takes_one_approval_where_the_rule_asks_for_one(office):
    request = office.ask(
        rule="COM-SHARE", about="snapshot", subject=SNAPSHOT, samples="", count=0, max_days=180
    )
    assert office.asked(rule="COM-SHARE").max_days == 180  # whatever a policy says
    office.approve(request, "noor")
    (waiver,) = office.check(request)
    assert waiver.roles == ("legal",)


def _own_key(office: Office) -> Request:
    """The requester is a data protection officer, and approves with the key that asked."""
    request = office.ask("devi", requester="devi")
    office.approve(request, "devi", "lila")
    return request


def _own_other_key(office: Office) -> Request:
    office.keyring.enrol("dpo", "asha")
    request = office.ask()
    act = office.said(request, "devi", person="asha")
    office.told(APPROVED, act, office.key("asha", "dpo"))
    office.approve(request, "lila")
    return request


def _owner(office: Office) -> Request:
    office.keyring.enrol("legal", "omar")
    request = office.ask()
    office.approve(request, "devi")
    act = office.said(request, "omar", role="legal")
    office.told(APPROVED, act, office.key("omar", "legal"))
    return request


def _twice(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    office.approve(request, "devi", nonce="again")
    return request


def _two_keys(office: Office) -> Request:
    office.keyring.enrol("legal", "devi")
    request = office.ask()
    office.approve(request, "devi")
    act = office.said(request, "devi", role="legal")
    office.told(APPROVED, act, office.key("devi", "legal"))
    return request


def _wrong_role(office: Office) -> Request:
    office.keyring.enrol("ml", "ravi")
    request = office.ask()
    office.approve(request, "devi")
    act = office.said(request, "devi", person="ravi", role="ml")
    office.told(APPROVED, act, office.key("ravi", "ml"))
    return request


def _claimed_role(office: Office) -> Request:
    office.keyring.enrol("ml", "ravi")
    request = office.ask()
    office.approve(request, "devi")
    act = office.said(request, "lila", person="ravi")
    office.told(APPROVED, act, office.key("ravi", "ml"))
    return request


def _another_name(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    office.told(APPROVED, office.said(request, "noor"), office.key("lila"))
    return request


def _stranger(office: Office) -> Request:
    from governance.signers.keys import make_key  # noqa: PLC0415

    request = office.ask()
    office.approve(request, "devi")
    make_key(office.folder / "stranger.pem", "legal")
    stranger = signer_at(office.folder / "stranger.pem")
    office.told(APPROVED, office.said(request, "lila"), stranger)
    return request


def _revoked_key(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi", "lila")
    office.end("lila", 0)
    return request


def _ended_key(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    office.end("lila", office.ledger.size())
    office.approve(request, "lila")
    return request


def _house_key(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    act = office.said(request, "lila", person="", role="gate")
    office.told(APPROVED, act, office.keyring.signer("gate"))
    return request


def _expired(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi", "lila")
    office.clock = NOW + timedelta(days=30)
    return request


def _asked(**changed: object) -> Callable[[Office], Request]:
    def attack(office: Office) -> Request:
        request = office.ask(**changed)
        office.approve(request, "devi", "lila")
        return request

    return attack


def _approved(**changed: object) -> Callable[[Office], Request]:
    def attack(office: Office) -> Request:
        request = office.ask()
        office.approve(request, "devi")
        office.approve(request, "lila", **changed)
        return request

    return attack


def _one_sample_more(office: Office) -> Request:
    """Approved were two samples; the entry shown to the gate speaks of three."""
    request = office.asked()
    more = sample_list(MANY, (*NAMED, "s5"))
    wider = replace(request, subject=sample_root(more), count=3, samples=office.keep(more))
    envelope = sign(wider.payload(), office.key("asha"))
    office.keep(envelope)
    office.told(REQUESTED, request, office.key("asha"), document=sha256(envelope))
    office.approve(request, "devi", "lila")
    return request


def _other_text(office: Office) -> Request:
    """Shown were one sample and a short time; signed for were two."""
    request = office.ask()
    text = shown(replace(request, count=1), clause_of(POLICY, request.rule))
    office.approve(request, "devi")
    office.approve(request, "lila", shown=sha256(text.encode()))
    return request


def _before_the_request(office: Office) -> Request:
    request = office.asked()
    early = office.said(request, "lila")
    office.told(REQUESTED, request, office.key("asha"))
    office.approve(request, "devi")
    office.told(APPROVED, early, office.key("lila"))
    return request


def _replayed(office: Office) -> Request:
    """An approval of one request is filed once more, under another."""
    first = office.ask(nonce="1" * 32)
    office.approve(first, "lila")
    second = office.ask()
    office.approve(second, "devi")
    office.told(APPROVED, office.said(first, "lila"), office.key("lila"), waiver=second.id)
    return second


def _rejection_as_approval(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    act = office.said(request, "lila", verb="reject", reason="no")
    office.told(APPROVED, act, office.key("lila"))
    return request


def _other_entry(office: Office) -> Request:
    request = office.asked()
    office.told(REQUESTED, request, office.key("asha"), rule="COM-SHARE")
    office.approve(request, "devi", "lila")
    return request


def _other_act(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    office.told(APPROVED, office.said(request, "lila"), office.key("lila"), role="dpo")
    return request


def _unknown_owner(office: Office) -> Request:
    request = office.asked(owner="zoe")
    office.told(REQUESTED, request, office.key("asha"))
    return request


def _owners_key_of_another(office: Office) -> Request:
    request = office.asked()
    keyid = str(office.key("noor").public_key.keyid)
    office.told(REQUESTED, request, office.key("asha"), owner_key=keyid)
    return request


def _short(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "devi")
    return request


def _without_a_dpo(office: Office) -> Request:
    request = office.ask()
    office.approve(request, "noor")
    office.approve(request, "lila")
    return request


def _stopped(verb: str) -> Callable[[Office], Request]:
    def attack(office: Office) -> Request:
        request = _asked()(office)
        office.stop(request, verb)
        office.approve(request, "noor")  # comes too late
        return request

    return attack


def _stopped_by_anybody(office: Office) -> Request:
    office.keyring.enrol("ml", "ravi")
    request = _asked()(office)
    act = office.said(request, "devi", verb="revoke", person="ravi", role="ml", reason="why not")
    office.told(REVOKED, act, office.key("ravi", "ml"))
    return request


def _renewals_hidden(office: Office) -> Request:
    first = office.ask(nonce="1" * 32)
    office.approve(first, "devi")
    office.approve(first, "lila")
    return _asked(renewals=0)(office)


def _other_person_asks(office: Office) -> Request:
    return _asked(requester="noor")(office)


def _later_checkpoint(office: Office) -> Request:
    return _asked(size=9)(office)


ATTACKS = {
    "asked in another's name": (1, _other_person_asks),
    "asked by a duty of the house": (1, lambda office: office.ask("asha") and _house_asks(office)),
    "one sample more in the document": (2, _one_sample_more),
    "the entry names another rule": (2, _other_entry),
    "policy edited": (3, _asked(policy_sha256=sha256(POLICY + b" "))),
    "other policy's name": (3, _asked(policy="dpdp")),
    "smaller quorum": (3, _asked(quorum=1)),
    "no officer needed": (3, _asked(including=())),
    "more roles": (3, _asked(roles=("dpo", "legal", "ml"))),
    "longer than the rule": (3, _asked(max_days=180)),
    "whole snapshot for a rule on samples": (3, _asked(about="snapshot", subject=SNAPSHOT)),
    "longer than max_days": (
        4, _asked(ends_at=(NOW + timedelta(days=90, seconds=1)).isoformat(timespec="milliseconds"))
    ),
    "owner nobody knows": (5, _unknown_owner),
    "another's key as the owner's": (5, _owners_key_of_another),
    "cites a checkpoint to come": (5, _later_checkpoint),
    "renewal not counted": (6, _renewals_hidden),
    "renewals made up": (6, _asked(renewals=2)),
    "key of a stranger": (7, _stranger),
    "key revoked": (7, _revoked_key),
    "key ended before": (7, _ended_key),
    "key of the house": (7, _house_key),
    "role claimed": (7, _claimed_role),
    "name of another": (7, _another_name),
    "approval of another request": (8, _replayed),
    "a rejection filed as an approval": (8, _rejection_as_approval),
    "the entry names another role": (8, _other_act),
    "another text was shown": (9, _other_text),
    "no text was shown": (9, _approved(shown="")),
    "approved before the request": (10, _before_the_request),
    "cites a tree to come": (10, _approved(size=99)),
    "role not in the list": (11, _wrong_role),
    "stopped by somebody without a say": (11, _stopped_by_anybody),
    "own approval, same key": (12, _own_key),
    "own approval, another key": (12, _own_other_key),
    "the owner approves": (12, _owner),
    "one person twice": (13, _twice),
    "one person, two keys": (13, _two_keys),
    "quorum short": (14, _short),
    "quorum without an officer": (14, _without_a_dpo),
    "rejected": (15, _stopped("reject")),
    "revoked": (15, _stopped("revoke")),
    "expired": (16, _expired),
}  # fmt: skip


def _house_asks(office: Office) -> Request:
    request = office.asked(nonce="2" * 32)
    office.told(REQUESTED, request, office.keyring.signer("gate"))
    return request


@pytest.mark.parametrize(("check", "attack"), ATTACKS.values(), ids=ATTACKS)
def test_each_check_refuses_alone(office, check, attack):
    with pytest.raises(Refused, match=rf"waiver \({check}\)"):
        office.check(attack(office))


def test_a_renewal_says_how_many_came_before(office, granted_one):
    office.ask(nonce="5" * 32, renewals=1)  # asked for and never approved: it does not count
    again = office.ask(nonce="6" * 32)
    assert again.renewals == 1
    office.approve(again, "devi")
    office.approve(again, "lila")
    assert [w.request.renewals for w in office.check(granted_one, again)] == [0, 1]


def test_what_was_revoked_stops_at_once_whoever_says_so(office, granted_one):
    other, ledger = office.ask(nonce="7" * 32), office.ledger
    assert stopped(ledger, []) == set()
    assert stopped(ledger, [str(office.key("lila").public_key.keyid)]) == {granted_one.id}
    assert stopped(ledger, [str(office.key("asha").public_key.keyid)]) == {
        granted_one.id, other.id,
    }  # fmt: skip
    office.stop(granted_one, "revoke")
    assert stopped(ledger, []) == {granted_one.id}
    office.stop(other, "reject")
    assert stopped(ledger, []) == {granted_one.id, other.id}
