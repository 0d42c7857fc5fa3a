"""Journals and receipts: lines that survive a kill, and a hash anybody can recompute."""

import hashlib
from pathlib import Path

import pytest

from governance.errors import Tampered, UsageError
from training.records.journal import Journal
from training.records.receipt import Receipt, ReceiptLine

LINE = ReceiptLine(
    step=3,
    first_sample=1,
    last_sample=96,
    receipt="a" * 64,
    checkpoint="b" * 64,
    loss_mean=0.5,
    loss_std=0.1,
    loss_min=0.4,
    loss_max=0.6,
    seconds=1.5,
    joules=15.0,
    joules_low=7.5,
    joules_high=30.0,
    joules_method="estimate",
    joules_source="processor seconds times 10 W, assumed",
    cost_so_far=None,
    currency="",
    processes=2,
)


def test_a_torn_last_line_is_not_read_and_the_next_line_stands_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append({"step": 1, "loss": 0.5})
    with journal.path.open("ab") as stream:
        stream.write(b'{"loss":0.25,"st')
    assert journal.read() == [{"step": 1, "loss": 0.5}]
    journal.rewind(5)
    journal.append({"step": 2, "loss": 0.25}, durable=True)
    assert [line["step"] for line in journal.read()] == [1, 2]


def test_rewinding_drops_what_came_after_the_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step in range(1, 6):
        journal.append({"step": step})
    assert journal.rewind(3) == [{"step": 1}, {"step": 2}, {"step": 3}]
    assert journal.read() == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_a_journal_that_was_never_begun_is_empty(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none.jsonl").read() == []


@pytest.mark.parametrize(
    "line", [b"[1]", b"not json", b'{"loss":1}', b'{"step":"1"}'], ids=["list", "text", "no", "str"]
)
def test_a_line_that_is_not_ours_is_refused(tmp_path: Path, line: bytes) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.path.write_bytes(line + b"\n")
    with pytest.raises((Tampered, UsageError)):
        journal.rewind(9)


def test_a_receipt_is_one_hash_after_the_other() -> None:
    first, second = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    once = hashlib.sha256(bytes(32) + first).digest()
    twice = hashlib.sha256(once + second).digest()
    assert Receipt().extended([first, second]) == Receipt(twice, 2)
    assert Receipt().extended([first]).extended([second]) == Receipt(twice, 2)
    assert Receipt().extended([second, first]).value != twice


def test_a_receipt_line_comes_back_from_its_json() -> None:
    assert ReceiptLine.from_json(LINE.to_json()) == LINE


@pytest.mark.parametrize("change", [{"note": "x"}, {"step": ...}], ids=["added", "missing"])
def test_a_receipt_line_with_other_fields_is_refused(change: dict) -> None:
    record = {key: value for key, value in {**LINE.to_json(), **change}.items() if value != ...}
    with pytest.raises(Tampered):
        ReceiptLine.from_json(record)
