"""Intervals against published numbers, against scipy, and by what they promise: their coverage."""

import random

import pytest
from scipy import stats

from search.stats.intervals import (
    grouped_difference,
    mean_interval,
    paired_difference,
    unpaired_difference,
)

# Student (1908), table of Cushny and Peebles: hours of sleep gained with two drugs.
DEXTRO = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
LAEVO = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_students_own_example() -> None:
    found = paired_difference(LAEVO, DEXTRO)
    assert found.mean == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858))
    assert found.std == pytest.approx(1.229995)
    assert found.excludes_zero


def test_two_values_and_a_table() -> None:
    """t of one degree of freedom at 95 % is 12.7062."""
    found = mean_interval([0.0, 2.0])
    assert (found.mean, found.std, found.num) == (1.0, pytest.approx(2**0.5), 2)
    assert found.half_width == pytest.approx(12.7062, abs=1e-4)
    assert not found.excludes_zero


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("num", [2, 3, 5, 30])
def test_agrees_with_scipy(num: int, confidence: float) -> None:
    draw = random.Random(num)
    values = [draw.gauss(0.6, 0.02) for _ in range(num)]
    found = mean_interval(values, confidence=confidence)
    low, high = stats.t.interval(
        confidence, num - 1, loc=sum(values) / num, scale=stats.sem(values)
    )
    assert (found.low, found.high) == pytest.approx((low, high))


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Three seeds, 4000 times: 90 % must hold it, give or take 4 standard errors (1.9 %)."""
    draw = random.Random(7)
    hits = 0
    for _ in range(4000):
        found = mean_interval([draw.gauss(0.6, 0.02) for _ in range(3)], confidence=0.9)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.6 <= found.high
    assert hits / 4000 == pytest.approx(0.9, abs=0.019)


def test_pairs_cancel_what_they_share() -> None:
    draw = random.Random(3)
    shared = [draw.gauss(0.6, 0.1) for _ in range(5)]
    first = [value + 0.02 + draw.gauss(0, 0.005) for value in shared]
    paired, alone = paired_difference(first, shared), mean_interval(first)
    assert paired.excludes_zero
    assert paired.half_width is not None
    assert alone.half_width is not None
    assert paired.half_width < alone.half_width / 5


def test_one_value_has_no_interval() -> None:
    found = mean_interval([0.5])
    assert (found.mean, found.low, found.high, found.std, found.num) == (0.5, None, None, None, 1)
    assert found.half_width is None
    assert not found.excludes_zero


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = mean_interval([0.1] * 3)
    assert (found.low, found.high, found.std) == pytest.approx((0.1, 0.1, 0.0))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one value"):
        mean_interval([])
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1.0], confidence=95)
    with pytest.raises(ValueError, match="as many"):
        paired_difference([1.0], [1.0, 2.0])


def test_unpaired_by_scipy() -> None:
    first, second = [0.61, 0.64, 0.59, 0.66], [0.52, 0.57, 0.61]
    found = unpaired_difference(first, second)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(0.625 - 0.5666666667)
    assert found.num == 7


def test_unpaired_with_little_to_go_by() -> None:
    alone = unpaired_difference([0.6], [0.5, 0.52])
    assert (alone.low, alone.high) == (None, None)
    assert alone.mean == pytest.approx(0.09)
    equal = unpaired_difference([0.5, 0.5], [0.4, 0.4])
    assert equal.low == equal.high == pytest.approx(0.1)


def test_groups_of_several_settings_by_hand() -> None:
    """Two settings of variance 0.0002 (two values) against one of 0.0001 (three)."""
    found = grouped_difference([[0.61, 0.59], [0.71, 0.69]], [[0.50, 0.51, 0.49]])
    parts = [0.0002 / 2 / 4, 0.0002 / 2 / 4, 0.0001 / 3]
    total = sum(parts)
    freedom = total**2 / (parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2 / 2)
    assert found.mean == pytest.approx(0.15)
    assert found.high == pytest.approx(0.15 + stats.t.ppf(0.975, freedom) * total**0.5)
    assert found.num == 7
    assert grouped_difference([[0.6, 0.61], [0.7]], [[0.5, 0.51]]).low is None
