"""Our step against Photoroom/PRX's own, from a local checkout, in one process, slice by slice.

Same shape, same weights, same pictures, same text features, same AdamW; who begins changes every
round. PRX runs through a stub of its Composer interface without communication, which favours PRX.
None of PRX's code is here. On a CPU both train in float32; on CUDA both in bfloat16 autocast,
compiled. With `--tricks` ours has those pieces of PRX that run there, and no others; where ours is
another work the table says so.

Does not see: PRX's data loader, Composer's own cost, many devices.

    python benchmarks/prx.py --prx ../PRX --rounds 10 --slice-s 6        # the table
    python benchmarks/prx.py --prx ../PRX --curve --seconds 60           # error at equal seconds
    python benchmarks/prx.py --prx ../PRX --tricks tread                 # tokens bypass blocks
    python benchmarks/prx.py --prx ../PRX --device cuda --preset h200    # PRX-small at 512 px
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from prx_batch import Feed, Shape
from prx_measures import (
    Side,
    Slice,
    choose_threads,
    error,
    graph_breaks,
    kept_bytes,
    peak_flops,
    ratio,
    timed,
    told,
    warm,
)
from prx_ours import Ours, differing, make_ours, take_weights
from prx_theirs import CANNOT, PIECES, Theirs, checkout, make_theirs, muon_runs

from governance.errors import PramanaError
from training.planning import flops
from training.team.parallel import Team, alone

PACKAGES = ("torch", "diffusers", "transformers")
PRESETS = {
    "cpu": Shape(
        width=256, depth=6, heads=4, patch=8, px=64, batch=16, bottleneck=64, words=32,
        text_width=128,
    ),
    "h200": Shape(  # prx_jit_32_small at 512 px, text as T5Gemma-2B gives it
        width=1792, depth=16, heads=28, patch=32, px=512, batch=32, bottleneck=256, words=256,
        text_width=2304,
    ),
}  # fmt: skip
WIDEST = 1e-3  # that predictions from the same weights may lie apart, in units of -1..1, in float32
PICTURES = {"cpu": 2048, "cuda": 512}
FAVOURS = "The stub has no communication, loader, metrics or callbacks: it favours PRX."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Asked:
    """What to compare, and on what."""

    shape: Shape
    device: torch.device
    tricks: str
    lr: float
    compiled: bool
    pictures: int
    team: Team
    parts: int

    def feed(self, seed: int) -> Feed:
        """Return the pictures of a seed."""
        return Feed.of(self.shape, pictures=self.pictures, seed=seed, device=self.device)

    def sides(self, seed: int) -> tuple[Ours, Theirs, str]:
        """Return both sides, fresh, and what hinders them from having the same weights."""
        tricks, lr, device = self.tricks, self.lr, self.device
        theirs = make_theirs(self.shape, tricks=tricks, lr=lr, device=device, seed=seed)
        ours = make_ours(
            self.shape,
            lr=lr,
            device=device,
            team=self.team,
            parts=self.parts,
            pieces=theirs.running,
            seed=seed,
        )
        hindered = take_weights(ours.transformer, theirs.pipeline.denoiser.state_dict())
        with torch.no_grad():
            torch._foreach_copy_(ours.averages, [*ours.parameters])
        return ours, theirs, hindered

    def compile(self, ours: Ours, theirs: Theirs) -> None:
        """Compile both where that was asked for, each as its own training does."""
        if self.compiled:
            ours.compile()
            theirs.pipeline.compile(compile_denoiser=True)


def apart(ours: Ours, theirs: Theirs, feed: Feed) -> float:
    """Return how far the sides' predictions lie apart where no weight is zero."""
    kept = {name: value.clone() for name, value in theirs.pipeline.denoiser.state_dict().items()}
    with torch.no_grad():
        for parameter in theirs.pipeline.denoiser.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    take_weights(ours.transformer, theirs.pipeline.denoiser.state_dict())
    batch = feed.heldout()
    noisy = torch.randn_like(batch.clean)
    times = torch.rand(len(noisy), device=noisy.device)
    furthest = (ours.see(noisy, times, batch) - theirs.see(noisy, times, batch)).abs().max()
    theirs.pipeline.denoiser.load_state_dict(kept)
    take_weights(ours.transformer, kept)
    return float(furthest)


