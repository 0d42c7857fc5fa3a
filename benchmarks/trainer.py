"""Our trainer against a plain diffusers and accelerate loop, in one process, slice by slice.

Both train the same model from the same weights on the same pictures with the same batch, rate,
objective and moving average, a slice of seconds each in turn, who begins changing every time. Ours
is the real loop with receipts, journal, meter and heartbeat. The peer gets OpenMP as it comes, and
as many threads as are fastest for it here; ours does not use OpenMP. On CUDA accelerate places the
peer and does its mixed precision, where the preset has bf16. Both train with AdamW, whatever the
preset says, and on one size of pictures, without teachers.

The peer's samples and noise come in another order, as a plain loop draws them, so errors at equal
seconds are of single seeds.

    python benchmarks/trainer.py --rounds 10 --slice-s 2       # the table
    python benchmarks/trainer.py --curve --seconds 90          # scenes drawn right, by seconds
    python benchmarks/trainer.py --device cuda --preset h200_20m --compile
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import cast

import numpy as np
import torch
from torch import Tensor
from trainer_plain import Plain

from governance.errors import UsageError
from training.batches import Batches
from training.budget import Deadline, Pace, Reserve, Schedule, Watch
from training.compiling import through_blocks
from training.compute import accelerators, has_bf16
from training.config import RunConfig, load_preset
from training.data.samples import ClearedSamples
from training.evaluate.heldout import ALL, error_by_time, scene_scores, unseen_scenes
from training.evaluate.scenes import caption, every_scene, oracle, render
from training.loop import Surroundings, train
from training.muon import Muon
from training.records.heartbeat import Heartbeat
from training.records.journal import Journal
from training.records.meters import Meter
from training.records.window import Window
from training.sample import draw
from training.saves import Saves
from training.state import Counts, Training
from training.team.parallel import ALONE, Team, alone, device_name, device_of
from training.text.tokens import Tokens, make_tokenizer

PICTURES, UNSEEN = 4096, 64
PACKAGES = ("torch", "diffusers", "accelerate", "transformers")
ENDLESS = 10 * 365 * 86_400.0  # seconds


@dataclass(slots=True, eq=False)
class Paused:
    """A clock that stands still while something is looked at."""

    lost_s: float = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return time.perf_counter() - self.lost_s

    def look(self, at: Callable[[], float]) -> float:
        """Return what is seen, in no time."""
        began = time.perf_counter()
        seen = at()
        self.lost_s += time.perf_counter() - began
        return seen


def pictures(config: RunConfig) -> ClearedSamples:
    """Return scenes with captions; the last combinations never occur."""
    dice, scenes = np.random.default_rng(config.seed), every_scene()
    seen = [scenes[i] for i in np.random.default_rng(0).permutation(len(scenes))[:-UNSEEN]]
    rows = [seen[number % len(seen)] for number in range(PICTURES)]
    pixels = np.stack([np.asarray(render(scene, config.image_px, dice)) for scene in rows])
    return ClearedSamples(
        np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)),
        tuple(sha256(picture.tobytes()).digest() for picture in pixels),
        tuple(caption(scene) for scene in rows),
    )


@dataclass(slots=True, eq=False, kw_only=True)
class Ours:
    """The real loop, for a stretch of seconds at a time."""

    config: RunConfig
    training: Training
    samples: ClearedSamples
    folder: Path
    team: Team
    clock: Callable[[], float] = time.perf_counter
    budget_s: float = ENDLESS
    around: Surroundings = field(init=False)
    end_at: float = 0.0

    def __post_init__(self) -> None:
        """Surround the loop with what a run surrounds it with."""
        config, began = self.config, self.clock()
        deadline = Deadline(started_at=began, budget_s=self.budget_s, clock=self.clock)
        schedule = Schedule(
            warmup_share=config.schedule.warmup_share,
            decay_from=1.0 - config.schedule.decay_share,
        )
        reserve = Reserve(save_s=0.0, finish_s=0.0)
        heartbeat = Heartbeat(folder=self.folder, deadline=deadline)
        self.around = Surroundings(
            config=config,
            batches=Batches(config=config, samples=self.samples),
            tokens=Tokens.of(
                self.samples.captions, self.training.model.tokenizer, config.text.max_tokens
            ),
            watch=Watch(
                pace=Pace(deadline=deadline, began_at=began, schedule=schedule),
                reserve=reserve,
                checkpoint_s=ENDLESS,
            ),
            team=self.team,
            saves=self._saves(),
            stop=lambda: self.clock() >= self.end_at,
            told=partial(self._told, Journal(self.folder / "metrics.jsonl"), heartbeat),
            bar=lambda _: None,
        )

    def _saves(self) -> Saves:
        """Return what takes note of receipts and joules; no checkpoint is ever due."""
        meter = Meter.open(
            watts_per_core=self.config.watts_per_core, accelerators=accelerators(self.config)
        )
        return Saves(
            folder=self.folder,
            team=self.team,
            window=Window(meter=meter, began=self.training.counts),
            cost=lambda: (None, ""),
            tell=lambda *_: None,
            writer=ThreadPoolExecutor(1),  # no thread starts before a save
        )

    def _told(
        self, metrics: Journal, heartbeat: Heartbeat, counts: Counts, loss: float, norm: float
    ) -> None:
        """Write a step down, as a run does."""
        metrics.append(counts.line(loss, norm, self.config.optimiser.lr))
        heartbeat.beat(counts.step)

    def slice(self, seconds: float) -> int:
        """Train for some seconds; return the steps."""
        before, self.end_at = self.training.counts.step, self.clock() + seconds
        train(self.training, self.around)
        return self.training.counts.step - before

    @property
    def averages(self) -> Sequence[Tensor]:
        """Return the averaged weights."""
        return self.training.averages


def begun(config: RunConfig, samples: ClearedSamples, team: Team = ALONE) -> Training:
    """Return a training from the same weights every time."""
    return Training.fresh(config, make_tokenizer(samples.captions, config.text.vocabulary), team)


@contextmanager
def _as_averaged(training: Training, averages: Sequence[Tensor]) -> Iterator[None]:
    """Put averages in the place of the weights for a while."""
    kept = [parameter.detach().clone() for parameter in training.parameters()]
    try:
        _put(training, averages)
        yield
    finally:
        _put(training, kept)


@torch.no_grad()
def _put(training: Training, values: Sequence[Tensor]) -> None:
    for parameter, value in zip(training.parameters(), values, strict=True):
        parameter.copy_(value)


def _error(side: Ours | Plain, heldout: ClearedSamples) -> float:
    """Return the error of the averaged weights."""
    with _as_averaged(side.training, side.averages):
        errors = error_by_time(side.training.model, heldout, side.config)
    return fmean(error.value for error in errors.values())


def timed(side: Ours | Plain, seconds: float) -> tuple[float, float]:
    """Return wall and processor seconds a step over one slice."""
    torch.set_num_threads(side.threads if isinstance(side, Plain) else 1)
    wall, busy = time.perf_counter(), time.process_time()
    steps = side.slice(seconds)
    return (time.perf_counter() - wall) / steps, (time.process_time() - busy) / steps


def compare(config: RunConfig, *, rounds: int, slice_s: float, compiled: bool) -> None:
    """Print the table of both sides."""
    flat = replace(
        config.schedule, warmup_share=0.0, decay_share=0.0
    )  # the peer's rate is constant
    config = replace(config, schedule=flat, optimiser=replace(config.optimiser, kind="adamw"))
    samples, heldout = pictures(config).split(config.evaluation.heldout_share)
    torch.manual_seed(config.seed)
    with tempfile.TemporaryDirectory() as folder, alone(config.parts, device_of(config)) as team:
        ours = Ours(
            config=config,
            training=begun(config, samples, team),
            samples=samples,
            folder=Path(folder),
            team=team,
        )
        if compiled:
            through_blocks(ours.training.model.transformer)(True)  # noqa: FBT003  its only argument
        fresh = begun(config, samples)  # on the CPU: accelerate places it
        plain = Plain(config=config, training=fresh, samples=samples, compiled=compiled)
        sides: dict[str, Ours | Plain] = {"ours": ours, "plain": plain}
        warm_s = _warm(ours, plain)
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        print(
            f"{'seconds each':>13}{'ours':>12}{'plain':>12}   held-out error, mean over five times"
        )
        for number in range(rounds):
            for name in sorted(sides, reverse=bool(number % 2)):
                took[name].append(timed(sides[name], slice_s))
            errors = [_error(side, heldout) for side in (ours, plain)]
            print(f"{warm_s + (number + 1) * slice_s:>13.0f}{errors[0]:>12.4f}{errors[1]:>12.4f}")
    for at, what in enumerate(("wall", "processor")):
        mine, theirs = ([one[at] for one in took[name]] for name in sides)
        ratios = sorted(b / a for a, b in zip(mine, theirs, strict=True))
        print(
            f"{what:>10} ms a step: ours {1e3 * median(mine):.1f}, plain {1e3 * median(theirs):.1f}"
            f"; plain / ours in pairs: median {median(ratios):.2f}, "
            f"{ratios[0]:.2f} to {ratios[-1]:.2f} (n = {rounds})"
        )
        if what == "wall":
            rates = (config.batch_size / median(side) for side in (mine, theirs))
            print("    images/s: ours {:.0f}, plain {:.0f}".format(*rates))
    print(f"steps: ours {ours.training.counts.step}, plain {len(plain.losses)}")


def _warm(ours: Ours, plain: Plain) -> float:
    """Find the peer's best number of threads; return the seconds of training each side has had."""
    plain.slice(1.0)  # the first steps are slower
    if plain.config.device != "cpu":
        ours.slice(1.0)
        return 1.0
    speed = {}
    for threads in range(1, (os.cpu_count() or 1) + 1):
        plain.threads = threads
        speed[threads] = timed(plain, 2.0)[0]
    plain.threads = min(speed, key=lambda threads: speed[threads])
    print("plain by threads, wall ms a step:", {n: round(1e3 * s, 1) for n, s in speed.items()})
    seconds = 1.0 + 2.0 * len(speed)
    ours.slice(seconds)
    return seconds


