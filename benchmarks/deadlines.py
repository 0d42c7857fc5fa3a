"""Deadlines held over simulated runs: how often late, and how much of the budget is left unused.

Drives the timing code of the real loop (`training.budget`: deadline, reserve, pace, watch) against
a clock that is made here, through kills, requests to stop, downtime, and steps, saves and finishes
whose seconds scatter. Nothing is trained.

    python benchmarks/deadlines.py --runs 2000
"""

import argparse
import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from statistics import median

from training.budget import CLOSE_S, Deadline, Pace, Reserve, Schedule, Watch

DAY_S, HOUR_S, MINUTE_S = 86_400.0, 3600.0, 60.0
GROUPS = {  # seconds of budget; the shortest is the preset `micro` on two busy cores
    "1 to 3 minutes": (MINUTE_S, 3 * MINUTE_S),
    "20 minutes to 2 hours": (20 * MINUTE_S, 2 * HOUR_S),
    "2 to 24 hours": (2 * HOUR_S, DAY_S),
}
SCHEDULE = Schedule(warmup_share=0.02, decay_from=0.78)
FORECAST_AT = 0.02  # of the budget; told at the first checkpoint after it
INTERRUPTIONS = (0, 0, 1, 1, 2, 4)  # of a run, each as likely
ASKED_SHARE = 0.3  # of interruptions that only ask to stop; the others kill
STALL_SHARE, STALLED = 0.002, 6.0  # of steps that take several times as long


class Killed(Exception):  # noqa: N818  what happens to the run, not a fault of ours
    """The process is gone; the machine is down for a while."""


@dataclass(slots=True, eq=False)
class Machine:
    """A clock, and what happens to the process at moments that it does not know."""

    dice: Random
    kills: list[tuple[float, bool]]  # when, and whether it was only asked to stop
    now: float = 0.0
    asked: bool = False

    def clock(self) -> float:
        """Return the seconds since the first start."""
        return self.now

    def takes(self, seconds: float, *, scatter: float = 0.0) -> None:
        """Let about so many seconds pass. Raises Killed when the process does not see their end."""
        end = self.now + seconds * math.exp(self.dice.gauss(0.0, scatter))
        while self.kills and self.kills[0][0] <= end:
            at, only_asked = self.kills.pop(0)
            if only_asked:
                self.asked = True
                continue
            self.now = max(self.now, at)
            raise Killed
        self.now = end


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What things take on average on this machine, in seconds."""

    setup_s: float
    step_s: float
    save_s: float
    export_s: float
    chunk_s: float
    chunks: int
    checkpoint_s: float
    close_s: float


@dataclass(slots=True, eq=False, kw_only=True)
class Life:
    """What of a run survives its process: what `run.json` and the checkpoint keep."""

    began_at: float = 0.0
    setup_s: float = 0.0
    reserve: Reserve | None = None
    rates: list[tuple[float, float]] = field(default_factory=list)  # (share of time, of the rate)
    saved: int = 0
    expected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a simulated run ended. `rates` are those of the steps that its weights have seen."""

    state: str
    budget_s: float
    margin_s: float
    kills: int
    drawn_share: float
    forecast_error: float | None
    rates: tuple[tuple[float, float], ...]

    @property
    def unused_share(self) -> float:
        """Return the share of the budget that was left at the end."""
        return self.margin_s / self.budget_s


def simulate(seed: int, shortest_s: float, longest_s: float) -> Ended:
    """Return how a run of a random budget on a random machine ends."""
    dice = Random(seed)  # noqa: S311  no secret
    budget_s = math.exp(dice.uniform(math.log(shortest_s), math.log(longest_s)))
    costs = _costs(dice, budget_s)
    count = dice.choice(INTERRUPTIONS)
    kills = sorted((dice.uniform(0, budget_s), dice.random() < ASKED_SHARE) for _ in range(count))
    machine = Machine(dice, list(kills))
    deadline = Deadline(started_at=0.0, budget_s=budget_s, clock=machine.clock)
    life, state, drawn = Life(), "", 0.0
    while not state:
        try:
            state, drawn = _process(machine, costs, deadline, life)
        except Killed:
            del life.rates[life.saved :]
        if not state:
            machine.now += dice.expovariate(1 / (0.01 * budget_s))
    went_on = not kills and life.expected
    return Ended(
        state=state,
        budget_s=budget_s,
        margin_s=deadline.time_left(),
        kills=len(kills),
        drawn_share=drawn,
        forecast_error=abs(life.expected / len(life.rates) - 1) if went_on else None,
        rates=tuple(life.rates),
    )


def _costs(dice: Random, budget_s: float) -> Costs:
    chunks = dice.randint(4, 40)
    return Costs(
        setup_s=budget_s * dice.uniform(0.001, 0.01),
        step_s=budget_s / math.exp(dice.uniform(math.log(3000), math.log(15_000))),
        save_s=budget_s * dice.uniform(0.0002, 0.001),
        export_s=budget_s * dice.uniform(0.0005, 0.004),
        chunk_s=budget_s * dice.uniform(0.002, 0.02) / chunks,
        chunks=chunks,
        checkpoint_s=budget_s / dice.uniform(20, 60),
        close_s=dice.uniform(0.05, 0.5 * CLOSE_S),
    )


