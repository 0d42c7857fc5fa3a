"""The deadline over many runs: never late, little unused, and the rate never rises again."""

import os
import signal
import time
from dataclasses import replace

import deadlines
import pytest

from governance.canon import parse_json
from governance.errors import PramanaError
from training.budget import CLOSE_S, Deadline, Pace, Reserve, Schedule, Watch
from training.config import load_preset
from training.records.record import RunRecord

LONG = ("20 minutes to 2 hours", "2 to 24 hours")


@pytest.fixture(scope="module")
def ended() -> list[deadlines.Ended]:
    spans = [deadlines.GROUPS[name] for name in LONG]
    return [deadlines.simulate(seed, *spans[seed % 2]) for seed in range(100)]


def test_a_hundred_runs_end_in_time_and_leave_at_most_a_hundredth(ended) -> None:
    print(deadlines.table("20 minutes to 24 hours", ended))  # noqa: T201  pytest -s shows it
    finished = [end for end in ended if end.state == "finished"]
    assert len(finished) >= 95
    assert sum(end.kills for end in finished) >= 100
    assert not [end for end in ended if end.state == "late"]
    assert all(0 <= end.unused_share <= 0.01 for end in finished)


def test_after_warming_up_the_rate_never_rises_whatever_happened(ended) -> None:
    assert not [end for end in ended if deadlines.rises(end.rates)]
    assert deadlines.rises(((0.1, 1.0), (0.9, 0.4), (0.91, 0.5)))


def test_early_on_the_steps_are_forecast_within_a_tenth(ended) -> None:
    off = [end.forecast_error for end in ended if end.forecast_error is not None]
    assert len(off) >= 20
    assert max(off) <= 0.10


def test_runs_of_a_minute_are_in_time_too() -> None:
    short = deadlines.GROUPS["1 to 3 minutes"]
    minutes = [deadlines.simulate(seed, *short) for seed in range(1000, 1040)]
    finished = [end for end in minutes if end.state == "finished"]
    assert not [end for end in minutes if end.state == "late"]
    assert max(end.unused_share for end in finished) <= 0.02  # half a second is for the records


class Hands:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _watch(clock: Hands, **reserve: float) -> Watch:
    deadline = Deadline(started_at=0.0, budget_s=100.0, clock=clock)
    schedule = Schedule(warmup_share=0.02, decay_from=0.5)
    pace = Pace(deadline=deadline, began_at=0.0, schedule=schedule)
    kept = Reserve(**{"save_s": 0.0, "finish_s": 0.0, **reserve})
    return Watch(pace=pace, reserve=kept, checkpoint_s=10.0)


def test_a_slow_step_that_is_forgotten_does_not_lift_the_rate() -> None:
    clock, rates = Hands(), []
    watch = _watch(clock)
    clock.now = 60.0
    for took in (9.0, *[0.1] * 30):
        clock.now += took
        watch.stepped()
        rates.append(watch.lr_share())
    assert rates == sorted(rates, reverse=True)
    shares = [watch.pace.elapsed_share(watch.reserve.seconds()), watch.elapsed_share]
    assert shares[0] < shares[1]  # the reserve shrank, and time alone would have gone back


def test_the_watch_goes_on_until_only_the_reserve_is_left() -> None:
    clock = Hands()
    watch = _watch(clock, finish_s=8.0, score_s=10.0)
    left_s = 1.25 * 8.0 + 1.1 * 10.0 + CLOSE_S
    clock.now = 100.0 - left_s - 0.01
    assert watch.goes_on()
    clock.now = 100.0 - left_s + 0.01
    assert not watch.goes_on()


def test_saves_are_due_by_the_clock_and_their_seconds_are_kept() -> None:
    clock = Hands()
    watch = _watch(clock)
    clock.now = 9.0
    watch.stepped()
    assert not watch.save_due()
    clock.now = 10.0
    watch.stepped()
    assert watch.save_due()
    clock.now = 13.0
    watch.saved()
    assert (watch.reserve.save_s, watch.save_due()) == (3.0, False)
    clock.now = 14.0
    assert watch.stepped() == 1.0  # the save is not part of the next step