def curve(config: RunConfig, *, seconds: float, marks: int) -> None:
    """Print which share of unseen scenes is drawn right as the seconds of training pass."""
    samples, _ = pictures(config).split(config.evaluation.heldout_share)
    clock = Paused()
    scenes = unseen_scenes(samples.captions, count=config.evaluation.prompts, seed=config.seed)

    def score(training: Training) -> float:
        with _as_averaged(training, training.averages):
            images = draw(training.model, [caption(s) for s in scenes], config, seed=config.seed)
        return scene_scores(scenes, [oracle(image) for image in images])[ALL].share

    with tempfile.TemporaryDirectory() as folder, alone(config.parts, device_of(config)) as team:
        training = begun(config, samples, team)
        ours = Ours(
            config=config,
            training=training,
            samples=samples,
            folder=Path(folder),
            team=team,
            clock=clock,
            budget_s=seconds,
        )
        began, busy = clock(), time.process_time()
        print(f"{'steps':>8}{'seconds':>10}{'right':>8}   of {len(scenes)} unseen scenes")
        for number in range(1, marks + 1):
            ours.slice(began + seconds * number / marks - clock())
            spent, at = time.process_time() - busy, clock() - began
            right = clock.look(partial(score, training))
            print(f"{training.counts.step:>8}{at:>10.1f}{right:>8.2f}   {spent:.0f} processor s")


