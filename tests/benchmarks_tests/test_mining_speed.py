"""The neighbours of both sides are compared."""

import numpy as np

from benchmarks.mining_speed import drawn, ours, same_share


def test_pairs_are_each_others_nearest_neighbours() -> None:
    texts, pivots = drawn(50, 32)
    _, (of_texts, of_pivots) = ours(texts, pivots)
    assert (of_texts[:, 0] == np.arange(50)).all()
    assert (of_pivots[:, 0] == np.arange(50)).all()


def test_the_order_of_neighbours_does_not_matter_and_others_do() -> None:
    first = np.array([[0, 1], [2, 3]])
    assert same_share((first, first), (first[:, ::-1], first)) == 1.0
    assert same_share((first, first), (first, np.array([[0, 1], [2, 9]]))) == 0.875
