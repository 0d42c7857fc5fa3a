"""Time: deadlines, reserves, and the learning rate as a share of the time."""

import time
from dataclasses import dataclass

import pytest

from training.budget import Deadline, Pace, Reserve, Schedule, billing_clock

WSD = Schedule(warmup_share=0.1, decay_from=0.8)


@dataclass
class Hands:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_deadline_is_the_first_start_plus_the_budget_whatever_the_clock_says() -> None:
    clock = Hands(1000.0)
    deadline = Deadline(started_at=1000.0, budget_s=60.0, clock=clock)
    clock.now = 1045.0
    assert (deadline.at, deadline.time_left()) == (1060.0, 15.0)
    clock.now = 1061.0
    assert deadline.time_left() == -1.0


def test_the_billing_clock_tells_the_time_of_day_and_never_goes_back() -> None:
    clock = billing_clock()
    first, second = clock(), clock()
    assert second >= first
    assert abs(first - time.time()) < 1.0


@pytest.mark.parametrize(
    ("elapsed_share", "lr_share"),
    [(0.05, 0.51), (0.1, 1.0), (0.5, 1.0), (0.79, 1.0), (0.8, 1.0), (0.9, 0.5), (1.0, 0.0)],
)
def test_the_rate_warms_up_stays_and_decays_with_time(
    elapsed_share: float, lr_share: float
) -> None:
    assert WSD.lr_share(elapsed_share) == pytest.approx(lr_share)


def test_the_first_step_learns() -> None:
    assert WSD.lr_share(0.0) > 0.0


@pytest.mark.parametrize("stopped_at", [0.3, 0.7, 1.0])
def test_a_late_resume_goes_on_from_the_rate_it_had_and_never_rises_again(
    stopped_at: float,
) -> None:
    resumed = WSD.resumed(0.9, stopped_at)
    rates = [resumed.lr_share(0.9 + 0.01 * n) for n in range(11)]
    assert rates[0] == pytest.approx(stopped_at)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_a_resume_before_the_decay_keeps_the_schedule() -> None:
    assert WSD.resumed(0.5, 1.0) == WSD


def test_a_run_that_was_down_comes_back_to_the_share_of_time_that_has_gone() -> None:
    clock = Hands(110.0)
    deadline = Deadline(started_at=100.0, budget_s=100.0, clock=clock)
    pace = Pace(deadline=deadline, began_at=110.0, schedule=WSD)
    clock.now = 150.0
    assert pace.elapsed_share(reserve_s=10.0) == pytest.approx(0.5)
    assert pace.window_s(10.0) == 80.0


def test_a_reserve_that_takes_up_the_window_leaves_nothing_to_train() -> None:
    clock = Hands(110.0)
    deadline = Deadline(started_at=100.0, budget_s=100.0, clock=clock)
    assert Pace(deadline=deadline, began_at=110.0, schedule=WSD).elapsed_share(95.0) == 1.0


def test_a_training_that_never_ran_keeps_the_whole_rate_even_when_it_begins_late() -> None:
    clock = Hands(195.0)
    deadline = Deadline(started_at=100.0, budget_s=100.0, clock=clock)
    pace = Pace(deadline=deadline, began_at=100.0, schedule=WSD)
    assert pace.resumed(0.0, lr_share=0.0) == pace
    assert pace.resumed(0.0, lr_share=0.5).schedule.height == 0.5


def test_the_reserve_follows_what_was_measured() -> None:
    guess = Reserve(save_s=1.0, finish_s=10.0)
    assert guess.seconds() == pytest.approx(15.0)
    assert guess.saw_save(4.0).seconds() == pytest.approx(21.0)
    assert guess.saw_save(0.0).save_s == 0.5
    slow = guess.saw_step(2.0)
    assert slow.seconds() == pytest.approx(21.0)
    assert slow.saw_step(0.1).step_s == pytest.approx(1.8)
