"""The ledger: nothing lost, nothing doubled, nothing edited without notice, in either database."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.signers.keys import Keyring
from governance.trail import merkle, tables
from governance.trail.ledger import Ledger, copy
from governance.trail.note import open_note

FILLED = (tables.entries, tables.heads, tables.cosignatures, tables.spent)


def test_each_append_leaves_a_signed_checkpoint_of_the_whole_tree(ledger: Ledger) -> None:
    for number in range(20):
        ledger.append("test", {"number": number})
        checkpoint = open_note(ledger.note(), ledger.keys)
        assert (checkpoint.size, checkpoint.root) == (number + 1, merkle.root(ledger.leaves()))
        assert ledger.note(number + 1) == ledger.note()
    assert ledger.verify() == checkpoint
    assert ledger.size() == 20


def test_a_new_ledger_is_an_empty_one(ledger: Ledger) -> None:
    assert (ledger.note(), ledger.entries(), ledger.size()) == ("", [], 0)
    head = ledger.verify()
    assert (head.origin, head.size, head.root) == (ledger.origin, 0, merkle.EMPTY_ROOT)


def test_an_act_is_read_back_as_it_was_told_in_utc(ledger: Ledger) -> None:
    told = ledger.append("test", {"share": 0.5, "ids": ["a", "é"], "nothing": None})
    assert ledger.entry(0) == told
    assert (told.number, told.at) == (0, "2026-11-23T09:30:17.123+00:00")
    assert ledger.leaf(0) == told.leaf()
    with pytest.raises(EvidenceMissing, match="has 1 entries and none numbered 1"):
        ledger.entry(1)


def test_acts_that_come_together_have_one_head(filled: Ledger) -> None:
    assert [entry.number for entry in filled.entries("batch")] == [4, 5, 6]
    assert [entry.kind for entry in filled.entries()] == ["test"] * 4 + ["batch"] * 3 + [
        "clearance.spent"
    ]
    with pytest.raises(EvidenceMissing, match="no checkpoint of size 6"):
        filled.note(6)
    with pytest.raises(UsageError, match="No act was given"):
        filled.append_many([])


def test_any_proof_from_the_database_is_the_proof_from_all_leaves(ledger: Ledger) -> None:
    ledger.append_many(("test", {"number": number}) for number in range(21))
    tree = merkle.Tree.of(ledger.leaves())
    for size in range(1, 22):
        assert ledger.root(size) == merkle.root_of(tree.node, size)
        for number in (0, size // 2, size - 1):
            path = merkle.inclusion_proof(tree.node, number, size)
            assert ledger.inclusion(number, size) == path
        for old in (1, (size + 1) // 2, size):
            assert ledger.consistency(old, size) == merkle.consistency_proof(tree.node, old, size)
    assert ledger.root(0) == merkle.EMPTY_ROOT


@pytest.mark.parametrize(
    "ask",
    [
        lambda ledger: ledger.root(9),
        lambda ledger: ledger.inclusion(0, 9),
        lambda ledger: ledger.inclusion(8, 8),
        lambda ledger: ledger.inclusion(-1, 8),
        lambda ledger: ledger.consistency(0, 8),
        lambda ledger: ledger.consistency(8, 9),
        lambda ledger: ledger.consistency(8, 7),
    ],
)
def test_of_a_tree_that_is_not_there_nothing_is_proved(
    filled: Ledger, ask: Callable[[Ledger], object]
) -> None:
    with pytest.raises(EvidenceMissing):
        ask(filled)


def test_a_clearance_is_spent_once_and_the_act_is_recorded_with_it(ledger: Ledger) -> None:
    ledger.spend("c" * 64, "first")
    for clearance, run in (("c" * 64, "second"), ("d" * 64, "first")):
        with pytest.raises(Refused, match="used before"):
            ledger.spend(clearance, run)
    assert ledger.spent() == {"c" * 64: "first"}
    assert [entry.kind for entry in ledger.entries()] == ["clearance.spent"]
    assert ledger.verify().size == 1


def test_an_act_whose_row_breaks_a_constraint_leaves_neither(filled: Ledger) -> None:
    rows = [
        tables.spent.insert().values(clearance="d" * 64, run="other"),
        tables.spent.insert().values(clearance="c" * 64, run="again"),
    ]
    with pytest.raises(exc.IntegrityError):
        filled.append("test", {}, rows=rows)
    assert filled.verify().size == 8
    assert filled.spent() == {"c" * 64: "run"}


def test_a_fault_while_signing_leaves_neither(ledger: Ledger, url: str) -> None:
    class Broken:
        public_key = ledger.keys[0]

        def sign(self, data: bytes) -> object:
            raise OSError("the key service does not answer")

    row = tables.spent.insert().values(clearance="c" * 64, run="run")
    with pytest.raises(OSError, match="does not answer"):
        Ledger(url, ledger.origin, ledger.keys, Broken).append("test", {}, rows=[row])
    assert (ledger.entries(), ledger.spent(), ledger.verify().size) == ([], {}, 0)


def test_a_cosignature_stands_beside_its_head_and_the_first_one_stays(filled: Ledger) -> None:
    filled.add_cosignature(7, "another", "\u2014 another c2lnbmF0dXJl")
    *_, first, second = filled.note(7).splitlines()
    assert (first, second) == ("\u2014 another c2lnbmF0dXJl", "\u2014 witness c2lnbmF0dXJl")
    assert open_note(filled.note(7), filled.keys).size == 7
    assert "witness" not in filled.note()
    assert (filled.cosigned(), filled.cosigned(2), filled.cosigned(3)) == ([7], [7], [])
    for size, witness in ((7, "witness"), (6, "witness")):
        with pytest.raises(Refused, match="no such checkpoint"):
            filled.add_cosignature(size, witness, "\u2014 witness b3RoZXI=")
    for line in ("witness c2lnbmF0dXJl", "\u2014 a b\n\u2014 c d"):
        with pytest.raises(UsageError, match="one line of a signed note"):
            filled.add_cosignature(8, "witness", line)
    assert filled.verify().size == 8


def test_a_ledger_goes_on_under_a_new_log_key(filled: Ledger, url: str, tmp_path: Path) -> None:
    signer = Keyring(tmp_path / "new").signer("log")
    turned = Ledger(url, filled.origin, (*filled.keys, signer.public_key), lambda: signer)
    turned.append("key.rotated", {})
    assert turned.verify().size == 9
    assert Ledger(url, filled.origin, (signer.public_key,), filled.signer).verify().size == 9
    with pytest.raises(Tampered, match="signature of a"):
        filled.verify()


def test_another_ledgers_name_is_not_believed(filled: Ledger, url: str) -> None:
    other = Ledger(url, "elsewhere/ledger", filled.keys, filled.signer)
    with pytest.raises(Tampered, match="not of the ledger elsewhere/ledger"):
        other.verify()
    with pytest.raises(Tampered, match="not of the ledger elsewhere/ledger"):
        other.append("test", {})


def test_a_copy_in_the_other_database_has_the_same_head_and_every_row(
    filled: Ledger, ledger_at: Callable[[str], Ledger], other_url: str
) -> None:
    other = ledger_at(other_url)
    head = copy(filled, other)
    assert other.verify() == head == filled.verify()
    with filled.reading() as source, other.reading() as target:
        for table in tables.TABLES.sorted_tables:
            query = sa.select(table).order_by(*table.primary_key.columns)
            rows = source.execute(query).all()
            assert rows or table not in FILLED
            assert target.execute(query).all() == rows
    other.append("test", {})
    assert other.verify().size == 9
    for to in (other, filled):
        with pytest.raises(Refused, match="not empty"):
            copy(filled, to)


def test_a_copy_that_would_not_verify_is_not_made(
    filled: Ledger, ledger_at: Callable[[str], Ledger], other_url: str
) -> None:
    for origin, keys in ((filled.origin, ()), ("elsewhere/ledger", filled.keys)):
        with pytest.raises(Tampered):
            copy(filled, Ledger(other_url, origin, keys, filled.signer))
    assert ledger_at(other_url).size() == 0
