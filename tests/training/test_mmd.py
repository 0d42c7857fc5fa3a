"""Maximum mean discrepancy: the numbers of a plain double loop, both estimators, any chunk."""

import numpy as np
import pytest
import torch

from governance.errors import UsageError
from training.evaluate import mmd
from training.evaluate.mmd import cmmd, unit


def normal(count: int, *, mean: float = 0.0, width: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, (count, width))


def plainly(one: np.ndarray, other: np.ndarray, *, diagonal: bool) -> float:
    """Return 1000 times the squared discrepancy as its formula reads, pair by pair."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.exp(-np.square(x - y).sum() / (2 * 10.0**2)))

    def within(side: list) -> float:
        pairs = [(i, j) for i in range(len(side)) for j in range(len(side)) if diagonal or i != j]
        return float(np.mean([kernel(side[i], side[j]) for i, j in pairs]))

    a, b = ([row / np.linalg.norm(row) for row in side] for side in (one, other))
    return 1000.0 * (
        within(a) + within(b) - 2 * float(np.mean([kernel(x, y) for x in a for y in b]))
    )


@pytest.mark.parametrize("diagonal", [True, False], ids=["with", "without"])
@pytest.mark.parametrize("chunk", [1, 5, 1024])
def test_it_is_what_the_formula_says_in_any_chunk(monkeypatch, chunk: int, diagonal) -> None:
    monkeypatch.setattr(mmd, "CHUNK", chunk)
    one, other = normal(13), normal(17, mean=0.3, seed=2)
    found = cmmd(one, other, diagonal=diagonal)
    assert found.value == pytest.approx(plainly(one, other, diagonal=diagonal), abs=1e-9)
    assert (found.low, found.high, found.count) == (None, None, 13)


def test_without_the_diagonal_alike_sets_score_nothing_on_average_and_with_it_more() -> None:
    sets = [(normal(40, seed=n), normal(40, seed=1000 + n)) for n in range(200)]
    unbiased = [cmmd(one, other, diagonal=False).value for one, other in sets]
    biased = [cmmd(one, other, diagonal=True).value for one, other in sets]
    assert abs(np.mean(unbiased)) < 3 * np.std(unbiased) / np.sqrt(200)
    assert min(biased) > 0
    assert min(unbiased) < 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    def score(seed: int, resamples: int):
        pair = normal(50, mean=0.4, seed=seed), normal(80, seed=10_000 + seed)
        return cmmd(*pair, diagonal=False, seed=seed, resamples=resamples)

    usual = float(np.mean([score(1000 + n, 0).value for n in range(300)]))
    found = [score(seed, 60) for seed in range(150)]
    assert 0.88 <= sum(one.low <= usual <= one.high for one in found) / 150 <= 1.0


def test_features_are_compared_by_direction_alone_and_zeros_do_no_harm() -> None:
    one, other = normal(9), normal(9, seed=2)
    scaled = cmmd(7.0 * one, 0.1 * other, diagonal=True).value
    assert scaled == pytest.approx(cmmd(one, other, diagonal=True).value, abs=1e-9)
    assert not unit(np.zeros((2, 3))).any()


def test_it_is_the_sum_that_torchmetrics_takes_over_the_same_kernels() -> None:
    """KID is the same unbiased sum over a polynomial kernel; here it is given ours."""
    kid = pytest.importorskip("torchmetrics.image.kid")

    one, other = normal(20), normal(20, mean=0.5, seed=2)
    kernels = [
        np.exp(-np.square(x[:, None] - y[None]).sum(axis=-1) / 200.0)
        for x, y in ((unit(one), unit(one)), (unit(one), unit(other)), (unit(other), unit(other)))
    ]
    theirs = float(kid.maximum_mean_discrepancy(*map(torch.from_numpy, kernels)))
    assert cmmd(one, other, diagonal=False).value == pytest.approx(1000 * theirs, abs=1e-9)


def test_one_picture_has_no_discrepancy() -> None:
    with pytest.raises(UsageError, match="two pictures"):
        cmmd(normal(1), normal(9), diagonal=True)
