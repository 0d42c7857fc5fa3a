"""Maximum mean discrepancy between two sets of features, with a Gaussian kernel; CMMD on CLIP's.

The kernel is computed in chunks, once for the value and all its resamples together, so a large set
costs time and not memory.

Does not see: differences much finer than the kernel's width.
"""

import numpy as np

from governance.errors import UsageError
from training.evaluate.estimate import FEWEST, Estimate, Floats, drawn

SIGMA = 10.0  # of CMMD, which chose it on the unit-length features of CLIP ViT-L/14 at 336 px
SCALE = 1000.0  # of CMMD, so that figures read well
CHUNK = 1024  # rows of the kernel held at once


def unit(features: Floats) -> Floats:
    """Return features (N, D) at unit length, as CMMD compares them; zeros stay zeros."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0.0, lengths, 1.0)


def cmmd(
    one: Floats, other: Floats, *, diagonal: bool, seed: int = 0, resamples: int = 0
) -> Estimate:
    """Return the scaled squared discrepancy of unit-length features (N, D) and (M, D).

    Args:
        one: features of the drawn pictures.
        other: features of the reference.
        diagonal: with each picture's likeness to itself, as the published code of CMMD and PRX
            count it (biased upwards, never negative); without, unbiased, and around 0 it may be
            negative. The two are different scores.
        seed: of the resamples.
        resamples: how many; at 0 there is no interval.

    Raises:
        UsageError: a set has fewer than two pictures.

    Source: Jayasumana et al. 2024, arXiv 2401.09603 (CMMD); Gretton et al. 2012, JMLR 13,
    equations 3 (without the diagonal) and 5 (with it).
    """
    if min(len(one), len(other)) < FEWEST:
        raise UsageError("A discrepancy needs two pictures on each side; score more of them.")
    dice = np.random.default_rng(seed)
    sides = (_weights(len(one), dice, resamples), _weights(len(other), dice, resamples))
    values = SCALE * _squared(unit(one), unit(other), weights=sides, diagonal=diagonal)
    if not resamples:
        return Estimate(value=float(values[0]), low=None, high=None, count=len(one))
    least = 0.0 if diagonal else -np.inf
    return Estimate.around(float(values[0]), values[1:], count=len(one), least=least)


def _weights(count: int, dice: np.random.Generator, resamples: int) -> Floats:
    """Return how often each picture occurs (N, 1 + R): once, and then in each resample."""
    counts = [np.bincount(drawn(count, dice), minlength=count) for _ in range(resamples)]
    return np.stack([np.ones(count), *counts], axis=1).astype(np.float64)


def _squared(
    one: Floats, other: Floats, *, weights: tuple[Floats, Floats], diagonal: bool
) -> Floats:
    """Return the squared discrepancy of each column of weights."""
    ones, others = weights
    return (
        _mean(_sums(one, one, ones, ones), len(one), diagonal=diagonal)
        + _mean(_sums(other, other, others, others), len(other), diagonal=diagonal)
        - 2.0 * _sums(one, other, ones, others) / (len(one) * len(other))
    )


def _mean(sums: Floats, count: int, *, diagonal: bool) -> Floats:
    """Return the mean over pairs of one set; a picture's likeness to itself is 1."""
    return sums / count**2 if diagonal else (sums - count) / (count * (count - 1))


def _sums(one: Floats, other: Floats, ones: Floats, others: Floats) -> Floats:
    """Return the weighed sums of exp(-|x - y|^2 / (2 sigma^2)) over all pairs, a column each."""
    total, lengths = np.zeros(ones.shape[1]), np.square(other).sum(axis=1)
    for first in range(0, len(one), CHUNK):
        rows = one[first : first + CHUNK]
        apart = np.square(rows).sum(axis=1)[:, None] + lengths - 2.0 * rows @ other.T
        kernel = np.exp(apart.clip(min=0.0) / (-2.0 * SIGMA**2))
        total += (ones[first : first + CHUNK] * (kernel @ others)).sum(axis=0)
    return total
