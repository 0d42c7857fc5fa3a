"""Scores held to what is known: other code, closed forms, planted copies; and how long each takes.

Pictures are scenes drawn here, features those of the fixed random convolutions, so nothing is
needed but this repository; torchmetrics is the other side where it is installed.

    python benchmarks/evaluate.py --count 1000
"""

import argparse
import io
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from training.evaluate.estimate import Floats, Score
from training.evaluate.extractors import FINE, random_convolutions
from training.evaluate.frechet import Moments, frechet, frechet_at_infinity, frechet_distance
from training.evaluate.memorised import Memorised, perceptual_signs
from training.evaluate.mmd import cmmd
from training.evaluate.scenes import every_scene, render

SIDE_PX, RESAMPLES, TRIALS = 32, 100, 200
QUALITIES = (95, 85, 60)  # of JPEG, that a planted copy went through
T = TypeVar("T")


def scenes(count: int, *, seed: int) -> np.ndarray:
    """Return scenes as uint8 pictures (N, 3, S, S)."""
    rng, known = np.random.default_rng(seed), every_scene()
    drawn = [render(known[n], SIDE_PX, rng) for n in rng.integers(0, len(known), count)]
    return np.stack([np.asarray(image) for image in drawn]).transpose(0, 3, 1, 2)


def copies(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return pictures as a model that remembers them might draw them: with JPEG's losses."""
    again = []
    for one in np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)):
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, format="JPEG", quality=quality)
        again.append(np.asarray(Image.open(stream)))
    return np.stack(again).transpose(0, 3, 1, 2)


def timed(what: str, work: Callable[[], T]) -> T:
    """Print how long something takes; return what it gave."""
    began = time.perf_counter()
    found = work()
    print(f"  {1000 * (time.perf_counter() - began):9.1f} ms  {what}")
    return found


def other_code(drawn: Floats, reference: Floats) -> None:
    """Print the Fréchet distance by torchmetrics beside ours."""
    if not find_spec("torchmetrics"):
        print("torchmetrics is not installed: not compared")
        return
    compute = import_module("torchmetrics.image.fid")._compute_fid  # noqa: SLF001  the sum alone
    sides = [Moments.of(one) for one in (reference, drawn)]
    theirs = [torch.from_numpy(part) for side in sides for part in (side.mean, side.covariance)]
    found = timed("torchmetrics: Fréchet distance", lambda: float(compute(*theirs)))
    ours = timed("ours: Fréchet distance", lambda: frechet_distance(*sides))
    print(f"Fréchet: torchmetrics {found:.10f}, ours {ours:.10f}, apart {abs(found - ours):.1e}")


def coverage() -> None:
    """Print how often the intervals hold what scores of so many pictures come out at."""
    for name, score in (
        ("Fréchet", lambda a, b, seed: frechet(a, b, seed=seed, resamples=RESAMPLES)),
        (
            "MMD without diagonal",
            lambda a, b, seed: cmmd(a, b, diagonal=False, seed=seed, resamples=RESAMPLES),
        ),
    ):
        found = []
        for seed in range(TRIALS):
            dice = np.random.default_rng(seed)
            found.append(score(dice.normal(0.4, 1.0, (64, 8)), dice.normal(size=(256, 8)), seed))
        usual = float(np.mean([one.value for one in found]))
        held = Score.of(sum(one.low <= usual <= one.high for one in found), TRIALS)
        print(f"95 % interval, {name}: holds in {held.share:.3f} ({held.low:.3f}-{held.high:.3f})")


def planted(trained: np.ndarray, heldout: np.ndarray) -> None:
    """Print how many planted copies, and how many fresh pictures, lie below the yardstick."""
    ways = {"hash": perceptual_signs, "feature": random_convolutions(FINE).features}
    shown = {f"copies, JPEG {q}": copies(trained[:200], q) for q in QUALITIES}
    shown["fresh"] = scenes(200, seed=4)
    for way, seen in ways.items():
        known, kept_out = seen(trained), seen(heldout)
        for name, pixels in shown.items():
            found = Memorised.of(seen(pixels), kept_out, known)
            if found:
                share = found.closer
                print(
                    f"by {way}, {name}: {share.share:.3f} ({share.low:.3f}-{share.high:.3f}), "
                    f"expected of fresh ones {found.expected_share:.3f}"
                )


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description="Hold scores to what is known.")
    parser.add_argument("--count", type=int, default=1000, help="training pictures")
    count = parser.parse_args().count
    trained, heldout, drawn = (
        scenes(n, seed=seed) for n, seed in ((count, 1), (max(100, count // 10), 2), (64, 3))
    )
    extractor = random_convolutions()
    print(f"{count:,} training pictures of {SIDE_PX} px, 64 drawn, {len(heldout)} kept out")
    known = timed("features of the training pictures", lambda: extractor.features(trained))
    seen = extractor.features(drawn)
    timed("hashes of the training pictures", lambda: perceptual_signs(trained))
    timed(
        f"Fréchet, {RESAMPLES} resamples", lambda: frechet(seen, known, seed=1, resamples=RESAMPLES)
    )
    timed(
        f"MMD, {RESAMPLES} resamples",
        lambda: cmmd(seen, known, diagonal=False, seed=1, resamples=RESAMPLES),
    )
    other_code(seen, known)
    rng = np.random.default_rng(5)
    sides = rng.normal(size=(200, 16)), rng.normal(0.3, 1.0, (200, 16))
    plain = frechet(*sides, seed=1, resamples=2)
    ended = frechet_at_infinity(*sides, seed=1, repeats=20)
    if ended:
        print(
            f"Gaussians 1.44 apart, 200 of each: {plain.value:.3f}, at infinity {ended.value:.3f}"
        )
    coverage()
    planted(trained, heldout)


if __name__ == "__main__":
    main()
