import math
import re

import pytest

from spaces.domains import UNIFORM, Choice, Grid, Range
from spaces.refusal import Refusal


@pytest.mark.parametrize("values", [(), (1e-5, 1e-5), (0.0,), (1.0,), (math.nan,), (1e-5, 2)])
def test_a_grid_out_of_range_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(Refusal, match=r"learning-rate|learning rates"):
        Grid(values)


@pytest.mark.parametrize(("low", "high"), [(0, 1e-5), (1e-5, 1e-5), (1e-4, 1e-5), (0.1, 1)])
def test_a_range_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(Refusal, match=re.escape("needs 0 < low < high < 1")):
        Range(low, high)


def test_what_lies_inside_and_what_it_is_called() -> None:
    assert 0.5 in UNIFORM
    assert 1.0 not in UNIFORM
    assert "0.5" not in UNIFORM
    assert 2 in Choice((1, 2))
    assert str(Choice((1, "proportional"))) == "one of 1, proportional"
    assert str(Range(1e-6, 1e-4)) == "a number from 1e-06 to 0.0001"


def test_a_spread_is_the_whole_of_a_grid_and_the_middles_of_a_range() -> None:
    assert Grid((1e-5, 2e-5)).spread(7) == (1e-5, 2e-5)
    # by hand: a quarter and three quarters of the way from 1e-6 to 1e-4, in powers of ten
    assert Range(1e-6, 1e-4).spread(2) == pytest.approx((10**-5.5, 10**-4.5))
