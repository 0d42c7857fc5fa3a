"""The ledger: nothing lost, nothing doubled, nothing edited without notice."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from governance import merkle
from governance.errors import Refused, Tampered
from governance.keys import Keyring
from governance.ledger import Ledger
from governance.note import open_note


def _ledger(folder: Path) -> Ledger:
    keyring = Keyring(folder / "keys")
    keys = tuple(keyring.trust().of("log"))
    return Ledger(folder / "ledger.db", keys, lambda: keyring.signer("log"))


def _append_many(folder: str, who: int, count: int) -> None:
    ledger = _ledger(Path(folder))
    for number in range(count):
        ledger.append("test", {"who": who, "number": number})


def test_each_append_leaves_a_signed_checkpoint_of_the_whole_tree(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    for number in range(20):
        ledger.append("test", {"number": number})
        checkpoint = open_note(ledger.note(), ledger.keys)
        assert (checkpoint.size, checkpoint.root) == (number + 1, merkle.root(ledger.leaves()))
    assert ledger.verify().size == 20


def test_four_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    _ledger(tmp_path)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_append_many, args=(str(tmp_path), who, 40)) for who in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    ledger = _ledger(tmp_path)
    assert ledger.verify().size == 160
    said = {(e.body["who"], e.body["number"]) for e in ledger.entries()}
    assert said == {(who, number) for who in range(4) for number in range(40)}


@pytest.mark.slow
def test_killing_the_writer_again_and_again_leaves_a_whole_ledger(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    here = Path(__file__).parent
    code = f"import sys; sys.path.insert(0, {str(here)!r}); import test_ledger as t; "
    for round_ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", f"{code}t._append_many({str(tmp_path)!r}, {round_}, 10**6)"]
        )
        size = len(ledger.leaves())
        while len(ledger.leaves()) < size + 5:
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert ledger.verify().size == len(ledger.leaves()) >= 30


ATTACKS = {
    "edit": ["UPDATE entries SET leaf = CAST(replace(leaf, 'st', 'ts') AS BLOB) WHERE number = 1"],
    "edit into text": ["UPDATE entries SET leaf = '{}' WHERE number = 1"],
    "delete": ["DELETE FROM entries WHERE number = 1"],
    "delete with its head": [
        "DELETE FROM entries WHERE number = 1", "DELETE FROM heads WHERE size = 2",
    ],
    "swap": [
        "UPDATE entries SET number = 99 WHERE number = 1",
        "UPDATE entries SET number = 1 WHERE number = 2",
        "UPDATE entries SET number = 2 WHERE number = 99",
    ],
    "another note": ["UPDATE heads SET note = (SELECT note FROM heads WHERE size = 1)"],
    "forget a spent clearance": ["DELETE FROM spent"],
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_editing_the_file_is_noticed(tmp_path: Path, attack: list[str]) -> None:
    ledger = _ledger(tmp_path)
    for number in range(4):
        ledger.append("test", {"number": number})
    ledger.spend("c" * 64, "run")
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        for name, _ in database.execute(
            "SELECT name, 1 FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for sentence in attack:
            database.execute(sentence)
    database.close()
    with pytest.raises(Tampered):
        ledger.verify()


@pytest.mark.parametrize("verb", ["UPDATE entries SET leaf = ''", "DELETE FROM heads"])
def test_the_database_itself_forbids_editing(tmp_path: Path, verb: str) -> None:
    ledger = _ledger(tmp_path)
    ledger.append("test", {})
    database = sqlite3.connect(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute(verb)
    database.close()


def test_a_clearance_is_spent_once_and_the_act_is_recorded_with_it(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    ledger.spend("c" * 64, "first")
    with pytest.raises(Refused, match="used before"):
        ledger.spend("c" * 64, "second")
    assert ledger.spent() == {"c" * 64: "first"}
    assert [entry.kind for entry in ledger.entries()] == ["clearance.spent"]


def test_a_checkpoint_of_a_stranger_is_not_believed(tmp_path: Path) -> None:
    ledger, stranger = _ledger(tmp_path), _ledger(tmp_path / "stranger")
    stranger.append("test", {})
    with pytest.raises(Tampered, match="no signature of a log key"):
        open_note(stranger.note(), ledger.keys)


def test_a_damaged_file_is_called_damaged(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    ledger.append("test", {})
    (tmp_path / "ledger.db").write_bytes(b"not a database at all" * 500)
    (tmp_path / "ledger.db-wal").unlink(missing_ok=True)
    with pytest.raises(Tampered, match="damaged"):
        ledger.verify()
