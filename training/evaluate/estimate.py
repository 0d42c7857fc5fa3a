"""Estimates: a figure with its 95 % interval over the pictures it was measured on, and how many.

Does not see: what is wrong with all pictures alike. An interval says how far the figure would move
had other pictures of the same kind been drawn; a bias that comes with their number stays.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from governance.canon import Json

Floats = npt.NDArray[np.float64]

Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
ENDS = (0.025, 0.975)
FEWEST = 2  # below two there is no spread to speak of


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A share of successes with its 95 % Wilson interval."""

    right: int
    asked: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, right: int, asked: int) -> Self:
        """Return the score. Source: Wilson 1927, JASA 22(158). Raises ValueError for none asked."""
        if asked < 1:
            raise ValueError("A score needs at least one question.")
        share, spread = right / asked, Z_95 * Z_95 / asked
        centre = (share + spread / 2) / (1 + spread)
        half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / asked + spread / (4 * asked))
        return cls(
            right=right,
            asked=asked,
            share=share,
            low=max(0.0, centre - half) if right else 0.0,  # rounding leaves 1e-18
            high=min(1.0, centre + half) if right < asked else 1.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure of `count` pictures; of a single one nobody knows the interval."""

    value: float
    low: float | None
    high: float | None
    count: int

    @classmethod
    def mean_of(cls, values: Sequence[float] | Floats, *, seed: int, resamples: int) -> Self:
        """Return the mean, with the percentiles of its bootstrap.

        Source: Efron 1979, Annals of Statistics 7(1). Raises ValueError for no values.
        """
        known = np.asarray(values, dtype=np.float64)
        if not known.size:
            raise ValueError("A mean needs at least one value.")
        if known.size < FEWEST:
            return cls(value=float(known[0]), low=None, high=None, count=1)
        dice = np.random.default_rng(seed)
        means = [known[drawn(known.size, dice)].mean() for _ in range(resamples)]
        low, high = (float(end) for end in np.quantile(means, ENDS))
        return cls(value=float(known.mean()), low=low, high=high, count=known.size)

    @classmethod
    def around(
        cls, value: float, resampled: Sequence[float] | Floats, *, count: int, least: float
    ) -> Self:
        """Return a distance, which is never below `least`, with the spread that resampling shows.

        Not the percentiles: a distance between resampled sets is larger than between the sets
        themselves, because pictures then occur twice, so only the spread is taken over.
        """
        if count < FEWEST:
            return cls(value=value, low=None, high=None, count=count)
        half = Z_95 * float(np.std(resampled, ddof=1))
        return cls(value=value, low=max(least, value - half), high=value + half, count=count)

    def to_json(self) -> dict[str, Json]:
        """Return the figure as JSON, without ends where there are none."""
        return {name: end for name, end in asdict(self).items() if end is not None}


def drawn(count: int, dice: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the places of a resample of the same size, with replacement."""
    return dice.integers(0, count, count)
