"""The Fréchet distance between two sets of features, in double precision.

With the features of the Inception network of 2015 it is called FID; with any other features it is
another scale, and its name says whose. Moments are merged chunk by chunk, so the features of a
large set need not be held.

Does not see: anything but means and covariances. Small sets look farther apart than they are: the
bias falls with one over their number, and below a few pictures a dimension it is most of the value.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
import numpy.typing as npt

from governance.errors import UsageError
from training.evaluate.estimate import ENDS, FEWEST, Estimate, Floats, drawn

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of both sets, at which the distance is taken
PER_DIMENSION = 2  # pictures in the smallest share, or the covariance has no full rank to speak of
FITS = 0.9  # of the variance over the shares must lie on the line, or it is no line


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Number, mean (D,) and summed products of deviations (D, D) of features."""

    count: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, features: Floats) -> Self:
        """Return the moments of (N, D) features. Raises UsageError for none, or none finite."""
        if features.ndim != 2 or not len(features) or not np.isfinite(features).all():  # noqa: PLR2004
            raise UsageError(
                f"Features of shape {features.shape} are not finite numbers, a row a picture; "
                "look at the extractor."
            )
        known = features.astype(np.float64)
        mean = known.mean(axis=0)
        return cls(len(known), mean, (known - mean).T @ (known - mean))

    def merged(self, other: Self) -> Self:
        """Return the moments of both sets. Source: Chan, Golub, LeVeque 1983, Am. Stat. 37(3)."""
        count, apart = self.count + other.count, other.mean - self.mean
        return type(self)(
            count,
            self.mean + apart * (other.count / count),
            self.scatter
            + other.scatter
            + np.outer(apart, apart) * (self.count * other.count / count),
        )

    @property
    def covariance(self) -> Floats:
        """Return the unbiased covariance (D, D). Raises UsageError for a single picture."""
        if self.count < FEWEST:
            raise UsageError("One picture has no covariance; score at least two.")
        return self.scatter / (self.count - 1)


def moments(chunks: Iterable[Floats]) -> Moments:
    """Return the moments of features that come in chunks (N, D). Raises UsageError for none."""
    known = [Moments.of(chunk) for chunk in chunks]
    if not known:
        raise UsageError("There are no features to take moments of; score at least two pictures.")
    return reduce(Moments.merged, known)


def frechet_distance(one: Moments, other: Moments) -> float:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^1/2), at least 0.

    The root's trace is that of (C^1/2 C' C^1/2)^1/2, whose matrix is symmetric: eigenvalues are
    real, and rounding cannot make them complex as it does in a general matrix root.

    Source: Dowson and Landau 1982, J. Multivariate Analysis 12(3); Heusel et al. 2017,
    arXiv 1706.08500 (FID).
    """
    apart = one.mean - other.mean
    a, b = one.covariance, other.covariance
    values, vectors = np.linalg.eigh(a)
    root = (vectors * _roots(values)) @ vectors.T
    shared = _roots(np.linalg.eigvalsh(root @ b @ root)).sum()
    return max(0.0, float(apart @ apart + np.trace(a) + np.trace(b) - 2.0 * shared))


def frechet(one: Floats, other: Floats, *, seed: int, resamples: int) -> Estimate:
    """Return the distance between features (N, D) and (M, D), with the spread over pictures."""
    dice = np.random.default_rng(seed)
    value = frechet_distance(Moments.of(one), Moments.of(other))
    spread = [
        frechet_distance(
            Moments.of(one[drawn(len(one), dice)]), Moments.of(other[drawn(len(other), dice)])
        )
        for _ in range(resamples)
    ]
    return Estimate.around(value, spread, count=len(one), least=0.0)


def frechet_at_infinity(one: Floats, other: Floats, *, seed: int, repeats: int) -> Estimate | None:
    """Return where the distance would end with ever more pictures, or None where that is unsound.

    The distance is taken over growing shares s of both sets at once; a line through it over 1 / s
    meets 0 at the value of infinite sets. None where a share has too few pictures for its
    dimensions, or the means over the repeats do not lie on a line.

    Source: Chong and Forsyth 2020, arXiv 1911.07023 (FID infinity), there for one of the sets.
    """
    fewest = min(len(one), len(other))
    if SHARES[0] * fewest < PER_DIMENSION * one.shape[1]:
        return None
    dice, over = np.random.default_rng(seed), 1.0 / np.array(SHARES)
    taken = np.array(
        [[_at(share, one, other, dice) for share in SHARES] for _ in range(repeats)],
    )
    means = taken.mean(axis=0)
    slope, end = np.polyfit(over, means, 1)
    off = np.square(means - (slope * over + end)).sum()
    if off > (1.0 - FITS) * np.square(means - means.mean()).sum():
        return None
    ends = [np.polyfit(over, row, 1)[1] for row in taken]
    low, high = np.quantile(ends, ENDS)
    return Estimate(value=float(end), low=float(low), high=float(high), count=len(one))


def _roots(values: npt.NDArray[np.floating]) -> Floats:
    """Return the roots of eigenvalues; those that are rounding, of either sign, are 0.

    The root of an eigenvalue of 1e-16 is 1e-8, and sets smaller than their dimensions have many.
    """
    least = values.max() * len(values) * np.finfo(np.float64).eps
    return np.sqrt(np.where(values > least, values, 0.0))


def _at(share: float, one: Floats, other: Floats, dice: np.random.Generator) -> float:
    parts = (dice.permutation(side)[: round(share * len(side))] for side in (one, other))
    return frechet_distance(*map(Moments.of, parts))
