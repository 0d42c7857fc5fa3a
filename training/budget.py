"""Time: the deadline, the reserve for finishing, and the learning rate as a share of the time.

The clock is the billing clock: seconds since the epoch, and downtime counts. A run that was killed
comes back to the same deadline.

Does not see: a machine so busy that a measured second no longer says what the next one will cost.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

Clock = Callable[[], float]  # seconds since the epoch

CLOSE_S = 0.5  # the last records: one JSON file, one ledger entry
SPREAD = 1.25  # how much longer than measured finishing may take; scoring gives way beyond it


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What is kept back for finishing: guesses first, then what was measured, in seconds."""

    save_s: float
    finish_s: float
    step_s: float = 0.0

    def seconds(self) -> float:
        """Return the time that training must leave over."""
        return SPREAD * self.finish_s + 2 * self.save_s + 3 * self.step_s + CLOSE_S

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