def compare(asked: Asked, *, rounds: int, slice_s: float) -> None:
    """Print what each side is, and the table of both."""
    feed, (ours, theirs, hindered) = asked.feed(0), asked.sides(0)
    _print_kinship(ours, theirs, feed, hindered)
    asked.compile(ours, theirs)
    runs: list[Side] = [side for side in (ours, theirs) if _runs(side, feed)]
    if theirs in runs and asked.device.type == "cpu":
        speed = choose_threads(theirs, feed, min(2.0, slice_s), os.cpu_count() or 1)
        print(f"PRX by threads, img/s: { {n: round(s, 1) for n, s in speed.items()} }")
    took: dict[str, list[Slice]] = {side.name: [] for side in runs}
    for number in range(rounds):
        for side in runs if number % 2 else reversed(runs):
            took[side.name].append(timed(side, feed, slice_s))
    print(f"\n{'':>6}{'img/s wall':>12}{'img/s proc.':>13}{'MB kept/img':>13}{'MFU':>11}", end="")
    print(f"{'step GiB':>14}{'steps':>8}")
    for side in runs:
        print(_row(side, took[side.name], asked, feed))
    if len(runs) > 1:
        _print_ratios(took, runs)
    if asked.compiled:
        _print_breaks(runs, feed)
    if asked.device.type == "cpu":
        print("CUDA: not measured")


