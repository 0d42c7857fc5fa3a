"""Who may sign what: trusted, rotated, revoked; a kill halfway is mended by doing it again."""

import os
import shutil
from pathlib import Path

import pytest

from governance.errors import Refused, Tampered, UsageError
from governance.signers.keys import HOUSE, make_key
from governance.signers.roles import require_witnesses, revoke, rotate, trust_key
from governance.signers.salts import known_tag
from governance.signers.trust import Trust
from governance.statements import open_envelope, sign
from governance.trail.memory import Memory
from governance.trail.witness import check_checkpoint
from governance.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = Workspace.at(tmp_path / "place")
    place.ledger.append("sealed", {"snapshot": "a" * 64})
    return place


def _dpo(workspace: Workspace, folder: Path) -> str:
    public = make_key(folder / "asha.pem", "dpo")
    return trust_key(workspace, role="dpo", person="asha", public=public).id


def test_the_ledger_says_that_a_key_was_trusted_and_never_names_the_person(
    workspace: Workspace, tmp_path: Path
) -> None:
    keyid = _dpo(workspace, tmp_path)
    (entry,) = workspace.ledger.entries("key.trusted")
    assert entry.body == {
        "key": keyid, "role": "dpo", "person": known_tag(workspace.salts, "asha"),
    }  # fmt: skip
    assert b"asha" not in b"".join(workspace.ledger.leaves())
    assert workspace.keyring.trust().holder(keyid).person == "asha"


@pytest.mark.parametrize("role", HOUSE)
def test_each_duty_can_be_given_a_new_key(workspace: Workspace, role: str) -> None:
    before, pinned = workspace.keyring.trust().of(role)[0], workspace.keyring.trust()
    signed = sign(b"{}", workspace.keyring.signer(role)) if role != "log" else b""
    new = rotate(workspace, role)
    trust = workspace.keyring.trust()
    assert [key.keyid for key in trust.of(role)] == [new.id] != [before.keyid]
    assert workspace.keyring.signer(role).public_key.keyid == new.id
    assert Trust.from_bytes(trust.data, pinned=pinned) == trust
    end = workspace.ledger.entries("key.rotated")[0].number + 1
    assert before in trust.of(role, at=end - 1)
    assert before not in trust.of(role, at=end)
    assert workspace.ledger.verify().size == 3
    check_checkpoint(workspace.ledger.note(), trust)
    if signed:
        assert open_envelope(signed, trust.of(role, at=0)) == b"{}"


@pytest.mark.parametrize("role", ["gate", "root", "log"])
@pytest.mark.parametrize("moment", ["before the trust file", "after the trust file"])
def test_a_rotation_that_was_killed_is_mended_by_another(
    workspace: Workspace, role: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace
    target = "trust.json" if moment == "before the trust file" else f"{role}.pem"

    def killed(source: str | Path, place: str | Path) -> None:
        if Path(place).name == target:
            raise KeyboardInterrupt
        real(source, place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            rotate(workspace, role)
    rotate(workspace, role)
    assert len(workspace.keyring.trust().of(role)) == 1
    workspace.keyring.signer(role)
    check_checkpoint(workspace.ledger.note(), workspace.keyring.trust())
    workspace.ledger.verify()


def test_a_revoked_key_counts_for_nothing_and_the_ledger_says_so(
    workspace: Workspace, tmp_path: Path
) -> None:
    keyid = _dpo(workspace, tmp_path)
    revoke(workspace, keyid[:12])
    assert workspace.keyring.trust().ever("dpo") == []
    assert [e.body["key"] for e in workspace.ledger.entries("key.revoked")] == [keyid]
    with pytest.raises(UsageError, match="0 keys begin"):
        revoke(workspace, keyid[:12])


def test_the_key_in_use_of_a_duty_is_rotated_before_it_is_revoked(workspace: Workspace) -> None:
    old = workspace.keyring.trust().of("gate")[0].keyid
    with pytest.raises(Refused, match="rotate gate` first"):
        revoke(workspace, old)
    rotate(workspace, "gate")
    revoke(workspace, old)
    assert old not in {key.keyid for key in workspace.keyring.trust().ever("gate")}


REFUSALS = {
    "a duty of the house": ("gate", "asha", "duty of the house"),
    "a name with spaces": ("dpo", "Asha Rao", "lower-case word"),
    "an empty role": ("", "asha", "lower-case word"),
}


@pytest.mark.parametrize(("role", "person", "match"), REFUSALS.values(), ids=REFUSALS.keys())
def test_words_that_name_nobody_are_refused_before_the_ledger_is_told(
    workspace: Workspace, tmp_path: Path, role: str, person: str, match: str
) -> None:
    public = make_key(tmp_path / "some.pem", "dpo")
    with pytest.raises(UsageError, match=match):
        trust_key(workspace, role=role, person=person, public=public)
    assert workspace.ledger.size() == 1


def test_no_more_witnesses_are_required_than_are_trusted(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="1 witnesses were asked for; 0 are trusted"):
        require_witnesses(workspace, 1)
    public = make_key(tmp_path / "w.pem", "witness")
    trust_key(workspace, role="witness", person="university", public=public)
    assert require_witnesses(workspace, 1).profile == "production"
    assert workspace.keyring.trust().witnesses == 1


def test_what_is_remembered_follows_a_rotation_of_root_and_log(workspace: Workspace) -> None:
    memory = workspace.memory
    memory.remember(workspace.ledger, workspace.keyring.trust())
    for role in ("log", "root"):
        rotate(workspace, role)
        memory.remember(workspace.ledger, workspace.keyring.trust())


def test_a_ledger_that_was_written_anew_or_cut_off_is_noticed(
    workspace: Workspace, tmp_path: Path
) -> None:
    memory, ledger = Memory(tmp_path / "memory"), workspace.ledger
    ledger.append("sealed", {"snapshot": "b" * 64})
    memory.remember(ledger, workspace.keyring.trust())
    older = Workspace.at(tmp_path / "older")
    shutil.copytree(workspace.state / "keys", older.state / "keys")
    trust = older.keyring.trust()
    with pytest.raises(Tampered, match=r"memory \(2\): the log is empty; it had 2"):
        memory.check(older.ledger, trust)
    older.ledger.append("sealed", {"snapshot": "a" * 64})
    with pytest.raises(Tampered, match=r"memory \(2\): the log has 1 entries; it had 2"):
        memory.check(older.ledger, trust)
    older.ledger.append("sealed", {"snapshot": "c" * 64})
    with pytest.raises(Tampered, match=r"memory \(3\): The tree of 2"):
        memory.check(older.ledger, trust)
    older.ledger.append("sealed", {"snapshot": "d" * 64})
    with pytest.raises(
        Tampered, match=r"memory \(3\): The tree of 3 does not extend the tree of 2"
    ):
        memory.check(older.ledger, trust)
    memory.forget()
    memory.check(older.ledger, trust)


def test_a_workspace_whose_keys_were_all_made_anew_is_noticed(
    workspace: Workspace, tmp_path: Path
) -> None:
    memory = Memory(tmp_path / "memory")
    memory.remember(workspace.ledger, workspace.keyring.trust())
    stranger = Workspace.at(tmp_path / "stranger")
    with pytest.raises(Tampered, match=r"memory \(1\): The trust file is not signed by a root key"):
        memory.check(stranger.ledger, stranger.keyring.trust())
