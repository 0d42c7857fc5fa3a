"""What proof costs a step of training, and what the gate costs a run.

The real loop trains one model in turns of a few steps: with everything, and with one part of the
proof, or all of it, taken out by handing in what does nothing. Beside that each part's calls are
timed alone, many times over, because a neighbour moves a step by more than proof takes of it.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --rounds 30 --steps 12

Does not see: other processes of a team, whose orders cross a network; packs, whose pictures are
hashed beside the loop, not in it as here; and what a checkpoint takes to write, which is no proof.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from statistics import fmean, median
from typing import ClassVar, Self, cast

from overhead_gate import HOUR_S, Gate, cleared
from prx_measures import ratio, told

from governance.errors import Tampered
from governance.workspace import Workspace
from training.batches import Batch, Batches
from training.budget import Deadline, Order, Pace, Reserve, Schedule, Watch, billing_clock
from training.config import RunConfig, load_preset
from training.data.cleared import ClearedList, Pixels, read_images
from training.data.order import Places
from training.data.samples import ClearedSamples
from training.loop import Surroundings, train
from training.records.heartbeat import PERIOD_S, Heartbeat
from training.records.meters import POLL_S, Meter
from training.records.receipt import in_order
from training.records.record import RunRecord
from training.records.telling import Telling
from training.records.window import Window
from training.saves import Saves
from training.state import Counts, Training
from training.team.parallel import Team, alone
from training.text.tokens import Tokens, make_tokenizer

DAY_S = 86_400.0
BUDGETS_S = {"90 s": 90.0, "24 h": DAY_S}
CALLS = 2000  # of each part alone, in five turns
TURNS = 5
OFTEN = 20
PARTS = ("hashing", "receipts", "meter", "journal", "heartbeat", "orders")


@dataclass(frozen=True, slots=True, eq=False)
class Hashed:
    """Pictures in memory; with each that is read its encoded bytes are hashed, as in a pack."""

    ahead: ClassVar[int] = 0
    pixels: Pixels
    digests: tuple[bytes, ...]
    encoded: tuple[bytes, ...]

    def take(self, places: Sequence[int], *, image_px: int, shape: int) -> Pixels:
        """Return pictures (B, 3, S, S). Raises Tampered."""
        del image_px, shape
        self.check(places)
        return self.pixels[list(places)]

    def only(self, places: Places) -> Self:
        """Return some of them."""
        rows = places.tolist()
        digests, encoded = ([held[row] for row in rows] for held in (self.digests, self.encoded))
        return replace(
            self, pixels=self.pixels[rows], digests=tuple(digests), encoded=tuple(encoded)
        )

    def check(self, places: Sequence[int]) -> None:
        """Hash some pictures. Raises Tampered."""
        for place in places:
            if sha256(self.encoded[place]).digest() != self.digests[place]:
                raise Tampered("A picture has other bytes than were cleared; make the set anew.")


class Unkept:
    """Stands where receipts are collected, and collects none; nor does it ask the meter."""

    def saw(self, batch: Batch, loss: float) -> None:
        """Forget it."""

    def settle(self) -> None:
        """Have nothing to tell."""


class Unread:
    """Stands where the meter is, and reads nothing."""

    def poll(self) -> None:
        """Read nothing."""


class Unasked:
    """Stands where time is asked for: goes on at the whole rate until it is stopped."""

    def order(self, *, stop: bool) -> Order:
        """Return the order."""
        return Order(goes_on=not stop, save=False, lr_share=1.0, elapsed_share=0.5)

    def stepped(self) -> float:
        """Return no seconds."""
        return 0.0


@dataclass(slots=True, eq=False, kw_only=True)
class Proved:
    """One model in training, and everything a run surrounds the loop with."""

    config: RunConfig
    training: Training
    samples: ClearedSamples
    hashed: Hashed
    tokens: Tokens
    telling: Telling
    team: Team
    end_at: int = 0

    def without(self, *left_out: str) -> Surroundings:
        """Return what a run hands to the loop, some parts of the proof taken out."""
        pictures = None if "hashing" in left_out else self.hashed
        samples = replace(self.samples, pictures=pictures)
        return Surroundings(
            config=self.config,
            batches=Batches(config=self.config, samples=samples),
            tokens=self.tokens,
            watch=cast("Watch", Unasked()) if "orders" in left_out else self.watch(),
            team=self.team,
            saves=cast("Saves", Unkept()) if "receipts" in left_out else self.saves(left_out),
            stop=lambda: self.training.counts.step >= self.end_at,
            told=self.told(left_out),
            bar=lambda _: None,
        )

    def watch(self) -> Watch:
        """Return who is asked for the time; no checkpoint is ever due."""
        deadline, schedule = self.telling.deadline, self.config.schedule
        shares = Schedule(warmup_share=schedule.warmup_share, decay_from=1.0 - schedule.decay_share)
        pace = Pace(deadline=deadline, began_at=deadline.started_at, schedule=shares)
        return Watch(pace=pace, reserve=Reserve(save_s=0.0, finish_s=0.0), checkpoint_s=DAY_S)

    def saves(self, left_out: Sequence[str] = ()) -> Saves:
        """Return what takes note of receipts, losses and joules."""
        opened = Meter.open(watts_per_core=self.config.watts_per_core)
        meter = cast("Meter", Unread()) if "meter" in left_out else opened
        return Saves(
            folder=self.telling.folder,
            team=self.team,
            window=Window(meter=meter, began=self.training.counts),
            cost=self.telling.cost,
            tell=lambda *_: None,
            writer=ThreadPoolExecutor(1),  # no thread starts before a save
        )

    def heartbeat(self) -> Heartbeat:
        """Return who gives signs of life."""
        return Heartbeat(folder=self.telling.folder, deadline=self.telling.deadline)

    def told(self, left_out: Sequence[str] = ()) -> Callable[[Counts, float, float], None]:
        """Return what writes each step down, as `Run` does."""
        heartbeat = self.heartbeat()

        def stepped(counts: Counts, loss: float, norm: float) -> None:
            if "journal" not in left_out:
                self.telling.step(counts, loss, norm, stage=0)
            if "heartbeat" not in left_out:
                heartbeat.beat(counts.step)

        return stepped

    def turn(self, around: Surroundings, steps: int) -> tuple[float, float]:
        """Train for some steps; return wall seconds and processor seconds of all threads a step."""
        self.end_at = self.training.counts.step + steps
        wall, busy = time.perf_counter(), time.process_time()
        train(self.training, around)
        return (time.perf_counter() - wall) / steps, (time.process_time() - busy) / steps

    def calls(self) -> dict[str, Callable[[], object]]:
        """Return what each part does at a step."""
        around, counts = self.without(), self.training.counts
        batch = around.batches.after(counts.samples, stage=0)
        places = [place for part in batch.parts.values() for place in part.places]
        journal, heart = self.told(("heartbeat",)), self.told(("journal",))
        unmetered = self.saves(("meter",))
        meter = around.saves.window.meter
        return {
            "hashing": lambda: self.hashed.check(places),
            "receipts": lambda: unmetered.saw(batch, 1.0),
            "meter": meter.poll,
            "journal": lambda: journal(counts, 1.0, 1.0),
            "heartbeat": lambda: heart(counts, 1.0, 1.0),
            "orders": lambda: (around.order(), around.watch.stepped()),
        }

    def checkpoint(self, *, steps: int) -> tuple[float, float]:
        """Return wall seconds of a receipt over so many steps, and of telling it to the ledger."""
        saves, watch = self.saves(), self.watch()
        batch = self.without().batches.after(self.training.counts.samples, stage=0)
        for _ in range(steps):
            saves.saw(batch, 1.0)
        began = time.perf_counter()
        counts = self.training.counts.received(in_order([saves.read.digests], saves.read.due))
        line = saves.window.close(
            counts, energy=saves.window.meter.window(), cost=None, currency=""
        )
        chained = time.perf_counter()
        self.telling.checkpoint(watch, replace(line, checkpoint="0" * 64), 0.0)
        return chained - began, time.perf_counter() - chained


@contextmanager
def ground(preset: str, pictures: int) -> Iterator[tuple[Proved, Gate]]:
    """Yield a training of scenes that were audited and cleared in a workspace made for this."""
    config = load_preset(preset)
    with cleared(config, pictures) as (workspace, gate), alone(config.parts) as team:
        yield _proved(workspace, gate, config=config, team=team), gate


def _proved(workspace: Workspace, gate: Gate, *, config: RunConfig, team: Team) -> Proved:
    decision = workspace.latest_decision()
    snapshot = workspace.snapshot(decision.snapshot)
    listed = ClearedList.read(workspace.decision_folder(decision.id) / "cleared.parquet")
    samples = ClearedSamples.open(
        gate.clearance, listed=listed, snapshot=snapshot, image_px=config.image_px
    )
    read = sorted((place, data) for place, _, data in read_images(listed.rows, snapshot))
    training = Training.fresh(config, make_tokenizer(samples.captions, config.text.vocabulary))
    folder, clock = workspace.runs / "overhead", billing_clock()
    (folder / "checkpoints").mkdir(parents=True)
    record = RunRecord(
        run=folder.name, clearance=gate.clearance.id, started_at=clock(), budget_s=HOUR_S
    )
    return Proved(
        config=config,
        training=training,
        samples=samples,
        hashed=Hashed(samples.pixels, samples.digests, tuple(data for _, data in read)),
        tokens=Tokens.of(samples.captions, training.model.tokenizer, config.text.max_tokens),
        telling=Telling(
            folder=folder,
            record=record,
            envelope=gate.envelope,
            ledger=workspace.ledger,
            deadline=Deadline(started_at=record.started_at, budget_s=HOUR_S, clock=clock),
            config=config,
        ),
        team=team,
    )


def in_turns(proved: Proved, *, rounds: int, steps: int) -> float:
    """Print the loop with everything against it with less; return a step's median by the wall."""
    sides = {"everything": proved.without(), "nothing": proved.without(*PARTS)}
    sides |= {f"no {part}": proved.without(part) for part in PARTS}
    took: dict[str, list[float]] = {name: [] for name in sides}
    wall: list[float] = []
    names = list(sides)
    proved.turn(sides["everything"], steps)  # the first steps are slower
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            by_wall, busy = proved.turn(sides[name], steps)
            took[name].append(busy)
            wall.append(by_wall)
    print(f"{'the loop with':>16}{'CPU ms':>11}   everything against it, in pairs, a step")
    for name, seconds in took.items():
        print(f"{name:>16}{1e3 * median(seconds):>11.2f}", end="   ")
        print(told(ratio(took["everything"], seconds)) if name != "everything" else "")
    print(f"by the wall a step takes {1e3 * median(wall):.2f} ms: what follows is held to that")
    return median(wall)


