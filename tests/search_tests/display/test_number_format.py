"""How numbers are written."""

from typing import Any

import pytest

from search.display.number_format import (
    between,
    duration,
    percent,
    points,
    rate,
    shortened,
    spread,
    value_text,
)
from search.stats.intervals import mean_interval


def test_numbers() -> None:
    assert (percent(0.6134), percent(None), percent(1.0)) == ("61.3", "–", "100.0")
    assert (points(0.013), points(-0.02), points(-0.0001)) == ("+1.3", "−2.0", "0.0")
    assert points(None) == "–"
    assert percent(-0.025) == "−2.5", "a gap can be below zero"
    assert (rate(2e-5), rate(0.0015)) == ("2e-5", "1.5e-3")


def test_values_of_objectives() -> None:
    assert value_text("worst_language", 0.4567) == "45.7"
    assert value_text("gpu_hours", 12.3456) == "12.3 h"


def test_long_names_lose_their_end() -> None:
    assert (shortened("a-name", 6), shortened("a-long-name", 6)) == ("a-name", "a-lon…")


def test_means_with_their_spread() -> None:
    assert spread(mean_interval([0.5, 0.52])) == "51.0 ± 1.4"
    assert spread(mean_interval([0.5])) == "50.0"
    assert spread(None) == ""


def test_a_difference_stands_with_its_interval(planted: Any) -> None:
    (cell,) = planted.verdicts_of(planted.verdict_cells()[2:])
    assert between(cell.difference) == "−5.0 (−7.0 to −3.0)"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (89, "89 s"), (91, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36000, "10.0 h")],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
