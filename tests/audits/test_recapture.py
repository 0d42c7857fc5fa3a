"""How many there are, from how many two detectors found: worked examples and the edges."""

import numpy as np
import pytest

from audits.screening.recapture import Recapture


def test_the_estimate_and_its_variance_are_those_of_a_worked_example():
    """10 marked, 15 caught, 5 of them marked: (11 x 16 / 6) - 1 = 28.33; variance 34.92."""
    seen = Recapture(first=10, second=15, both=5)
    assert seen.seen + seen.missed == pytest.approx(11 * 16 / 6 - 1)
    assert seen.variance == pytest.approx(11 * 16 * 5 * 10 / (6 * 6 * 7))


@pytest.mark.parametrize(
    ("first", "second", "both", "missed"),
    [(0, 0, 0, 0), (7, 7, 7, 0), (7, 3, 3, 0), (4, 3, 0, 12), (100, 100, 50, 2500 / 51)],
    ids=["nothing", "always together", "one sees all the other does", "never together", "half"],
)
def test_what_both_missed_follows_from_what_they_share(first, second, both, missed):
    seen = Recapture(first=first, second=second, both=both)
    low, high = seen.interval()
    assert seen.missed == pytest.approx(missed)
    assert 0 <= low <= seen.missed <= high


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """400 pictures, seen with 0.6 and 0.7, independently; 95 % promised, over 2,000 repetitions."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(2000):
        one, two = rng.random(400) < 0.6, rng.random(400) < 0.7
        seen = Recapture(first=int(one.sum()), second=int(two.sum()), both=int((one & two).sum()))
        low, high = seen.interval()
        held += low <= 400 - seen.seen <= high
    assert 0.93 <= held / 2000 <= 0.97