def muon_timed(config: RunConfig, samples: ClearedSamples, *, rounds: int) -> None:
    """Print what a step of Muon takes over the preset's blocks, ours and torch's in turn."""
    torch.set_num_threads(1)  # as in the loop
    model, device = begun(config, samples).model, device_of(config)
    cast("torch.nn.Module", model.transformer).to(device)
    named = model.named_parameters()
    members = [p for n, p in named if "blocks" in n and p.ndim == 2]  # noqa: PLR2004
    for member in members:
        member.grad = torch.randn_like(member)
    sides: dict[str, torch.optim.Optimizer] = {
        "ours in fp32": Muon(members, lr=1e-4, momentum=0.95, weight_decay=0.0),
        "ours in bf16": Muon(
            members, lr=1e-4, momentum=0.95, weight_decay=0.0, dtype=torch.bfloat16
        ),
        "torch.optim.Muon, bf16": torch.optim.Muon(
            members, lr=1e-4, momentum=0.95, weight_decay=0.0
        ),
    }
    took: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side.step()
    for _ in range(rounds):
        for name, side in sides.items():
            began = _spent(device)
            side.step()
            took[name].append(_spent(device) - began)
    shown = ", ".join(f"{name} {1e3 * median(seconds):.1f}" for name, seconds in took.items())
    kind = "processor" if device.type == "cpu" else "wall"
    print(f"Muon over {len(members)} matrices, {kind} ms a step: {shown}")


def _spent(device: torch.device) -> float:
    """Return processor seconds; on an accelerator those of the clock, once it is idle."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def placed(preset: str, device: str) -> RunConfig:
    """Return a preset on a device; in fp32 where that multiplies no bf16.

    Raises:
        UsageError: the peer cannot train it, or the device is not here.
    """
    config = load_preset(preset)
    if config.weights() or config.earlier or config.model.routed:
        raise UsageError(
            f"{preset} has weights of others, stages or routes, which the plain loop has not; "
            "choose micro, cpu_5m or h200_20m."
        )
    if device == "cuda":
        device_name()
    precision = config.precision if has_bf16(device) else "fp32"
    return replace(config, device=device, precision=precision)


def main() -> None:
    """Print what was asked for, with what it ran on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="micro")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="Both: by block, and whole.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--slice-s", type=float, default=2.0)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--marks", type=int, default=6)
    asked = parser.parse_args()
    try:
        config = placed(asked.preset, asked.device)
    except UsageError as fault:
        parser.error(str(fault))
    print(
        ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"Python {platform.python_version()}",
    )
    on = device_name() if asked.device == "cuda" else "CUDA: not measured"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {on}")
    print(f"ours and plain: {asdict(config)}\n")
    if asked.curve:
        curve(config, seconds=asked.seconds, marks=asked.marks)
        return
    compare(config, rounds=asked.rounds, slice_s=asked.slice_s, compiled=asked.compile)
    muon_timed(config, pictures(config), rounds=asked.rounds)


if __name__ == "__main__":
    main()