def alone_by_part(proved: Proved, step_s: float) -> float:
    """Print what each part takes at a step, called alone; return the sum."""
    total_s = 0.0
    print(
        f"\n{'calls alone':>16}{'us a step':>11}{'of a step':>12}   least to most of {TURNS} turns"
    )
    for name, call in proved.calls().items():
        turns = [_each(call) for _ in range(TURNS)]
        total_s += median(turns)
        print(f"{name:>16}{1e6 * median(turns):>11.1f}{median(turns) / step_s:>12.3%}", end="   ")
        print(f"{1e6 * min(turns):.1f} to {1e6 * max(turns):.1f}")
    print(f"{'all':>16}{1e6 * total_s:>11.1f}{total_s / step_s:>12.3%}")
    return total_s


def now_and_then(proved: Proved, *, steps: int) -> float:
    """Print what is done once in a while, by the wall, and return its share of the time."""
    receipts = [proved.checkpoint(steps=steps) for _ in range(OFTEN)]
    saves, heart = proved.saves(), proved.heartbeat()
    every_s = proved.config.schedule.checkpoint_s
    rows = {
        f"receipt of {steps} steps": (every_s, [chained for chained, _ in receipts]),
        "receipt told": (every_s, [written for _, written in receipts]),
        "heartbeat written": (PERIOD_S, [_once(heart.write) for _ in range(OFTEN)]),
        "meter read": (POLL_S, [_once(saves.window.meter.window) for _ in range(OFTEN)]),
    }
    print(f"\n{'now and then':>24}{'ms':>8}{'every s':>9}{'of the time':>13}")
    for name, (period_s, took) in rows.items():
        share = median(took) / period_s
        print(f"{name:>24}{1e3 * median(took):>8.2f}{period_s:>9g}{share:>13.3%}")
    return sum(median(took) / period_s for period_s, took in rows.values())


