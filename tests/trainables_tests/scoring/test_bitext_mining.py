import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.neighbors import NearestNeighbors

from trainables.scoring import bitext_mining

GOLD = {("d1", "e1"), ("d2", "e2"), ("d3", "e3")}


def vectors(count: int, *, seed: int, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(bitext_mining, "TEXTS_AT_ONCE", 17)
    monkeypatch.setattr(bitext_mining, "PIVOTS_AT_ONCE", 23)


@pytest.mark.usefixtures("small_blocks")
def test_neighbours_in_blocks_are_scikit_learns() -> None:
    sides = vectors(60, seed=0) * 3, vectors(150, seed=1)
    for result, (asking, wanted) in zip(
        bitext_mining.neighbours(*sides), (sides, sides[::-1]), strict=True
    ):
        model = NearestNeighbors(n_neighbors=4, metric="cosine").fit(wanted)
        distances, indices = model.kneighbors(asking)
        assert (result.indices == indices).all()
        np.testing.assert_allclose(result.cosines, 1 - distances, atol=1e-5)


@pytest.mark.usefixtures("small_blocks")
def test_memory_beside_the_result_does_not_grow_with_the_corpora() -> None:
    def peak(num_pivots: int) -> int:
        texts, pivots = vectors(20, seed=0), vectors(num_pivots, seed=1)
        tracemalloc.start()
        result = bitext_mining.neighbours(texts, pivots)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - sum(near.cosines.nbytes + near.indices.nbytes for near in result)

    assert peak(20_000) < 1.5 * peak(200)


@pytest.mark.usefixtures("small_blocks")
def test_an_encoder_that_says_the_same_of_all_still_gives_each_its_neighbours() -> None:
    for near in bitext_mining.neighbours(
        np.ones((60, 8), np.float32), np.ones((150, 8), np.float32)
    ):
        np.testing.assert_allclose(near.cosines, 1, atol=1e-6)
        assert all(len(set(indices)) == 4 for indices in near.indices.tolist())


def test_few_candidates_are_all_taken_and_none_refused() -> None:
    forward, backward = bitext_mining.neighbours(vectors(3, seed=0), vectors(2, seed=1))
    assert (forward.indices.shape, backward.indices.shape) == ((3, 2), (2, 3))
    assert np.isfinite(backward.cosines).all()
    with pytest.raises(ValueError, match="3 texts and 0 pivots"):
        bitext_mining.neighbours(vectors(3, seed=0), vectors(0, seed=1))


def all_margins(texts: np.ndarray, pivots: np.ndarray) -> np.ndarray:
    """By the definition, over all pairs at once."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (texts, pivots)]
    cosines = unit[0] @ unit[1].T
    forward = np.sort(cosines, axis=1)[:, -4:].mean(axis=1)
    backward = np.sort(cosines, axis=0)[-4:].mean(axis=0)
    return cosines / ((forward[:, None] + backward[None]) / 2)


def test_margins_are_cosines_over_the_mean_of_both_neighbourhoods() -> None:
    texts = vectors(30, seed=2)
    pivots = np.concatenate([texts[:20] + 0.1 * vectors(20, seed=3), vectors(25, seed=4)])
    margins = all_margins(texts, pivots)
    result = bitext_mining.mine(texts, pivots)
    for text, pivot, margin in result:
        assert margin == pytest.approx(margins[text, pivot], rel=1e-4)
    assert {(i, i) for i in range(20)} <= {(text, pivot) for text, pivot, _ in result}
    assert (
        len({text for text, _, _ in result})
        == len({pivot for _, pivot, _ in result})
        == len(result)
    )
    assert [m for *_, m in result] == sorted((m for *_, m in result), reverse=True)


def test_a_pair_may_be_proposed_from_either_side() -> None:
    """The second text's best pivot is taken by the first text; the other pivot proposes the second
    text itself, and is heard."""
    texts = np.array([[1.0, 0.0], [0.9, 0.4]], np.float32)
    pivots = np.array([[1.0, 0.02], [0.6, 0.8]], np.float32)
    result = {(text, pivot) for text, pivot, _ in bitext_mining.mine(texts, pivots)}
    assert result == {(0, 0), (1, 1)}


def test_the_threshold_is_where_f1_is_best_by_hand() -> None:
    margins = {("d1", "e1"): 1.5, ("d2", "e2"): 1.4, ("d9", "e9"): 1.2, ("d3", "e9"): 1.0}
    assert bitext_mining.best_threshold(margins, GOLD) == pytest.approx(1.3)
    assert bitext_mining.best_threshold({("d1", "e1"): 1.5}, GOLD) == 1.5


@pytest.mark.parametrize(
    "margins", [{}, {("d1", "e9"): 1.5}, {("d1", "e9"): 1.5, ("d2", "e1"): 0.1}]
)
@pytest.mark.parametrize("gold", [GOLD, set()])
def test_without_a_right_pair_all_count_as_in_xtremes_script(
    margins: dict[bitext_mining.Pair, float], gold: set[bitext_mining.Pair]
) -> None:
    assert bitext_mining.best_threshold(margins, gold) == 0


names = st.sampled_from(["1", "2", "3", "4"])
pairs = st.sets(st.tuples(names, names), min_size=1)


@given(pairs, pairs)
def test_scores_of_pairs_are_scikit_learns(mined, gold) -> None:
    every = sorted(mined | gold)
    predicted, right = [pair in mined for pair in every], [pair in gold for pair in every]
    result = bitext_mining.pair_scores(mined, gold)
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert result[name] == pytest.approx(score(right, predicted, zero_division=0))


@given(st.dictionaries(st.tuples(names, names), st.floats(0.5, 2), min_size=1), pairs)
def test_no_other_threshold_is_better(margins, gold) -> None:
    def f1(threshold: float) -> float:
        mined = {pair for pair, margin in margins.items() if margin >= threshold}
        return bitext_mining.pair_scores(mined, gold)["f1"]

    best = f1(bitext_mining.best_threshold(margins, gold))
    if len(set(margins.values())) == len(margins):
        assert best == pytest.approx(max(f1(margin) for margin in (*margins.values(), 9.0)))


def test_nothing_mined_scores_zero_and_no_gold_is_refused() -> None:
    assert bitext_mining.pair_scores(set(), GOLD) == {"f1": 0, "precision": 0, "recall": 0}
    with pytest.raises(ValueError, match="no gold pairs"):
        bitext_mining.pair_scores(GOLD, set())
