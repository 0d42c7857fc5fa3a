"""The heartbeat: a file that says what a run does, as long as it does something."""

from pathlib import Path

import pytest

from governance.canon import canonical, parse_json
from governance.errors import Tampered
from training.budget import Deadline
from training.records.heartbeat import HEARTBEAT_FILE, STALE_AFTER, Heartbeat, Sign
from training.records.record import quiet


class Clock:
    """Seconds that pass when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heartbeat(tmp_path: Path, clock: Clock) -> Heartbeat:
    deadline = Deadline(started_at=1000.0, budget_s=60.0, clock=clock)
    return Heartbeat(folder=tmp_path, deadline=deadline, period_s=5.0, tick=clock)


def sign(folder: Path) -> Sign:
    return Sign.read((folder / HEARTBEAT_FILE).read_bytes())


def test_a_beat_is_written_once_a_period_and_whole(tmp_path, heartbeat, clock) -> None:
    for step in range(1, 101):
        clock.now = 1000.0 + step / 10
        heartbeat.beat(step)
        assert sign(tmp_path).step == step // 50 * 50
    assert [path.name for path in tmp_path.iterdir()] == [HEARTBEAT_FILE]
    assert sign(tmp_path) == Sign(
        at=1010.0, deadline_at=1060.0, phase="starting", step=100, period_s=5.0
    )


def test_what_a_run_tells_its_bars_is_a_phase_and_keeps_it_alive(tmp_path, heartbeat, clock):
    shown = []
    bars = heartbeat.watched(lambda what, total: lambda count: shown.append((what, total, count)))
    bar = bars("reading", 9)
    assert sign(tmp_path).phase == "reading"
    clock.now += 6.0
    bar(4)
    assert shown == [("reading", 9, 4)]
    assert sign(tmp_path).at == clock.now
    heartbeat.beat(3)
    bars("drawing", None)
    assert (sign(tmp_path).phase, sign(tmp_path).step) == ("drawing", 3)


def test_a_sign_is_stale_after_three_periods(heartbeat, tmp_path, clock) -> None:
    heartbeat.enter("training")
    last, limit_s = sign(tmp_path), STALE_AFTER * 5.0
    assert limit_s == 15.0
    assert not last.is_stale(clock.now + limit_s)
    assert last.is_stale(clock.now + limit_s + 0.1)
    assert last.told(clock.now + 4) == "training, step 0, seen 4 s ago, 56 s left"
    assert last.told(clock.now + 75) == "no sign of life for 75 s (training, step 0)"


@pytest.mark.parametrize(
    "change",
    [{"step": ...}, {"note": 1}, {"phase": 3}, {"at": "now"}, {"at": None}, {"period_s": True}],
    ids=["missing", "added", "phase", "text", "none", "true"],
)
def test_a_file_that_is_no_sign_is_refused(heartbeat, tmp_path, change: dict) -> None:
    said = {**parse_json((tmp_path / HEARTBEAT_FILE).read_bytes()), **change}
    data = canonical({key: value for key, value in said.items() if value is not ...})
    with pytest.raises(Tampered, match=HEARTBEAT_FILE):
        Sign.read(data)


def test_a_run_that_ended_says_so(finished) -> None:
    last = sign(finished.run)
    assert (last.phase, last.step) == ("ended", finished.result.steps)
    assert last.deadline_at == pytest.approx(1_764_500_400.0 + 12.0)


def test_a_run_tells_the_step_it_is_at_while_it_trains(house, tiny) -> None:
    folder, seen = house.workspace.runs / "run-1", []

    def bars(what: str, total: int | None):
        if what == "drawing":  # its first act writes the file
            seen.append(sign(folder))
        return quiet(what, total)

    house.start(house.envelope(tiny, 12.0), tiny, 12.0, bars=bars)
    assert seen[0].phase == "training"
