"""Intervals of differences, ratios, medians and dependent shares; and the false discovery rate.

All intervals are of 95 %. They say how far a figure could lie from that of a like collection of the
same size. Where a pair was picked as the extremes of several groups, `pairs` says of how many it is
one, and the interval holds for all of them together (Bonferroni).

Does not see: how samples were chosen. Samples that repeat one another make every interval too
narrow; who calls counts pictures, not repeats, where that matters.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audits.audit import Z_95, wilson

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Count = tuple[int, int]  # how many, of how many
MISSED = 0.05  # of intervals that do not hold the true figure


class Stratum(NamedTuple):
    """Two groups within one source: how many of each were kept, of how many."""

    kept: int
    total: int
    other_kept: int
    other_total: int


def z_of(pairs: int) -> float:
    """Return how many standard errors an interval reaches that holds for `pairs` pairs at once."""
    return NormalDist().inv_cdf(1 - MISSED / 2 / pairs)


def difference(one: Count, other: Count, pairs: int = 1) -> Interval:
    """Return the interval of the difference of two shares, each (count, total).

    Source: Newcombe 1998, Statistics in Medicine 17, method 10.
    """
    (count, total), (others, other_total) = one, other
    share, other_share = count / total, others / other_total
    z = z_of(pairs)
    low, high = wilson(count, total, z)
    other_low, other_high = wilson(others, other_total, z)
    gap = share - other_share
    return (
        gap - math.hypot(share - low, other_high - other_share),
        gap + math.hypot(high - share, other_share - other_low),
    )


def ratio(one: Count, other: Count, pairs: int = 1) -> Interval | None:
    """Return the interval of the ratio of two shares, each (count, total); None where one is 0.

    Source: Katz et al. 1978, Biometrics 34(3), the logarithmic interval.
    """
    (count, total), (others, other_total) = one, other
    if not count or not others:
        return None
    half = z_of(pairs) * math.sqrt(1 / count - 1 / total + 1 / others - 1 / other_total)
    value = (count / total) / (others / other_total)
    return value * math.exp(-half), value * math.exp(half)


def multinomial_half(cells: Floats, gradient: Floats, total: Floats | float) -> Floats:
    """Return half the width of the interval of a smooth function of shares.

    Args:
        cells: shares that add up to 1 along the first axis, (K, ...).
        gradient: the function's derivative by each share, (K, ...).
        total: how many were counted.

    Source: the delta method; Agresti 2013, Categorical Data Analysis, section 16.1.4.
    """
    mean = (cells * gradient).sum(axis=0)
    variance = (cells * gradient**2).sum(axis=0) - mean**2
    half: Floats = Z_95 * np.sqrt(np.maximum(variance, 0.0) / total)
    return half


def common_difference(strata: Sequence[Stratum], pairs: int = 1) -> tuple[float, float, float]:
    """Return the difference of two shares within strata, pooled, with its interval.

    Source: Mantel and Haenszel's weights (Greenland and Robins 1985, Biometrics 41, equation 3),
    variance of Sato 1989, Biometrics 45, equation 4. It holds for few large strata and for many
    small ones.
    """
    weight = gap = spread = cross = 0.0
    for kept, total, other_kept, other_total in strata:
        both = total + other_total
        weight += total * other_total / both
        gap += (kept * other_total - other_kept * total) / both
        spread += (
            total**2 * other_kept
            - other_total**2 * kept
            + total * other_total * (other_total - total) / 2
        ) / both**2
        cross += (kept * (other_total - other_kept) + other_kept * (total - kept)) / (2 * both)
    value = gap / weight
    half = z_of(pairs) * math.sqrt(max(value * spread + cross, 0.0)) / weight
    return value, value - half, value + half


def median(counts: Mapping[int, int]) -> tuple[float, float, float]:
    """Return the lower median of values told as a histogram, and its interval by ranks.

    Source: David and Nagaraja 2003, Order Statistics, section 7.1, with normal ranks.
    """
    values = np.array(sorted(counts))
    reached = np.cumsum([counts[value] for value in values.tolist()])
    total = int(reached[-1])
    half = Z_95 * math.sqrt(total) / 2
    ranks = np.array([(total + 1) // 2, math.floor(total / 2 - half), math.ceil(total / 2 + half)])
    found = values[np.searchsorted(reached, np.clip(ranks, 1, total))]
    return float(found[0]), float(found[1]), float(found[2])


def false_discovery(p: Floats) -> Floats:
    """Return the q-value of each p-value: the least false discovery rate at which it is found.

    Source: Benjamini and Hochberg 1995, JRSS B 57(1).
    """
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return q
