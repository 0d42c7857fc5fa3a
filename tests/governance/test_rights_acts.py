"""Rights: a withdrawal is one act, and all that follows from it is done, and done once."""

from pathlib import Path

import pyarrow as pa
import pytest
from rightful import FIRST, NOON, House, decided, image_of, row_of, sealed

from governance.canon import canonical
from governance.clearance import check_standing, read_clearance, revoked_in
from governance.errors import EvidenceMissing, Refused, Tampered, UsageError
from governance.rights.requests import Request, close, withdraw
from governance.rights.withdrawals import (
    FLAGGED,
    WITHDRAWN,
    check_not_withdrawn,
    checks,
    for_card,
    standing,
    withdrawals,
)
from governance.statements import payload_of
from governance.workspace import Workspace


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.at(tmp_path)


def test_the_act_and_all_that_follows_are_one_transaction(house: House) -> None:
    house.clear(house.decision, "run-1")
    size = house.workspace.ledger.size()
    house.withdraw(samples=("c",))
    kinds = [entry.kind for entry in house.workspace.ledger.entries()[size:]]
    assert kinds == [WITHDRAWN, FLAGGED, "clearance.revoked"]
    for inner in (size + 1, size + 2):
        with pytest.raises(EvidenceMissing):
            house.workspace.ledger.note(inner)
    house.workspace.ledger.verify()


def test_runs_that_had_it_are_flagged_and_those_that_go_on_are_stopped(house: House) -> None:
    other = decided(
        house.workspace, house.first, house.first.manifest().filter(
            pa.array([name == "f" for name in house.first.manifest()["id"].to_pylist()])
        ),
    )  # fmt: skip
    ended = house.clear(house.decision, "run-ended", ended="run.finished")
    going = house.clear(house.decision, "run-going")
    unused = house.clear(house.decision)
    apart = house.clear(other, "run-apart")
    (made,) = house.withdraw(samples=("c",)).withdrawals
    assert house.told(FLAGGED) == [
        {"run": "run-ended", "record": made.record}, {"run": "run-going", "record": made.record},
    ]  # fmt: skip
    ledger = house.workspace.ledger
    for envelope, stops in ((ended, False), (going, True), (unused, True), (apart, False)):
        assert (read_clearance(payload_of(envelope)).id in revoked_in(ledger)) is stops
    with pytest.raises(Refused, match="revoked"):
        check_standing(going, ledger, NOON)
    check_standing(apart, ledger, NOON)


def test_a_run_whose_cleared_list_is_gone_is_not_let_off(house: House) -> None:
    house.clear(house.decision, "run-1", ended="run.finished")
    (house.workspace.decision_folder(house.decision.id) / "cleared.parquet").unlink()
    house.withdraw(samples=("b",))
    assert [flag["run"] for flag in house.told(FLAGGED)] == ["run-1"]


def test_a_withdrawal_whose_consequences_are_missing_is_completed_by_the_same_again(
    house: House,
) -> None:
    (made,) = house.withdraw(samples=("c",)).withdrawals
    house.clear(house.decision, "run-1")  # it came between the search and the act
    assert not house.told(FLAGGED)
    assert not house.withdraw(samples=("c",)).is_new
    assert house.told(FLAGGED) == [{"run": "run-1", "record": made.record}]
    assert len(house.told("clearance.revoked")) == 1


def test_a_record_that_was_kept_before_a_kill_is_taken_up_again(house: House) -> None:
    (made,) = house.withdraw(samples=("c",)).withdrawals
    record = house.workspace.load(made.record, "a record")
    other = Workspace.at(house.workspace.folder / "other")
    sealed(other, FIRST)
    other.store(record)  # and killed before the ledger was told
    assert not withdrawals(other)
    answer = withdraw(other, Request(samples=("c",)), now=NOON)
    assert (answer.is_new, answer.withdrawals[0].record) == (True, made.record)


CLEARED: dict[str, tuple[dict, bool]] = {
    "an image of it": ({"samples": ("c",)}, True),
    "a person of it": ({"subjects": ("P7",)}, True),
    "an image of another snapshot": ({"samples": ("g",)}, False),
}


