"""The door to training: each attack changes one thing, and is refused with its own word."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from governance.canon import canonical, file_sha256, parse_json, sha256
from governance.clearance import Terms, issue, revoke, revoked_in
from governance.errors import Refused, Tampered, UsageError
from governance.signers.keys import Keyring
from governance.snapshot import write_table
from governance.statements import payload_of, signed_by
from training import checkpoint
from training.records.record import RunRecord
from training.start import host_class

BUDGET_S = 12.0


def test_a_clearance_is_used_once(finished) -> None:
    house, other = finished.house, finished.house.workspace.runs / "run-2"
    with pytest.raises(Refused, match=r"clearance \(5\)"):
        house.start(finished.envelope, finished.config, BUDGET_S, folder=other)
    assert not other.exists()


def test_a_finished_run_cannot_be_started_again(finished) -> None:
    with pytest.raises(Refused, match="is over"):
        finished.house.start(finished.envelope, finished.config, BUDGET_S)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (1, {"trust": "stranger"}),
        (2, {"cleared": "edited"}),
        (3, {"config": "other"}),
        (4, {"budget_s": BUDGET_S + 1}),
        (6, {"clock": lambda: 2e9}),
    ],
    ids=["stranger's key", "other samples", "other config", "longer budget", "expired"],
)
def test_each_check_refuses_before_anything_is_written(
    house, tiny, run, tmp_path, check, change
) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    if change.get("trust"):
        change = {"trust": Keyring(tmp_path / "stranger").trust()}
    if change.get("cleared"):
        write_table(tmp_path / "edited.parquet", pq.read_table(house.cleared).slice(1))
        change = {"cleared": tmp_path / "edited.parquet"}
    if change.get("config"):
        change = {"config": replace(tiny, seed=1)}
    arguments = {"config": tiny, "budget_s": BUDGET_S, **change}
    with pytest.raises(Refused, match=rf"clearance \({check}\)"):
        house.start(envelope, **arguments)
    assert not run.exists()
    assert [entry.kind for entry in house.workspace.ledger.entries()] == ["cleared"]


def test_a_clearance_that_was_revoked_is_refused(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    revoke(house.workspace.ledger, sha256(payload_of(envelope)))
    with pytest.raises(Refused, match=r"clearance \(7\)"):
        house.start(envelope, tiny, BUDGET_S)
    assert not run.exists()


def test_a_clearance_that_the_ledger_was_never_told_of_is_refused(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S, told=False)
    with pytest.raises(Refused, match=r"clearance \(8\): The ledger was never told"):
        house.start(envelope, tiny, BUDGET_S)
    assert not run.exists()


def test_a_ledger_that_is_not_the_one_seen_before_is_refused(house, tiny, run, tmp_path) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.workspace.memory.remember(house.workspace.ledger, house.workspace.keyring.trust())
    state = house.workspace.state
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (state / name).unlink(missing_ok=True)
    clearance = sha256(payload_of(envelope))
    house.workspace.ledger.append("cleared", {"clearance": clearance})  # by who has every key
    with pytest.raises(Tampered, match="memory"):
        house.start(envelope, tiny, BUDGET_S)
    assert not run.exists()


@pytest.mark.parametrize("which", ["the clearance", "the gate's key"])
def test_a_run_whose_clearance_is_revoked_stops_at_its_next_checkpoint(
    house, tiny, run, which
) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    ledger = house.workspace.ledger

    def bars(what: str, _total: int | None):
        def bar(_count: int) -> None:
            if what == "training" and not revoked_in(ledger):
                if which == "the clearance":
                    revoke(ledger, sha256(payload_of(envelope)))
                else:
                    ledger.append("key.revoked", {"key": signed_by(envelope)})

        return bar

    with pytest.raises(Refused, match=r"was revoked while the run went on.*weights are sealed"):
        house.start(envelope, tiny, BUDGET_S, bars=bars)
    assert RunRecord.read(run).state == "halted"
    assert house.told("run.halted") == [{"run": "run-1"}]
    assert len(house.told("run.checkpoint")) == 1
    assert not (run / "pipeline").exists()
    assert checkpoint.latest_step(run) is None
    with pytest.raises(Refused, match=r"clearance \(7\)"):
        house.start(envelope, tiny, BUDGET_S)


def test_a_clearance_for_another_kind_of_host_is_refused(house, tiny, run) -> None:
    terms = Terms(run_config=tiny.digest, budget_s=BUDGET_S, host="gpu farm")
    assert host_class() != terms.host
    when = datetime.fromtimestamp(house.clock.now, UTC)
    signer = house.workspace.keyring.signer("gate")
    envelope = issue(house.decision(), terms=terms, signer=signer, now=when)
    with pytest.raises(Refused, match=r"clearance \(4\)"):
        house.start(envelope, tiny, BUDGET_S)


@pytest.mark.parametrize("budget_s", [1.0, 2.1])
def test_a_budget_that_leaves_no_time_is_refused_before_the_clearance_is_spent(
    house, tiny, budget_s
) -> None:
    with pytest.raises(UsageError, match="no time to train"):
        house.start(house.envelope(tiny, budget_s), tiny, budget_s)
    assert house.workspace.ledger.spent() == {}


def test_a_start_in_the_future_is_refused(house, tiny) -> None:
    with pytest.raises(UsageError, match="future"):
        house.start(house.envelope(tiny, BUDGET_S), tiny, BUDGET_S, started_at=house.clock.now + 60)


@pytest.mark.parametrize(
    "change",
    [{"started_at": 1_764_500_401.0}, {"budget_s": 11.0}],
    ids=["a later start", "another budget"],
)
def test_a_run_record_that_moves_the_deadline_is_refused(house, tiny, run, change) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=10)
    replace(RunRecord.read(run), **change).write(run)
    with pytest.raises(Tampered, match="not what the ledger was told"):
        house.start(envelope, tiny, BUDGET_S)


def test_a_run_whose_record_is_gone_gets_no_second_budget(house, tiny, run) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=10)
    (run / "run.json").unlink()
    with pytest.raises(Refused, match=r"clearance \(5\)"):
        house.start(envelope, tiny, BUDGET_S, started_at=house.clock.now)


def test_a_run_is_resumed_under_its_own_clearance_only(house, tiny, run) -> None:
    house.stopped(tiny, house.envelope(tiny, BUDGET_S), BUDGET_S, at_step=10)
    with pytest.raises(Refused, match="another clearance"):
        house.start(house.envelope(tiny, BUDGET_S), tiny, BUDGET_S)


def _edited_receipt(run: Path) -> None:
    path = run / "receipts.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"receipt":"', b'"receipt":"0', 1))


def _no_receipts(run: Path) -> None:
    (run / "receipts.jsonl").unlink()


def _edited_weights(run: Path) -> None:
    path = checkpoint.folder_of(run, checkpoint.latest_step(run)) / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _vouched_weights(run: Path) -> None:
    """Edit the weights, and write their new digest into the receipts as well."""
    _edited_weights(run)
    folder = checkpoint.folder_of(run, checkpoint.latest_step(run))
    from governance.canon import digest  # noqa: PLC0415

    new = digest({name: file_sha256(folder / name) for name in checkpoint.FILES})
    written = (run / "receipts.jsonl").read_bytes().splitlines()
    lines = [dict(parse_json(line)) for line in written]
    lines[-1]["checkpoint"] = new
    (run / "receipts.jsonl").write_bytes(b"".join(canonical(line) + b"\n" for line in lines))


def _other_run(run: Path) -> None:
    replace(RunRecord.read(run), run="run-0").write(run)


def _last_receipt_dropped(run: Path) -> None:
    lines = (run / "receipts.jsonl").read_bytes().splitlines(keepends=True)
    (run / "receipts.jsonl").write_bytes(b"".join(lines[:-1]))


@pytest.mark.parametrize(
    "attack",
    [
        _edited_receipt,
        _no_receipts,
        _last_receipt_dropped,
        _edited_weights,
        _vouched_weights,
        _other_run,
    ],
)
def test_what_was_altered_while_the_run_was_down_is_found(house, tiny, run, attack) -> None:
    envelope = house.envelope(tiny, BUDGET_S)
    house.stopped(tiny, envelope, BUDGET_S, at_step=20)
    attack(run)
    with pytest.raises(Tampered):
        house.start(envelope, tiny, BUDGET_S)
    assert house.told("run.finished") == []
