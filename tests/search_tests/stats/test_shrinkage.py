"""Shrunken means: few values are not favoured, and spoilt groups change nothing for the others."""

import random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search.stats.shrinkage import fit_normal, pooled_variance, shrunken_means, typical_groups

SCORES = st.floats(0.05, 0.95).map(lambda value: round(value, 4))
GROUPS = st.lists(st.lists(SCORES, min_size=1, max_size=4), min_size=1, max_size=12)


def drawn(
    rng: np.random.Generator, true: list[float], noise: float, counts: list[int]
) -> list[list[float]]:
    return [
        [float(value) for value in rng.normal(level, noise, count)]
        for level, count in zip(true, counts, strict=True)
    ]


def test_one_value_is_not_ahead_of_three_that_are_as_good() -> None:
    assert shrunken_means([[0.70, 0.69, 0.71], [0.705]]) == pytest.approx([0.70125] * 2)
    three, one = shrunken_means([[0.70, 0.69, 0.71], [0.705]])
    assert three == one, "to the last bit: who orders them can tell"


def test_by_hand() -> None:
    groups = [[0.71, 0.69], [0.61, 0.59], [0.50, 0.52, 0.48, 0.50], [0.80]]
    noise, freedom = pooled_variance(groups)
    assert (noise, freedom) == (pytest.approx(0.00024), 5)
    middle, spread = fit_normal([0.7, 0.6, 0.5, 0.8], [noise / n for n in (2, 2, 4, 1)])
    assert spread == pytest.approx(0.05 / 3 - noise * (0.5 + 0.5 + 0.25 + 1) / 4)
    found = shrunken_means(groups)
    assert found[3] == pytest.approx(middle + spread / (spread + noise) * (0.8 - middle))
    assert found[3] > found[0] > found[1] > found[2]


@given(GROUPS, st.integers(1, 4))
def test_as_many_values_everywhere_keep_the_order(groups: list[list[float]], count: int) -> None:
    equal = [(group * 4)[:count] for group in groups]
    assert shrunken_means(equal) == [fmean(group) for group in equal]


@given(GROUPS)
def test_among_groups_of_one_size_the_higher_mean_is_not_behind(groups: list[list[float]]) -> None:
    found = shrunken_means(groups)
    for i, one in enumerate(groups):
        for j, other in enumerate(groups):
            if len(one) == len(other) and fmean(one) > fmean(other):
                assert found[i] >= found[j] - 1e-9
    assert min(map(fmean, groups)) - 1e-9 <= min(found)
    assert max(found) <= max(map(fmean, groups)) + 1e-9


@example([[0.5], [0.5], [0.9375, 0.125]], random.Random(1))
@given(GROUPS, st.randoms(use_true_random=False))
def test_the_order_of_the_groups_does_not_matter(
    groups: list[list[float]], order: random.Random
) -> None:
    places = list(range(len(groups)))
    order.shuffle(places)
    found = shrunken_means(groups)
    assert shrunken_means([groups[i] for i in places]) == pytest.approx([found[i] for i in places])


def test_spoilt_groups_do_not_switch_it_off() -> None:
    """Ten groups are equal but for their noise, ten were ruined: the lucky single value among the
    good ones is taken back as far with the ruined ones as without them."""
    rng = np.random.default_rng(1)
    good = [*drawn(rng, [0.6] * 9, 0.02, [3] * 9), [0.63]]
    spoilt = drawn(rng, [float(v) for v in rng.normal(0.4, 0.05, 10)], 0.02, [1] * 10)
    with_spoilt = shrunken_means([*good, *spoilt])
    alone = shrunken_means(good)
    assert alone[9] < 0.615
    assert with_spoilt[9] == pytest.approx(alone[9], abs=0.006)
    assert with_spoilt[10:] == [fmean(group) for group in spoilt]


def test_ruined_ones_at_one_level_are_not_the_measure() -> None:
    """Half of the plans at chance, all alike: the others are still shrunk to one another."""
    rng = np.random.default_rng(2)
    good = [*drawn(rng, [0.6] * 9, 0.02, [3] * 9), [0.63]]
    assert shrunken_means([*good, *[[1 / 3]] * 10])[9] < 0.615


def test_the_plan_that_is_chosen_is_a_better_one() -> None:
    """Against the raw means, over 300 studies of 20 plans with one or three seeds, half of the
    studies with spoilt plans."""
    rng = np.random.default_rng(3)
    lost = {"raw": 0.0, "shrunken": 0.0}
    for number in range(300):
        num_spoilt = 10 if number % 2 else 0
        true = [float(v) for v in rng.normal(0.6, 0.015, 20)]
        true[:num_spoilt] = [value - 0.2 for value in true[:num_spoilt]]
        counts = [int(n) for n in rng.choice([1, 3], 20)]
        groups = drawn(rng, true, 0.03, counts)
        for name, found in (
            ("raw", [fmean(group) for group in groups]),
            ("shrunken", shrunken_means(groups)),
        ):
            lost[name] += max(true) - true[int(np.argmax(found))]
    assert lost["shrunken"] < 0.95 * lost["raw"]


def test_normal_groups_are_seldom_cut() -> None:
    rng = np.random.default_rng(4)
    whole = [
        len(typical_groups([float(v) for v in rng.normal(0.6, 0.03, 20)], [0.0001] * 20)) == 20
        for _ in range(200)
    ]
    assert sum(whole) > 180


def test_no_noise_no_shrinking_and_no_groups() -> None:
    assert shrunken_means([[0.5, 0.5], [0.6]]) == [0.5, 0.6]
    assert shrunken_means([]) == []
    with pytest.raises(ValueError, match="without values"):
        shrunken_means([[0.5], []])
    assert pooled_variance([[0.5], [0.6]]) == (0.0, 0)
