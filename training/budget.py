"""Time: the deadline, the reserve for finishing, and the learning rate as a share of the time.

The clock is the billing clock: seconds since the epoch, and downtime counts. A run that was killed
comes back to the same deadline. Every step and every save is measured, so the plan is made anew
before each step.

Does not see: a machine so busy that a measured second no longer says what the next one will cost.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

Clock = Callable[[], float]  # seconds since the epoch

CLOSE_S = 0.5  # the last records: one JSON file, one ledger entry
SPREAD = 1.25  # how much longer than measured may take what must be finished
SCORE_SPREAD = 1.1  # and scoring, which gives way: it stops between pictures when time runs out


def billing_clock() -> Clock:
    """Return a clock that starts at the time of day and never goes back within a process."""
    ahead_s = time.time() - time.monotonic()
    return lambda: ahead_s + time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a run must be over: the first start plus the budget, whatever happened in between."""

    started_at: float
    budget_s: float
    clock: Clock

    @property
    def at(self) -> float:
        """Return the deadline in seconds since the epoch."""
        return self.started_at + self.budget_s

    def time_left(self) -> float:
        """Return the seconds until the deadline; negative after it."""
        return self.at - self.clock()

    def leaves_room(self, chunk_s: float) -> bool:
        """Return whether a chunk of scoring that takes so long fits, and one more after it."""
        return self.time_left() >= CLOSE_S + 2 * SPREAD * chunk_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What is kept back for finishing: guesses first, then what was measured, in seconds.

    `finish_s` is what must be done, `score_s` what gives way when there is no time for it.
    """

    save_s: float
    finish_s: float
    score_s: float = 0.0
    step_s: float = 0.0

    def seconds(self) -> float:
        """Return the time that training must leave over."""
        finish_s = SPREAD * self.finish_s + SCORE_SPREAD * self.score_s
        return finish_s + 2 * self.save_s + 3 * self.step_s + CLOSE_S

    def least_s(self) -> float:
        """Return the time without which not even what must be done would be done."""
        return SPREAD * self.finish_s + CLOSE_S

    def saw_save(self, seconds: float) -> Self:
        """Return the reserve after a checkpoint took so long."""
        return replace(self, save_s=max(seconds, self.save_s / 2))

    def saw_step(self, seconds: float) -> Self:
        """Return the reserve after a step took so long: slow steps are forgotten slowly."""
        return replace(self, step_s=max(seconds, 0.9 * self.step_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Warm-up, stable, decay: the learning rate as a share of its peak.

    `decay_from` is where the decay begins and `height` how high it begins there; a late resume
    moves both, so that the rate goes on from where it was and never rises again.
    """

    warmup_share: float
    decay_from: float
    height: float = 1.0

    def lr_share(self, elapsed_share: float) -> float:
        """Return the share of the peak rate after this share (0..1) of the training time."""
        if elapsed_share >= self.decay_from:
            left = max(0.0, 1.0 - elapsed_share)
            return self.height * left / max(1.0 - self.decay_from, 1e-9)
        return min(1.0, (elapsed_share + 1e-3) / max(self.warmup_share, 1e-9))

    def resumed(self, elapsed_share: float, lr_share: float) -> Self:
        """Return the schedule of a run that comes back here, having stopped at `lr_share`."""
        if elapsed_share < self.decay_from:
            return self
        return replace(self, decay_from=elapsed_share, height=lr_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The training window and the rate within it, as one question asked at each step."""

    deadline: Deadline
    began_at: float
    schedule: Schedule

    def window_s(self, reserve_s: float) -> float:
        """Return how long training may last in all; nothing where the reserve takes it up."""
        return max(0.0, self.deadline.at - reserve_s - self.began_at)

    def elapsed_share(self, reserve_s: float) -> float:
        """Return which share (0..1) of the time for training has gone."""
        gone_s, window_s = self.deadline.clock() - self.began_at, self.window_s(reserve_s)
        return min(1.0, max(0.0, gone_s / window_s)) if window_s else 1.0

    def resumed(self, reserve_s: float, lr_share: float) -> Self:
        """Return the pace of a run that comes back and stopped at `lr_share`, 0 if it never ran."""
        if not lr_share:
            return self
        schedule = self.schedule.resumed(self.elapsed_share(reserve_s), lr_share)
        return replace(self, schedule=schedule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do next: go on or end, save first or step, at which rate and share of the time."""

    goes_on: bool
    save: bool
    lr_share: float
    elapsed_share: float


@dataclass(slots=True, eq=False, kw_only=True)
class Watch:
    """The time of a loop: asked before each step, told after each step and each save.

    The share of time that has gone never falls, though the reserve does after a slow step: so the
    rate, once it decays, never rises.
    """

    pace: Pace
    reserve: Reserve
    checkpoint_s: float
    elapsed_share: float = 0.0
    steps: int = 0
    write_s: float = 0.0  # what a save goes on for beside training; the last one is waited for
    began_at: float = field(init=False)
    now: float = field(init=False)
    saved_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin to measure."""
        self.began_at = self.now = self.saved_at = self.pace.deadline.clock()

    def goes_on(self) -> bool:
        """Return whether there is time for another step."""
        return self.pace.deadline.time_left() > self.reserve.seconds()

    def lr_share(self) -> float:
        """Return the share of the peak rate for the step that begins now."""
        share = self.pace.elapsed_share(self.reserve.seconds())
        self.elapsed_share = max(self.elapsed_share, share)
        return self.pace.schedule.lr_share(self.elapsed_share)

    def order(self, *, stop: bool) -> Order:
        """Return what to do next; `stop` is whether somebody asked to end."""
        if stop or not self.goes_on():
            return Order(goes_on=False, save=False, lr_share=0.0, elapsed_share=self.elapsed_share)
        lr_share = self.lr_share()
        return Order(
            goes_on=True,
            save=self.save_due(),
            lr_share=lr_share,
            elapsed_share=self.elapsed_share,
        )

    def stepped(self) -> float:
        """Return the seconds of the step that ended now."""
        began, self.now = self.now, self.pace.deadline.clock()
        self.reserve, self.steps = self.reserve.saw_step(self.now - began), self.steps + 1
        return self.now - began

    def save_due(self) -> bool:
        """Return whether the last checkpoint is old enough for another."""
        return self.now - self.saved_at >= self.checkpoint_s

    def saved(self) -> None:
        """Take note that what began after the last step, a save, has ended."""
        began, self.now = self.now, self.pace.deadline.clock()
        self.saved_at = self.now
        self.reserve = self.reserve.saw_save(self.now - began + self.write_s)

    def wrote(self, seconds: float) -> None:
        """Take note of how long a save went on beside training."""
        self.write_s = seconds
        self.reserve = self.reserve.saw_save(seconds)

    def steps_left(self) -> float:
        """Return how many more steps there will be if they go on as since the watch began."""
        left_s = self.pace.deadline.at - self.reserve.seconds() - self.now
        return max(0.0, left_s * self.steps / max(self.now - self.began_at, 1e-9))
