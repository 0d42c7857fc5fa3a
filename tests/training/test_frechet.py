"""The Fréchet distance: closed forms, merging, what resampling says, and where it would end."""

import numpy as np
import pytest
import torch

from governance.errors import UsageError
from training.evaluate.frechet import (
    Moments,
    frechet,
    frechet_at_infinity,
    frechet_distance,
    moments,
)


def normal(count: int, *, mean: float = 0.0, std: float = 1.0, width: int = 4, seed: int = 1):
    return np.random.default_rng(seed).normal(mean, std, (count, width))


def exactly(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    return Moments(101, mean, covariance * 100)


def test_the_distance_of_gaussians_in_one_dimension_is_that_of_means_and_deviations() -> None:
    # |1 - 4|^2 + (2 - 3)^2
    one, other = (exactly(np.array([m]), np.array([[s * s]])) for m, s in ((1.0, 2.0), (4.0, 3.0)))
    assert frechet_distance(one, other) == pytest.approx(10.0, abs=1e-12)


def test_the_distance_of_covariances_that_do_not_commute_is_bures() -> None:
    # tr(A + B) - 2 tr((AB)^1/2); for 2 x 2, tr(M^1/2) = (tr M + 2 det(M)^1/2)^1/2
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[4.0, -1.0], [-1.0, 1.0]])
    product = a @ b
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    apart = np.array([1.0, -2.0])
    known = frechet_distance(exactly(np.zeros(2), a), exactly(apart, b))
    assert known == pytest.approx(5.0 + 5.0 + 5.0 - 2 * root, abs=1e-12)


def test_the_distance_is_symmetric_and_nothing_to_itself_even_without_full_rank() -> None:
    one, other = Moments.of(normal(10, width=40)), Moments.of(normal(12, width=40, seed=2))
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_moments_in_chunks_are_those_of_the_whole_far_from_zero_as_well(chunk: int) -> None:
    features = normal(301, mean=1e6)
    found = moments(features[first : first + chunk] for first in range(0, 301, chunk))
    assert found.count == 301
    np.testing.assert_allclose(found.mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(features.T), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "features",
    [np.empty((0, 4)), np.array([[1.0, np.nan]]), np.array([1.0, 2.0])],
    ids=["none", "not a number", "no rows"],
)
def test_features_that_are_none_are_refused(features: np.ndarray) -> None:
    with pytest.raises(UsageError, match="not finite"):
        Moments.of(features)


def test_one_picture_or_none_has_no_distance() -> None:
    with pytest.raises(UsageError, match="no covariance"):
        frechet_distance(Moments.of(normal(1)), Moments.of(normal(9)))
    with pytest.raises(UsageError, match="no features"):
        moments([])


def test_it_is_what_torchmetrics_computes() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, pictures):
            return pictures.flatten(1).double() / 255.0

    rng = np.random.default_rng(3)
    sets = [rng.integers(0, top, (n, 3, 2, 2), dtype=np.uint8) for n, top in ((90, 256), (70, 200))]
    metric = fid.FrechetInceptionDistance(feature=Flat(), normalize=False).set_dtype(torch.float64)
    for pictures, real in zip(sets, (True, False), strict=True):
        metric.update(torch.from_numpy(pictures), real=real)
    one, other = (Moments.of(pictures.reshape(len(pictures), -1) / 255.0) for pictures in sets)
    assert frechet_distance(one, other) == pytest.approx(float(metric.compute()), rel=1e-6)


def test_the_interval_covers_what_scores_of_so_many_pictures_come_out_at() -> None:
    def score(seed: int, resamples: int):
        drawn, reference = normal(60, mean=0.4, seed=seed), normal(200, seed=10_000 + seed)
        return frechet(drawn, reference, seed=seed, resamples=resamples)

    usual = float(np.mean([score(1000 + n, 2).value for n in range(300)]))
    found = [score(seed, 60) for seed in range(120)]
    held = sum(one.low <= usual <= one.high for one in found)
    assert 0.88 <= held / 120 <= 1.0
    assert all(one.count == 60 for one in found)


def test_no_interval_of_a_distance_goes_below_nothing() -> None:
    found = frechet(normal(9, width=1), normal(900, width=1, seed=2), seed=1, resamples=50)
    assert found.low == 0.0 < found.value


def test_the_same_seed_gives_the_same_interval() -> None:
    one, other = normal(30), normal(40, seed=2)
    assert frechet(one, other, seed=5, resamples=20) == frechet(one, other, seed=5, resamples=20)


def test_the_distance_at_infinity_is_nearer_the_truth_than_the_distance() -> None:
    # N(0, I) against N(0.3, I) in 16 dimensions: 16 x 0.09
    one, other = normal(200, width=16), normal(200, mean=0.3, width=16, seed=2)
    plain = frechet(one, other, seed=1, resamples=2).value
    ended = frechet_at_infinity(one, other, seed=1, repeats=20)
    assert ended is not None
    assert plain > 1.44
    assert abs(ended.value - 1.44) < 0.5 * abs(plain - 1.44)
    assert ended.low < ended.value < ended.high


def test_below_four_pictures_a_dimension_nothing_is_extrapolated() -> None:
    assert (
        frechet_at_infinity(normal(63, width=16), normal(200, width=16), seed=1, repeats=2) is None
    )
    assert frechet_at_infinity(
        normal(64, width=16), normal(200, width=16, seed=2), seed=1, repeats=9
    )
