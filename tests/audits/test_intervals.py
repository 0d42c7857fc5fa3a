import numpy as np
import pytest

from audits.audit import wilson
from audits.people.intervals import Stratum, common_difference, difference, median, ratio


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
    ids=["a", "b", "h"],
)
def test_differences_have_the_intervals_of_newcombes_table(one, other, expected):
    assert difference(one, other) == pytest.approx(expected, abs=5e-4)


def test_an_interval_for_many_pairs_is_wider_and_holds_them_all_under_no_difference():
    assert difference((50, 100), (40, 100), 10)[0] < difference((50, 100), (40, 100))[0]
    rng, missed = np.random.default_rng(0), 0
    for _ in range(400):
        kept = rng.binomial(500, 0.4, 6).tolist()
        low, _ = difference((max(kept), 500), (min(kept), 500), 15)
        missed += low > 0
    assert missed / 400 <= 0.05


def test_a_ratio_to_nothing_has_no_interval():
    assert ratio((0, 10), (5, 10)) is None
    low, high = ratio((40, 100), (50, 100))
    assert low < 0.8 < high


def test_one_stratum_is_the_plain_difference():
    value, low, high = common_difference([Stratum(40, 100, 30, 100)])
    assert value == pytest.approx(0.1)
    plain = difference((40, 100), (30, 100))
    assert (low, high) == pytest.approx(plain, abs=0.01)


def test_a_common_difference_is_found_through_strata_and_its_interval_holds():
    rng, held = np.random.default_rng(0), 0
    for _ in range(500):
        strata = [
            Stratum(int(rng.binomial(n, rate + 0.1)), n, int(rng.binomial(m, rate)), m)
            for n, m, rate in ((200, 50, 0.2), (50, 300, 0.7), (80, 80, 0.4))
        ]
        _, low, high = common_difference(strata)
        held += low <= 0.1 <= high
    assert 0.93 <= held / 500 <= 0.975


def test_a_median_and_its_interval_are_values_that_occur():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        values, counts = np.unique(rng.geometric(0.1, 201), return_counts=True)
        middle, low, high = median(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        assert low <= middle <= high
        held += low <= 7 <= high  # the median of that distribution
    assert held / 300 >= 0.93
    assert median({3: 1}) == (3, 3, 3)


def test_wilson_with_another_z_is_wider():
    assert wilson(5, 10, 3.0)[0] < wilson(5, 10)[0]
