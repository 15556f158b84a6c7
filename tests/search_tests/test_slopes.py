"""Slopes known by construction."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import linregress, spearmanr

from search.slopes import Slope, has_slope, slope_of

UNITS = [f"l{i:02d}" for i in range(20)]
ONE = ["rel"] * len(UNITS)


def planted(slope: float, seed: int, *, noise: float = 0.05) -> tuple[list[float], list[float]]:
    """Distances and gaps of 20 languages: a line with normal noise around it."""
    random = np.random.default_rng(seed)
    x = random.uniform(0.1, 0.9, len(UNITS))
    return list(x), list(0.2 + slope * x + random.normal(0, noise, len(x)))


def test_one_group_is_plain_least_squares() -> None:
    x, y = planted(0.5, 1)
    found = slope_of(x, y, groups=ONE, units=UNITS)
    assert found.value == pytest.approx(linregress(x, y).slope)
    assert found.rank == pytest.approx(spearmanr(x, y).statistic)
    assert found.p == pytest.approx(spearmanr(x, y).pvalue)
    assert found.low < found.value < found.high
    assert found == slope_of(x, y, groups=ONE, units=UNITS), "the draws are always the same"


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_the_interval_holds_the_planted_slope(slope: float) -> None:
    """In about 95 of 100 cases; percentiles of few units are a little too narrow."""
    runs = [slope_of(*planted(slope, seed), groups=ONE, units=UNITS) for seed in range(40)]
    assert sum(run.low <= slope <= run.high for run in runs) >= 33
    told = sum(run.excludes_zero for run in runs)
    assert told == 40 if slope else told <= 7


def test_targets_have_levels_of_their_own() -> None:
    """A hard target that is scored in far languages alone makes no slope."""
    x = [0.1, 0.2, 0.3, 0.7, 0.8, 0.9]
    y = [0.1, 0.1, 0.1, 0.6, 0.6, 0.6]
    units = UNITS[:6]
    assert slope_of(x, y, groups=["a"] * 6, units=units).value > 0.5
    found = slope_of(x, y, groups=["a"] * 3 + ["b"] * 3, units=units)
    assert found.value == pytest.approx(0)


def test_a_language_is_drawn_with_all_its_targets() -> None:
    """The same cells twice say nothing more: the interval stays as wide."""
    x, y = planted(0.5, 3)
    once = slope_of(x, y, groups=ONE, units=UNITS)
    twice = slope_of(x * 2, y * 2, groups=ONE + ["coh"] * 20, units=UNITS * 2)
    assert [twice.value, twice.low, twice.high, twice.rank, twice.p] == pytest.approx(
        [once.value, once.low, once.high, once.rank, once.p]
    )


def test_slopes_over_the_same_units_subtract() -> None:
    x, before = planted(0.5, 5)
    _, after = planted(0.2, 6)

    def of(y: Sequence[float]) -> Slope:
        return slope_of(x, y, groups=ONE, units=UNITS)

    change = of([b - a for a, b in zip(before, after, strict=True)])
    assert change.value == pytest.approx(of(after).value - of(before).value)
    gain = of([a - b for a, b in zip(before, after, strict=True)]).reversed()
    assert [gain.value, gain.low, gain.high] == pytest.approx(
        [change.value, change.low, change.high]
    )


def test_one_odd_language_makes_no_slope() -> None:
    groups = ["rel"] * 6
    assert not has_slope([0, 0, 0, 0, 0, 1], groups)
    assert has_slope([0, 0, 0, 0, 1, 1], groups)
    assert not has_slope([0, 0, 0, 1, 1, 1], ["rel"] * 3 + ["coh"] * 3), "none inside a target"
    with pytest.raises(ValueError, match="does not vary"):
        slope_of([0] * 6, [1, 2, 3, 4, 5, 6], groups=groups, units=UNITS[:6])


def test_a_gap_that_does_not_vary_has_no_rank() -> None:
    found = slope_of([1, 2, 3, 4, 5], [0.5] * 5, groups=["a"] * 5, units=UNITS[:5])
    assert (found.value, found.rank, found.p) == (pytest.approx(0), None, None)
    assert not found.excludes_zero
