"""The heartbeat: a small file, rewritten whole every few seconds, that says a run still goes on.

It beats from the work itself, not from a thread beside it: a run that hangs stops beating.

Does not see: why a run is silent. One long operation, a stopped machine and a killed process look
the same.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from governance.canon import canonical, write_whole
from governance.errors import Tampered
from governance.records import json_object
from training.budget import Deadline
from training.records.record import Bar, Bars

HEARTBEAT_FILE = "heartbeat.json"
PERIOD_S = 5.0
STALE_AFTER = 3  # periods


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """`heartbeat.json`: what a run was doing, and when. Times are seconds since the epoch."""

    at: float
    deadline_at: float
    phase: str
    step: int
    period_s: float

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read a sign of life. Raises Tampered."""
        said = json_object(data, HEARTBEAT_FILE)
        numbers = [said.get(name) for name in ("at", "deadline_at", "step", "period_s")]
        if (
            said.keys() != set(cls.__slots__)
            or not isinstance(said["phase"], str)
            or not all(type(number) in {int, float} for number in numbers)
        ):
            raise Tampered(f"{HEARTBEAT_FILE} is not a sign of life; the run will write it anew.")
        return cls(**said)

    def is_stale(self, now: float) -> bool:
        """Return whether the sign is so old that the run may have stopped."""
        return now - self.at > STALE_AFTER * self.period_s

    def told(self, now: float) -> str:
        """Return the sign in words."""
        age_s, doing = max(0.0, now - self.at), f"{self.phase}, step {self.step:,}"
        if self.is_stale(now):
            return f"no sign of life for {age_s:,.0f} s ({doing})"
        return f"{doing}, seen {age_s:.0f} s ago, {max(0.0, self.deadline_at - now):,.0f} s left"


@dataclass(slots=True, eq=False, kw_only=True)
class Heartbeat:
    """What a run last did, written down when the last writing is old enough."""

    folder: Path
    deadline: Deadline
    phase: str = "starting"
    step: int = 0
    period_s: float = PERIOD_S
    tick: Callable[[], float] = time.monotonic
    due_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Give the first sign."""
        self.write()

    def beat(self, step: int | None = None) -> None:
        """Take note of the step; write it down if that is due."""
        self.step = self.step if step is None else step
        if self.tick() >= self.due_at:
            self.write()

    def enter(self, phase: str) -> None:
        """Say that another phase begins."""
        self.phase = phase
        self.write()

    def write(self) -> None:
        """Write the file anew, whole."""
        self.due_at = self.tick() + self.period_s
        sign = Sign(
            at=self.deadline.clock(),
            deadline_at=self.deadline.at,
            phase=self.phase,
            step=self.step,
            period_s=self.period_s,
        )
        write_whole(self.folder / HEARTBEAT_FILE, canonical(asdict(sign)))

    def watched(self, bars: Bars) -> Bars:
        """Return bars that beat as well: what begins is a phase, and each advance a beat."""

        def begin(what: str, total: int | None) -> Bar:
            bar = bars(what, total)
            self.enter(what)

            def advance(count: int) -> None:
                bar(count)
                self.beat()

            return advance

        return begin
