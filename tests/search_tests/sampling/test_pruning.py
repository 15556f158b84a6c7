"""The rule of pruning: like is compared with like, and only the lowest third ends."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search.sampling.pruning import MIN_OTHERS, is_among_the_lowest_third

Levels = st.lists(st.floats(0, 1), min_size=MIN_OTHERS, max_size=30)


def ends(order: Sequence[int], trials: Sequence[Sequence[float]]) -> dict[int, set[int]]:
    """Target -> the trials that end at its rung, where all targets are trained in this order and
    a trial that ends reports no further rung."""
    there: dict[int, list[float]] = {target: [] for target in order}
    ended: dict[int, set[int]] = {target: set() for target in order}
    for number, values in enumerate(trials):
        for target in order:
            prunes = is_among_the_lowest_third(values[target], there[target])
            there[target].append(values[target])
            if prunes:
                ended[target].add(number)
                break
    return ended


@pytest.mark.parametrize(
    ("num_others", "num_lower", "expected"),
    [(4, 0, False), (5, 0, True), (5, 1, True), (5, 2, False), (8, 2, True), (8, 3, False)],
)
def test_the_lowest_third_of_all(num_others: int, num_lower: int, expected: bool) -> None:
    others = [0.2] * num_lower + [0.6] * (num_others - num_lower)
    assert is_among_the_lowest_third(0.4, others) is expected


def test_equal_values_end_nothing() -> None:
    assert not is_among_the_lowest_third(0.5, [0.5] * 8)
    assert not is_among_the_lowest_third(0.0, [0.0] * 50)


@given(Levels)
def test_of_one_rung_s_values_at_most_a_third_would_end(values: list[float]) -> None:
    ended = [
        is_among_the_lowest_third(value, values[:place] + values[place + 1 :])
        for place, value in enumerate(values)
    ]
    assert sum(ended) <= len(values) / 3
    if any(ended):
        lowest = values.index(min(values))
        assert ended[lowest] or values.count(min(values)) > 1


@example([0.0, 1.0, 1.0, 1.0, 5e-324], 0.0, random.Random(1))
@given(Levels, st.floats(0, 1), st.randoms(use_true_random=False))
def test_neither_order_nor_scale_of_what_others_got_matters(
    others: list[float], value: float, rng: object
) -> None:
    expected = is_among_the_lowest_third(value, others)
    assert is_among_the_lowest_third(value, sorted(others)) is expected
    scale = 2.0**3  # exact: down from the smallest numbers it would make two values equal
    assert is_among_the_lowest_third(value * scale, [o * scale for o in others]) is expected


@given(st.lists(st.floats(0, 1), min_size=8, max_size=20))
def test_the_order_of_the_targets_decides_nothing_at_a_rung(first: list[float]) -> None:
    """Two targets on unlike levels, the second always harmless: what ends at the first one's rung
    is the same in either order, and whatever the level of the second."""
    for level in (0.1, 0.4, 0.9):
        trials = [(value, level) for value in first]
        ended = ends((0, 1), trials)
        assert ended == ends((1, 0), trials)
        assert ended[0] == ends((0,), trials)[0]
        assert not ended[1]
