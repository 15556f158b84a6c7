"""What the findings on degradation say of themselves."""

from dataclasses import replace

import pytest

from search.degradation.findings import Degradation, MeanDifference, SlopeRow
from search.degradation.slopes import Slope
from search.stats.intervals import Interval

SLOPE = Slope(value=0.3, low=0.1, high=0.5, p=0.01, freedom=6.0, num_families=7, rank=0.9)
FLAT = replace(SLOPE, low=-0.1)
SEEDS = Interval(mean=0.3, low=0.2, high=0.4, std=0.1, num=3)
ROW = SlopeRow(
    task=None,
    kind="syntactic",
    num_languages=9,
    unmeasured=(),
    nearest="de",
    farthest="zh",
    span=0.6,
    before=SLOPE,
)


@pytest.mark.parametrize(
    ("change", "over_seeds", "is_established", "expected"),
    [
        (None, None, False, False),
        (FLAT, None, False, False),
        (SLOPE, None, False, True),
        (SLOPE, SEEDS, True, True),
        (SLOPE, replace(SEEDS, low=-0.1), False, False),
    ],
)
def test_a_change_counts_where_families_and_seeds_agree(
    change: Slope | None, over_seeds: Interval | None, is_established: bool, expected: bool
) -> None:
    row = replace(ROW, change=change, over_seeds=over_seeds, is_established=is_established)
    assert row.has_change is expected
    assert (row.slope("before"), row.slope("change")) == (SLOPE, change)


def test_without_two_sides_there_is_a_reason_and_nothing_else() -> None:
    found = Degradation.unmeasured("No baseline.")
    assert (found.unknown, found.languages, found.slopes) == ("No baseline.", (), ())
    assert found.over_all == []


def test_only_regressions_over_all_targets_are_shown() -> None:
    rows = (ROW, replace(ROW, task="rel"), replace(ROW, kind="genetic", before=None))
    found = replace(Degradation.unmeasured(""), slopes=rows)
    assert found.over_all == [ROW]


def test_a_difference_is_significant_where_its_interval_leaves_zero_out() -> None:
    assert MeanDifference(mean=0.2, low=0.1, high=0.3).excludes_zero
    assert not MeanDifference(mean=0.2, low=-0.1, high=0.5).excludes_zero
    assert not MeanDifference(mean=0.2, low=None, high=None, unknown="one seed").excludes_zero