@pytest.mark.parametrize(("named", "refused"), CLEARED.values(), ids=CLEARED.keys())
def test_what_was_cleared_before_is_refused_until_it_is_audited_again(
    house: House, named: dict, *, refused: bool
) -> None:
    check_not_withdrawn(house.workspace, house.decision)
    house.withdraw(**named)
    if not refused:
        check_not_withdrawn(house.workspace, house.decision)
        return
    with pytest.raises(Refused, match=r"1 of the samples.*audit"):
        check_not_withdrawn(house.workspace, house.decision)


def test_a_snapshot_sealed_while_somebody_withdrew_is_refused_by_source_and_person(
    house: House,
) -> None:
    house.withdraw(subjects=("Asha Rao",), sources=("two.parquet",))
    rows = [row_of("z", 60, extra='{"subject":"Asha Rao"}'), row_of("y", 61, source="two.parquet")]
    raced = sealed(house.workspace, rows)
    with pytest.raises(Refused, match="2 of the samples"):
        check_not_withdrawn(house.workspace, decided(house.workspace, raced, raced.manifest()))


def test_a_card_is_told_of_the_images_its_run_had_and_of_no_other(house: House) -> None:
    (made,) = house.withdraw(images=(image_of(3), image_of(9))).withdrawals
    house.withdraw(images=(image_of(10),))
    cleared = house.first.manifest()["sha256"].to_pylist()
    assert for_card(house.workspace, cleared) == [
        {
            "at": made.at, "record": made.record, "samples": 1, "digests": [image_of(3)],
            "task": made.task,
        }
    ]  # fmt: skip
    canonical(for_card(house.workspace, cleared))


def test_verification_lists_withdrawals_and_notices_an_altered_record(house: House) -> None:
    house.clear(house.decision, "run-1", ended="run.finished")
    (made,) = house.withdraw(samples=("c",)).withdrawals
    ((label, act),) = checks(house.workspace)
    assert label == f"withdrawal {made.task}: pictures 1; flags the card of run-1"
    act()
    path = next((house.workspace.state / "objects").rglob(made.record))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(image_of(3).encode(), image_of(9).encode()))
    with pytest.raises(Tampered, match="altered"):
        act()
    with pytest.raises(Tampered):
        check_not_withdrawn(house.workspace, house.decision)  # fails closed


def test_a_record_of_other_samples_than_the_ledger_was_told_is_tampered(house: House) -> None:
    (made,) = house.withdraw(samples=("c",)).withdrawals
    house.workspace.ledger.append(WITHDRAWN, {"record": made.record, "images": 2, "subjects": []})
    with pytest.raises(Tampered, match="other samples"):
        [act() for _, act in checks(house.workspace)]


def test_a_task_is_closed_by_a_person_with_a_note_and_the_samples_stay_out(house: House) -> None:
    (made,) = house.withdraw(samples=("c",)).withdrawals
    closed = close(house.workspace, made.task, by="B. Sen", note="told the person")
    assert withdrawals(house.workspace) == [closed]
    assert closed.closing is not None
    assert (closed.closing.by, closed.closing.note) == ("B. Sen", "told the person")
    assert "Sen" not in b"".join(house.workspace.ledger.leaves()).decode()
    assert standing(house.workspace).covers(row_of("z", 3))


CLOSINGS: dict[str, dict[str, str]] = {
    "nobody": {"by": " "},
    "no note": {"note": ""},
    "hostile note": {"note": "\u202e"},
    "another task": {"prefix": "0" * 12},
    "too few digits": {"prefix": ""},
}


@pytest.mark.parametrize("change", CLOSINGS.values(), ids=CLOSINGS.keys())
def test_a_task_is_not_closed_by_halves(house: House, change: dict[str, str]) -> None:
    (made,) = house.withdraw(samples=("c",)).withdrawals
    said = {"prefix": made.task, "by": "B. Sen", "note": "done", **change}
    with pytest.raises(UsageError):
        close(house.workspace, said.pop("prefix"), **said)


def test_a_closed_task_is_not_closed_again(house: House) -> None:
    (made,) = house.withdraw(samples=("c",)).withdrawals
    close(house.workspace, made.task, by="B. Sen", note="done")
    with pytest.raises(UsageError, match="0 open tasks"):
        close(house.workspace, made.task, by="B. Sen", note="done")
