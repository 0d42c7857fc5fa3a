"""Rights: clocks run from the day somebody asked; keys of what was withdrawn are erased."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rightful import NOON, House, image_of, row_of

from governance.canon import file_sha256
from governance.cases import open_cases
from governance.errors import UsageError
from governance.rights.clocks import LAW, clock_lines, due_on
from governance.rights.requests import Request, withdraw
from governance.sealing.release import erased
from governance.sealing.sealed import NewKeys, read_keys
from governance.snapshot import (
    MANIFEST,
    Shard,
    Snapshot,
    seal,
)
from governance.workspace import Workspace


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.at(tmp_path)


@pytest.mark.parametrize(
    ("received", "days", "due", "said"),
    [
        (date(2026, 11, 23), 0, date(2026, 12, 23), "GDPR Art. 12(3)"),
        (date(2026, 1, 31), 0, date(2026, 2, 28), "GDPR Art. 12(3)"),
        (date(2028, 1, 31), 0, date(2028, 2, 29), "GDPR Art. 12(3)"),
        (date(2026, 12, 31), 0, date(2027, 1, 31), "GDPR Art. 12(3)"),
        (date(2026, 11, 23), 10, date(2026, 12, 3), "10 days, our choice"),
        (date(2026, 11, 23), 90, date(2026, 12, 23), "GDPR Art. 12(3)"),
    ],
    ids=["a month", "a short month", "a leap year", "over the year", "own choice", "own is longer"],
)
def test_an_answer_is_due_at_the_earliest_of_all_clocks(
    received: date, days: int, due: date, said: str
) -> None:
    day, clock = due_on(received, days)
    assert day == due
    assert said in clock


@pytest.mark.parametrize("days", [-1, 366])
def test_a_choice_of_days_that_is_none_is_refused(days: int) -> None:
    with pytest.raises(UsageError, match="rights_days"):
        due_on(date(2026, 11, 23), days)


def test_what_is_not_in_force_yet_is_said_so() -> None:
    (gdpr, rule), after = LAW, date(2027, 5, 13)
    lines = list(clock_lines(date(2026, 11, 23)))
    assert [gdpr.source in lines[0], "in force, where" in lines[0]] == [True, True]
    assert [rule.source in lines[1], "from 2027-05-13" in lines[1]] == [True, True]
    assert "in force" in list(clock_lines(after))[1]


def test_the_task_is_due_by_the_operators_own_choice(house: House) -> None:
    (house.workspace.folder / "pramana.toml").write_text("rights_days = 7\n")
    (made,) = house.withdraw(samples=("c",)).withdrawals
    assert (made.due_on, made.clock) == ("2026-11-30", "rights_days: 7 days, our choice")


PICTURES = [f"picture {number}".encode() for number in range(4)]


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[Workspace, Snapshot]:
    """A workspace with an encrypted snapshot of four pictures."""
    workspace = Workspace.at(tmp_path / "encrypted")
    new = NewKeys(workspace.data_keys)
    path = workspace.snapshots / ".incoming" / "shards" / "0.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"cell": [new.encrypted(picture) for picture in PICTURES]}), path)
    shard = Shard(
        path="shards/0.parquet", sha256=file_sha256(path), size_bytes=path.stat().st_size,
        rows=len(PICTURES), column="cell", encrypted=True,
    )  # fmt: skip
    rows = pa.Table.from_pylist([row_of(f"id{n}", n) for n in range(4)], MANIFEST)
    snapshot = seal(
        workspace.snapshots, rows=rows, shards=[shard], sources=["x"], appearing=new.kept
    )
    workspace.ledger.append("sealed", {"snapshot": snapshot.root, "samples": 4})
    return workspace, snapshot


def _suspect(workspace: Workspace, snapshot: Snapshot, image: int) -> None:
    row = {
        "id": "x", "sha256": image_of(image), "shard": 0, "row": 0, "suspected": True,
        "suspected_by": "CS-01 a list",
    }  # fmt: skip
    open_cases(workspace.ledger, pa.Table.from_pylist([row]), snapshot=snapshot.root)


def test_withdrawing_an_encrypted_sample_erases_its_key_and_no_other(
    encrypted: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = encrypted
    answer = withdraw(workspace, Request(images=(image_of(1), image_of(2))), now=NOON)
    assert (answer.erased, answer.preserved) == (2, 0)
    assert set(read_keys(workspace.data_keys, snapshot.root).digests()) == {
        image_of(0),
        image_of(3),
    }
    assert erased(workspace.ledger, snapshot.root) == {image_of(1), image_of(2)}
    assert withdraw(workspace, Request(images=(image_of(1),)), now=NOON).erased == 0


def test_keys_are_kept_where_a_law_asks_to_preserve(
    encrypted: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = encrypted
    answer = withdraw(workspace, Request(images=(image_of(1),)), now=NOON, keep_keys=True)
    assert (answer.is_new, answer.erased) == (True, 0)
    assert image_of(1) in read_keys(workspace.data_keys, snapshot.root).digests()


def test_the_key_of_a_suspected_picture_is_never_erased(
    encrypted: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = encrypted
    _suspect(workspace, snapshot, 1)
    answer = withdraw(workspace, Request(images=(image_of(1), image_of(2))), now=NOON)
    assert (answer.erased, answer.preserved) == (1, 1)
    assert image_of(1) in read_keys(workspace.data_keys, snapshot.root).digests()


def test_keys_that_a_kill_left_behind_are_erased_by_the_same_again(
    encrypted: tuple[Workspace, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, snapshot = encrypted

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("governance.rights.requests.erase", killed)
    with pytest.raises(KeyboardInterrupt):
        withdraw(workspace, Request(images=(image_of(1),)), now=NOON)
    monkeypatch.undo()
    assert image_of(1) in read_keys(workspace.data_keys, snapshot.root).digests()
    answer = withdraw(workspace, Request(images=(image_of(1),)), now=NOON)
    assert (answer.is_new, answer.erased) == (False, 1)