def _print_kinship(ours: Ours, theirs: Theirs, feed: Feed, hindered: str) -> None:
    """Print how far both sides are the same, and where they are not."""
    counts = {side.name: sum(p.numel() for p in side.parameters) for side in (ours, theirs)}
    print("parameters: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    print(f"weights: {hindered or 'the same on both sides'}")
    if not hindered:
        distance = apart(ours, theirs, feed)
        print(f"predictions from them differ by {distance:.1e} at most", end="")
        print("" if distance < WIDEST else ": THESE ARE NOT THE SAME MODEL")
    aim = theirs.clean_apart(feed.heldout())
    print(f"pictures both train towards differ by {aim:.1e} at most", end="")
    print("" if aim < WIDEST else ": THIS IS NOT THE SAME OBJECTIVE")
    for name, said in {**theirs.pieces, "Muon": muon_runs()}.items():
        print(f"PRX's {name}: {said}")
    for said in differing(theirs.pieces, ours.pieces):
        print(f"ours: {said}")


def _runs(side: Side, feed: Feed) -> bool:
    """Return whether a side takes its first steps; say so where it does not."""
    try:
        warm(side, feed)
    except CANNOT as fault:
        first = (str(fault).splitlines() or [""])[0]
        print(f"{side.name}: cannot run: {type(fault).__name__}: {first}")
        return False
    return True


def _row(side: Side, took: list[Slice], asked: Asked, feed: Feed) -> str:
    by_wall = median(one.by_wall for one in took)
    by_processor = median(one.by_processor for one in took)
    kept = kept_bytes(side, feed.batch(0)) / feed.rows / 1e6
    peak = peak_flops(asked.device)
    used = f"{by_wall * _dense_flops(asked.shape) / peak:.1%}" if peak else "not known"
    gib = max(one.peak_bytes for one in took) / 2**30
    held = f"{gib:.2f}" if gib else "not measured"
    return (
        f"{side.name:>6}{by_wall:>12.1f}{by_processor:>13.1f}{kept:>13.2f}{used:>11}"
        f"{held:>14}{side.count:>8}"
    )


def _dense_flops(shape: Shape) -> float:
    """Return the operations of training on one picture, dense, forward and backward."""
    counted = flops.Shape(
        patch_px=shape.patch,
        width=shape.width,
        depth=shape.depth,
        heads=shape.heads,
        mlp_ratio=shape.mlp_ratio,
        bottleneck=shape.bottleneck,
        text_width=shape.text_width,
    )
    once = flops.forward_flops(counted, image_px=shape.px, text_tokens=shape.words)
    return flops.PASSES * once


def _print_ratios(took: dict[str, list[Slice]], runs: list[Side]) -> None:
    ours, theirs = (took[side.name] for side in runs)
    wall = ratio([one.by_wall for one in ours], [one.by_wall for one in theirs])
    processor = ratio([one.by_processor for one in ours], [one.by_processor for one in theirs])
    print(f"ours / PRX by wall: {told(wall)}; by processor: {told(processor)}")


def _print_breaks(runs: list[Side], feed: Feed) -> None:
    for side in runs:
        try:
            found = graph_breaks(partial(side.loss, feed.batch(0)))
        except CANNOT as fault:
            found = f"cannot be told: {type(fault).__name__}"
        print(f"{side.name} under torch.compile, loss with its drawing: {found}")


def curve(asked: Asked, *, seconds: float, seeds: int, marks: int) -> None:
    """Print the held-out error of both sides at equal seconds, over seeds."""
    print(f"{'seed':>5}{'seconds':>9}{'ours':>10}{'PRX':>10}   error, mean over five times")
    last: dict[str, list[float]] = {"ours": [], "PRX": []}
    for seed in range(seeds):
        feed, (ours, theirs, _) = asked.feed(seed), asked.sides(seed)
        asked.compile(ours, theirs)
        theirs.threads = (os.cpu_count() or 1) if asked.device.type == "cpu" else 1
        pair: tuple[Side, Side] = (ours, theirs)
        errors = [0.0, 0.0]
        for mark in range(1, marks + 1):
            for side in pair if mark % 2 else reversed(pair):
                timed(side, feed, seconds / marks)
            errors = [error(side, feed, seed) for side in pair]
            at = seconds * mark / marks
            print(f"{seed:>5}{at:>9.0f}{errors[0]:>10.4f}{errors[1]:>10.4f}")
        for name, found in zip(last, errors, strict=True):
            last[name].append(found)
        print(f"{seed:>5}    steps{ours.count:>10}{theirs.count:>10}")
    apart_by = ratio(last["PRX"], last["ours"])
    print(f"error after {seconds:.0f} s each, PRX / ours: {told(apart_by)}")
    print("Of the weights as they are: PRX's EMA (0.999 every 10 steps) needs a longer run.")


@contextmanager
def _asked(given: argparse.Namespace) -> Iterator[Asked]:
    """Yield what was asked for, with a team of threads to do it."""
    device = torch.device(given.device)
    named = {name: getattr(given, name) for name in asdict(PRESETS["cpu"])}
    preset = asdict(PRESETS[given.preset or ("h200" if device.type == "cuda" else "cpu")])
    shape = Shape(**{**preset, **{name: one for name, one in named.items() if one is not None}})
    parts = (os.cpu_count() or 1) if device.type == "cpu" else 1
    while shape.batch % parts:
        parts -= 1
    on_gpu = device.type == "cuda"
    with alone(parts, device) as team:
        yield Asked(
            shape=shape,
            device=device,
            tricks=given.tricks,
            lr=given.lr,
            compiled=on_gpu if given.compile is None else given.compile,
            pictures=given.pictures or PICTURES[device.type],
            team=team,
            parts=parts,
        )


def _print_head(asked: Asked, commit: str) -> None:
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES), platform.python_version())
    print(f"Photoroom/PRX {commit}")
    on = torch.cuda.get_device_name() if asked.device.type == "cuda" else "CPU"
    kind = "bfloat16 autocast" if asked.device.type == "cuda" else "float32"
    print(f"{on}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {kind}", end="")
    print(f"; compiled: {asked.compiled}; tricks: {asked.tricks}")
    print(f"both: {asdict(asked.shape)}, AdamW at {asked.lr:g}, constant")
    if asked.tricks == "full":
        print("Teachers are random networks of the real ones' size: their losses mean nothing.")
    print(FAVOURS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prx", type=Path, required=True, help="a checkout of Photoroom/PRX")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--preset", choices=tuple(PRESETS))
    for name, one in asdict(PRESETS["cpu"]).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(one))
    parser.add_argument("--tricks", choices=tuple(PIECES), default="none")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--slice-s", type=float, default=6.0)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--marks", type=int, default=4)
    return parser


def main() -> None:
    """Print what was asked for, with what it ran on."""
    given = _parser().parse_args()
    try:
        with checkout(given.prx) as commit, _asked(given) as asked:
            _print_head(asked, commit)
            if given.curve:
                curve(asked, seconds=given.seconds, seeds=given.seeds, marks=given.marks)
                return
            compare(asked, rounds=given.rounds, slice_s=given.slice_s)
    except PramanaError as fault:
        print(fault, file=sys.stderr)
        sys.exit(fault.status)


if __name__ == "__main__":
    main()