def test_what_a_save_writes_beside_training_is_kept_for_the_last_one_that_is_waited_for() -> None:
    clock = Hands()
    watch = _watch(clock)
    clock.now = 0.5
    watch.saved()
    assert watch.reserve.save_s == 0.5
    watch.wrote(2.0)
    assert watch.reserve.save_s == 2.0
    clock.now = 0.75
    watch.saved()
    assert watch.reserve.save_s == 2.25


def test_steps_to_come_are_forecast_from_those_that_were() -> None:
    clock = Hands()
    watch = _watch(clock)
    assert watch.steps_left() == 0.0
    for second in range(1, 21):
        clock.now = float(second)
        watch.stepped()
    assert watch.steps_left() == pytest.approx(80.0 - 3.0 - CLOSE_S)


@pytest.mark.parametrize(("left_s", "fits"), [(3.1, True), (2.9, False)])
def test_scoring_gives_way_when_a_chunk_and_its_follower_do_not_fit(left_s, fits) -> None:
    clock = Hands()
    clock.now = 100.0 - left_s
    assert Deadline(started_at=0.0, budget_s=100.0, clock=clock).leaves_room(1.0) is fits


class Stopping:
    """Bars that ask the run to stop once so many steps were made, and count rehearsals."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at = stop_at

    def __call__(self, what: str, total: int | None):
        count = 0

        def advance(_: int) -> None:
            nonlocal count
            count += 1
            if what == "training" and count == self.stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

        return advance


def test_a_run_that_comes_back_with_little_time_does_not_guess(house, tiny) -> None:
    """A guess that is ten times too long would end the run where it came back."""
    budget_s, run = 40.0, house.workspace.runs / "run-1"
    guessing = replace(tiny, schedule=replace(tiny.schedule, finish_guess_s=10.0))
    envelope = house.envelope(guessing, budget_s)
    with pytest.raises(PramanaError, match="asked to stop"):
        house.start(envelope, guessing, budget_s, bars=Stopping(20))
    kept = RunRecord.read(run).reserve
    assert 0 < kept.seconds() < 5.0
    house.clock.now = RunRecord.read(run).started_at + budget_s - 10.0
    before = RunRecord.read(run).steps_expected
    result = house.start(envelope, guessing, budget_s)
    assert result.state == "finished"
    assert result.steps > 30
    assert 0 <= result.margin_s < 3.0
    assert before > 50  # what it expected before it was down
    assert parse_json((run / "evaluation.json").read_bytes())["seconds_per_picture"] > 0


def test_a_run_that_comes_back_too_late_to_export_is_closed_in_time(house, tiny) -> None:
    budget_s, run = 40.0, house.workspace.runs / "run-1"
    envelope = house.envelope(tiny, budget_s)
    with pytest.raises(PramanaError, match="asked to stop"):
        house.start(envelope, tiny, budget_s, bars=Stopping(5))
    record = RunRecord.read(run)
    needed_s = record.setup_s + record.reserve.least_s()
    house.clock.now = record.started_at + budget_s - needed_s
    with pytest.raises(PramanaError, match="closed as expired"):
        house.start(envelope, tiny, budget_s)
    assert house.clock.now < record.started_at + budget_s


@pytest.mark.slow
def test_a_real_minute_ends_in_time_and_most_of_it_was_used(house) -> None:
    """Wide slack: whoever else is on the machine takes from the last second."""
    budget_s, micro = 60.0, load_preset("micro")
    began_at = time.time()
    envelope = house.envelope(micro, budget_s, now=began_at)
    result = house.start(envelope, micro, budget_s, started_at=began_at, clock=None)
    assert time.time() <= began_at + budget_s
    assert (result.state, result.steps > 50) == ("finished", True)
    assert 0 <= result.margin_s <= 0.1 * budget_s