def _once(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _each(call: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - began) / CALLS


def main() -> None:
    """Print the tables, with what they were measured on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="micro")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    asked = parser.parse_args()
    print(f"torch {version('torch')}, Python {platform.python_version()}, {platform.machine()}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; processor time; ", end="")
    print(f"{asked.preset}, {asked.pictures:,} scenes, turns of {asked.steps} steps")
    with ground(asked.preset, asked.pictures) as (proved, gate):
        mean = fmean(map(len, proved.hashed.encoded))
        print(f"{len(proved.samples):,} cleared, {mean:,.0f} bytes a picture\n")
        step_s = in_turns(proved, rounds=asked.rounds, steps=asked.steps)
        proof_s = alone_by_part(proved, step_s)
        steps = max(1, int(proved.config.schedule.checkpoint_s / step_s))
        share = now_and_then(proved, steps=steps)
    print(f"in all: {proof_s / step_s + share:.2%} of a step (target: at most 1 %)")
    print("\nthe gate, once a run, wall seconds")
    for what, seconds in gate.took_s.items():
        print(f"{seconds:>9.3f}  {what}")
    whole_s = sum(gate.took_s.values())
    shares = (f"{whole_s / budget:.3%} of {named}" for named, budget in BUDGETS_S.items())
    print(f"{whole_s:>9.3f}  in all: {', '.join(shares)}")


if __name__ == "__main__":
    main()