def _process(machine: Machine, costs: Costs, deadline: Deadline, life: Life) -> tuple[str, float]:
    """Live as one process does, in the order of `training.run`; '' when it was asked to stop.

    Returns the state of the run, and the share of the pictures that were drawn.
    """
    machine.asked = False
    came_at, guess = machine.now, Reserve(save_s=costs.save_s, finish_s=4 * costs.export_s)
    if deadline.time_left() <= life.setup_s + (life.reserve or guess).least_s():
        return "expired", 0.0
    machine.takes(costs.setup_s, scatter=0.05)
    setup_s = machine.now - came_at
    reserve = life.reserve or _rehearsed(machine, costs, guess)
    if not life.began_at:
        life.began_at, life.setup_s, life.reserve = machine.now, setup_s, reserve
    pace = Pace(deadline=deadline, began_at=life.began_at, schedule=SCHEDULE)
    before = life.rates[-1][1] if life.rates else 0.0
    pace = pace.resumed(reserve.seconds(), before)
    watch = Watch(pace=pace, reserve=reserve, checkpoint_s=costs.checkpoint_s)
    _train(machine, costs, watch, life)
    if machine.asked:
        return "", 0.0
    drawn = _finish(machine, costs, deadline)
    return ("finished" if deadline.time_left() >= 0 else "late"), drawn


def _rehearsed(machine: Machine, costs: Costs, guess: Reserve) -> Reserve:
    """Measure an export and a chunk, as `Finishing.rehearse` does."""
    began = machine.now
    machine.takes(costs.export_s, scatter=0.08)
    export_s, began = machine.now - began, machine.now
    machine.takes(0.1 * costs.chunk_s, scatter=0.08)
    chunk_s = 10 * (machine.now - began)
    return replace(guess, finish_s=export_s + 2 * chunk_s, score_s=(costs.chunks - 1) * chunk_s)


def _train(machine: Machine, costs: Costs, watch: Watch, life: Life) -> None:
    while watch.goes_on() and not machine.asked:
        rate = watch.lr_share()
        stalled = STALLED if machine.dice.random() < STALL_SHARE else 1.0
        machine.takes(stalled * costs.step_s, scatter=0.1)
        watch.stepped()
        life.rates.append((watch.elapsed_share, rate))
        if watch.save_due():
            _save(machine, costs, watch, life)
            watch.saved()
    if len(life.rates) > life.saved:
        _save(machine, costs, watch, life)


def _save(machine: Machine, costs: Costs, watch: Watch, life: Life) -> None:
    machine.takes(costs.save_s, scatter=0.2)
    life.saved, life.reserve = len(life.rates), watch.reserve
    if not life.expected and machine.now >= FORECAST_AT * watch.pace.deadline.budget_s:
        life.expected = len(life.rates) + int(watch.steps_left())


def _finish(machine: Machine, costs: Costs, deadline: Deadline) -> float:
    """Export, draw for as long as there is time, score: in the order of `Finishing.complete`."""
    machine.takes(costs.export_s, scatter=0.08)
    slowest_s, drawn = 0.0, 0
    while drawn < costs.chunks and (not drawn or deadline.leaves_room(slowest_s)):
        began = machine.now
        machine.takes(costs.chunk_s, scatter=0.08)
        slowest_s, drawn = max(slowest_s, machine.now - began), drawn + 1
    machine.takes(costs.chunk_s, scatter=0.08)
    machine.takes(costs.close_s)
    return drawn / costs.chunks


def rises(rates: tuple[tuple[float, float], ...]) -> bool:
    """Return whether the rate ever rises once the time of warming up is over."""
    after = [rate for share, rate in rates if share >= SCHEDULE.warmup_share]
    return any(later > earlier + 1e-12 for earlier, later in pairwise(after))


def table(name: str, ended: list[Ended]) -> str:
    """Return the lines of one group of budgets."""
    finished = [end for end in ended if end.state == "finished"]
    unused = sorted(100 * end.unused_share for end in finished)
    forecasts = [100 * e.forecast_error for e in finished if e.forecast_error is not None]
    return (
        f"{name}: {len(ended)} runs, {sum(e.kills for e in ended)} interruptions\n"
        f"  late {sum(e.state == 'late' for e in ended)}, finished {len(finished)}, "
        f"down too long {sum(e.state == 'expired' for e in ended)}\n"
        f"  unused, % of the budget: median {median(unused):.2f}, worst {unused[-1]:.2f}\n"
        f"  pictures drawn, % of those wanted: median "
        f"{100 * median(e.drawn_share for e in finished):.0f}, least "
        f"{100 * min(e.drawn_share for e in finished):.0f}\n"
        f"  forecast of steps, first checkpoint after 2 %, % off: median {median(forecasts):.1f}, "
        f"worst {max(forecasts):.1f} ({len(forecasts)} runs without interruption)\n"
        f"  rate rose after warming up: {sum(rises(e.rates) for e in ended)}"
    )


def main() -> None:
    """Print the table of every group."""
    parser = argparse.ArgumentParser(description="Hold deadlines over simulated runs.")
    parser.add_argument("--runs", type=int, default=300, help="of each group")
    runs = parser.parse_args().runs
    for first, (name, (shortest_s, longest_s)) in enumerate(GROUPS.items()):
        seeds = range(first * runs, (first + 1) * runs)
        print(table(name, [simulate(seed, shortest_s, longest_s) for seed in seeds]))


if __name__ == "__main__":
    main()
