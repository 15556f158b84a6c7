"""Differences, against scipy and by hand; how often null pairs are called, and planted ones are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from search.stats.significance import (
    compare,
    holm,
    mcnemar,
    model_difference,
    paired_bootstrap,
    randomisation,
)
from trainables.scoring.outcomes import ByLanguage, of_counts, of_values


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def coins(draw: np.random.Generator, chances: np.ndarray) -> np.ndarray:
    return (draw.random(chances.shape) < chances).astype(np.uint8)


# ---- two models in several languages


def half_width(languages: int, *, is_shared: bool, num_rows: int = 400) -> float:
    """Of the interval of two models of which each is right in half of the rows; languages share
    their rows' luck, or each has its own."""
    draw = rng(1)
    sides = []
    for _ in range(2):
        own = [coins(draw, np.full(num_rows, 0.5)) for _ in range(languages)]
        sides.append({str(n): own[0 if is_shared else n] for n in range(languages)})
    found = model_difference(ByLanguage(sides[0]), ByLanguage(sides[1]), rng())
    assert (found.num_seeds, found.num_rows) == (1, num_rows)
    return found.high - found.mean


def test_translations_of_a_row_are_no_further_rows() -> None:
    """Eight languages whose rows stand and fall together say what one says; eight that do not, as
    much as eight times the rows."""
    one = half_width(1, is_shared=True)
    assert one == pytest.approx(1.96 * math.sqrt(0.5 / 400), rel=0.08)
    assert half_width(8, is_shared=True) == pytest.approx(one, rel=0.05)
    assert half_width(8, is_shared=False) == pytest.approx(one / math.sqrt(8), rel=0.15)


def test_languages_of_unequal_numbers_are_taken_to_go_together() -> None:
    """Which row is whose translation is then not known: as wide as it may be."""
    draw = rng(2)
    sizes = {"a": 400, "b": 400, "c": 100}
    sides = [{k: coins(draw, np.full(n, 0.5)) for k, n in sizes.items()} for _ in range(2)]
    first, second = map(ByLanguage, sides)
    found = model_difference(first, second, rng())
    assert found.num_rows == 100
    alone = [model_difference(first.of([k]), second.of([k]), rng()) for k in sizes]
    width = np.mean([one.high - one.mean for one in alone])
    assert found.high - found.mean == pytest.approx(width, rel=0.05)
    assert found.mean == pytest.approx(np.mean([one.mean for one in alone]))


def test_two_models_on_rows_of_one_paragraph() -> None:
    """Five rows that stand and fall together are one draw: as wide as with a fifth of the rows."""
    draw = rng(3)
    sides = [np.repeat(coins(draw, np.full(80, 0.5)), 5) for _ in range(2)]
    groups = {"a": np.repeat(np.arange(80), 5)}
    one, other = (ByLanguage({"a": rows}, groups) for rows in sides)
    found = model_difference(one, other, rng())
    assert found.num_rows == 400
    assert found.high - found.mean == pytest.approx(1.96 * math.sqrt(0.5 / 80), rel=0.1)
    blind = model_difference(ByLanguage({"a": sides[0]}), ByLanguage({"a": sides[1]}), rng())
    assert blind.high - blind.mean == pytest.approx((found.high - found.mean) / 5**0.5, rel=0.1)


def test_the_same_model_twice_is_no_difference() -> None:
    rows = ByLanguage({"a": of_values([1, 0, 1, 1]), "b": of_counts([(1, 2, 2)] * 4)})
    found = model_difference(rows, rows, rng())
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_interval_of_two_models_holds_the_true_difference() -> None:
    """Models that agree in most rows, in two languages of the same rows, on other rows."""
    held = 0
    for number in range(300):
        draw = rng(number)
        ease = draw.normal(size=300)
        sides: list[dict[str, np.ndarray]] = []
        for lead in (0.0, 0.1):
            mood = 0.9 * ease + 0.3 * draw.normal(size=300)
            sides.append(
                {k: (mood + 0.3 * draw.normal(size=300) + lead > 0).astype(np.uint8) for k in "ab"}
            )
        found = model_difference(ByLanguage(sides[1]), ByLanguage(sides[0]), draw)
        true = norm.cdf(0.1 / math.sqrt(0.81 + 0.09 + 0.09)) - 0.5
        held += found.low <= true <= found.high
    assert 0.92 < held / 300 < 0.98


# ---- one seed


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_exact_binomial_test(rows: list[tuple[bool, bool]]) -> None:
    first, second = (of_values(column) for column in zip(*rows, strict=True))
    only_first = sum(a and not b for a, b in rows)
    only_second = sum(b and not a for a, b in rows)
    num = only_first + only_second
    expected = binomtest(only_first, num).pvalue if num else 1
    assert mcnemar(first, second) == pytest.approx(expected)


def test_right_and_wrong_rows_are_judged_by_mcnemar() -> None:
    first, second = of_values([1] * 9 + [0]), of_values([0] * 9 + [0])
    found = compare([first], [second], rng())
    assert found.p == pytest.approx(2 / 2**9)
    assert (found.mean, found.num_seeds, found.num_rows) == (pytest.approx(0.9), 1, 10)


def test_randomisation_by_hand() -> None:
    """Of 16 ways to swap four rows, the 2 that swap all or none are as extreme."""
    ratios = np.ones((2, 4, 2))
    ratios[1, :, 0] = [0.5, 0.25, 0.125, 0.75]
    assert randomisation(ratios, rng()) == pytest.approx(2 / 16, abs=0.025)
    assert randomisation(np.ones((2, 4, 2)), rng()) == 1


def test_randomisation_of_f1_swaps_whole_rows() -> None:
    """Many rows where the first side finds one span more: hardly by chance."""
    first, second = of_counts([(2, 2, 2)] * 40 + [(0, 1, 1)] * 5), of_counts([(1, 2, 2)] * 45)
    found = compare([first], [second], rng())
    assert found.mean == pytest.approx(2 * 80 / (85 + 85) - 0.5)
    assert found.p < 0.001
    assert compare([second], [first], rng()).mean == -found.mean
    assert compare([first], [first], rng()).p == 1


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error() -> None:
    draw = rng(1)
    first, second = coins(draw, np.full(500, 0.7)), coins(draw, np.full(500, 0.6))
    rows = first.astype(float) - second
    ratios = np.stack([np.stack([side, np.ones(500)], axis=1) for side in (first, second)])
    found = paired_bootstrap(ratios[None].astype(float), rng())
    assert found.mean() == pytest.approx(rows.mean(), abs=0.003)
    assert found.std() == pytest.approx(rows.std() / math.sqrt(500), rel=0.06)


def test_the_bootstrap_of_f1_agrees_with_resampling_by_hand() -> None:
    """Against the slow way: draw rows, add up, divide."""
    draw = rng(2)
    gold = draw.integers(0, 5, 200)
    sides = []
    for chance in (0.8, 0.6):
        right = draw.binomial(gold, chance)
        sides.append(of_counts(zip(right, right + draw.integers(0, 2, 200), gold, strict=True)))
    found = compare([sides[0]], [sides[1]], rng())
    slow = []
    for _ in range(1500):
        some = draw.integers(0, 200, 200)
        sums = [side[some].sum(axis=0, dtype=int) for side in sides]
        a, b = (2 * s[0] / (s[1] + s[2]) for s in sums)
        slow.append(a - b)
    low, high = np.quantile(slow, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.008)


# ---- several seeds


def test_seeds_and_rows_both_count() -> None:
    """By hand: two seeds with differences 0.1 and 0.3 have a mean with a variance of 0.01."""
    base = of_values([0.5] * 100)
    first = [of_values([0.6] * 100), of_values([0.8] * 100)]
    found = compare(first, [base, base], rng())
    assert found.mean == pytest.approx(0.2)
    # No row differs from another, so that all variance is that of the seeds: t with 1 degree.
    assert found.high - found.mean == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert found.p == pytest.approx(2 * (0.5 - math.atan(2) / math.pi), rel=1e-6)


def test_more_rows_make_it_narrower_only_as_far_as_rows_matter() -> None:
    draw = rng(3)

    def half_width(num_rows: int, spread: float) -> float:
        shift = draw.normal(0, spread, (5, 1))
        sides = [coins(draw, np.full((5, num_rows), 0.6) + s) for s in (shift, 0)]
        found = compare(list(sides[0]), list(sides[1]), rng())
        return found.high - found.mean

    assert half_width(4000, 0.001) < 0.6 * half_width(250, 0.001)
    assert half_width(4000, 0.08) > 0.06


def test_seeds_that_all_say_the_same_of_every_row() -> None:
    ones, zeros = of_values([1] * 8), of_values([0] * 8)
    assert compare([ones] * 3, [ones] * 3, rng()).p == 1
    assert compare([ones] * 3, [zeros] * 3, rng()).p == 2 / 2**8
    with pytest.raises(ValueError, match="as many seeds"):
        compare([ones], [], rng())
    with pytest.raises(ValueError, match="the same rows"):
        compare([ones], [zeros[:4]], rng())


def test_the_same_seed_draws_the_same() -> None:
    first, second = (coins(rng(i), np.full(90, 0.5)) for i in (1, 2))
    found = [compare([first], [second], rng(7)) for _ in range(2)]
    assert found[0] == found[1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_and_keeps_the_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(a >= p for a, p in zip(adjusted, values, strict=True))
    assert min(adjusted) == min(1, len(values) * min(values))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])


# ---- how often it is wrong, and how often it sees what is there


def simulated(
    seed: int,
    num_pairs: int,
    *,
    gain: float = 0.0,
    num_seeds: int = 5,
    spread: float = 0.07,
    num_rows: int = 1000,
) -> float:
    """The share of pairs with p below 0.05. Rows are hard or easy; a `spread` of 0.07 in the logits
    is a standard deviation of about one point between seeds."""
    draw, found = rng(seed), 0
    for number in range(num_pairs):
        ease = draw.beta(2, 1, num_rows)
        sides = []
        for more in (gain, 0.0):
            logits = np.log(ease / (1 - ease)) + draw.normal(0, spread, (num_seeds, 1))
            logits += draw.normal(0, 1, (num_seeds, num_rows))
            chances = 1 / (1 + np.exp(-logits))
            sides.append(list(coins(draw, chances + more)))
        found += compare(sides[0], sides[1], rng(number)).p < 0.05
    return found / num_pairs


NUM_PAIRS = 200
MOST = 0.05 + norm.ppf(0.99) * math.sqrt(0.05 * 0.95 / NUM_PAIRS)  # where 5 % are true


@pytest.mark.parametrize(("num_seeds", "spread"), [(5, 0.07), (5, 0.3), (3, 0.07), (2, 0.07)])
def test_null_pairs_are_called_as_rarely_as_they_should(num_seeds: int, spread: float) -> None:
    share = simulated(1, NUM_PAIRS, num_seeds=num_seeds, spread=spread, num_rows=400)
    assert share <= MOST


def test_few_seeds_know_little_of_seeds() -> None:
    """One is right of these rows alone: as soon as seeds differ, it takes their luck for a
    difference. Two that differ by more than rows do are called too often, but far less so."""
    assert simulated(1, NUM_PAIRS, num_seeds=1, spread=0.0, num_rows=400) <= MOST
    one = simulated(2, NUM_PAIRS, num_seeds=1, spread=0.3, num_rows=400)
    two = simulated(2, NUM_PAIRS, num_seeds=2, spread=0.3, num_rows=400)
    assert one > 2 * MOST
    assert two < one / 2


def test_a_planted_gain_of_five_points_is_seen() -> None:
    assert simulated(11, 150, gain=0.05) > 0.8


# ---- rows that go together


def test_groups_by_hand() -> None:
    """Two paragraphs: what is summed, and how many ways there are to swap them."""
    first, second = of_values([1, 1, 0, 1, 1]), of_values([0, 0, 0, 0, 1])
    groups = np.array([4, 4, 9, 4, 9])
    found = compare([first], [second], rng(), groups=groups)
    assert (found.mean, found.num_rows, found.num_groups) == (pytest.approx(3 / 5), 5, 2)
    # One paragraph has all three rows that differ: swapped or not, it is as extreme.
    assert found.p == 1
    assert mcnemar(first, second) == 0.25
    # Drawn are the first twice, each once, or the second twice.
    assert (found.low, found.high) == (0, 1)
    three = compare([first], [second], rng(), groups=np.array([0, 1, 2, 2, 3]))
    assert three.p == pytest.approx(2 / 2**3, abs=0.03)


def test_groups_of_f1_are_summed_before_they_are_drawn() -> None:
    draw = rng(3)
    gold = draw.integers(0, 5, 300)
    sides = [
        of_counts(zip(right, right + draw.integers(0, 2, 300), gold, strict=True))
        for right in (draw.binomial(gold, 0.8), draw.binomial(gold, 0.6))
    ]
    groups = draw.integers(0, 60, 300)
    found = compare([sides[0]], [sides[1]], rng(5), groups=groups)
    summed = [
        of_counts([side[groups == group].sum(axis=0, dtype=int) for group in np.unique(groups)])
        for side in sides
    ]
    expected = compare([summed[0]], [summed[1]], rng(5))
    assert (found.mean, found.low, found.high, found.p) == pytest.approx(
        (expected.mean, expected.low, expected.high, expected.p)
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30), st.booleans())
def test_rows_that_are_each_for_themselves_are_no_groups(
    rows: list[tuple[bool, bool]], is_twice: bool
) -> None:
    sides = [[of_values(column)] * (1 + is_twice) for column in zip(*rows, strict=True)]
    bare = compare(*sides, rng())
    grouped = compare(*sides, rng(), groups=np.arange(len(rows))[::-1])
    assert grouped.p == pytest.approx(bare.p)
    assert grouped.mean == pytest.approx(bare.mean)
    assert (bare.num_groups, grouped.num_groups) == (None, len(rows))


def test_one_paragraph_says_nothing_of_others() -> None:
    first, second = of_values([1] * 9), of_values([0] * 9)
    for num_seeds in (1, 3):
        sides = [first] * num_seeds, [second] * num_seeds
        found = compare(*sides, rng(), groups=np.zeros(9, int))
        assert (found.low, found.high, found.p, found.num_groups) == (-1, 1, 1, 1)
    with pytest.raises(ValueError, match="got 8 entries for 9 rows"):
        compare([first], [second], rng(), groups=np.zeros(8, int))


def paragraphs(
    seed: int, num_pairs: int, *, num_seeds: int, gain: float = 0.0, num_groups: int = 100
) -> dict[str, float]:
    """The share of pairs with p below 0.05, of rows and of groups: five questions on a paragraph,
    which suits one side more than the other. Differences have an intra-class correlation of 0.2."""
    draw, groups = rng(seed), np.repeat(np.arange(num_groups), 5)
    found = {"rows": 0, "groups": 0}
    for number in range(num_pairs):
        hard = draw.normal(0, 0.7, (num_groups, 1)) + draw.normal(0, 1, (num_groups, 5))
        sides = []
        for more in (gain, 0.0):
            suits = hard + draw.normal(0, 0.8, (num_groups, 1))
            noise = draw.normal(0, 1, (num_seeds, num_groups, 5))
            sides.append([of_values(seen.ravel() > -more) for seen in suits + noise])
        found["rows"] += compare(*sides, rng(number)).p < 0.05
        found["groups"] += compare(*sides, rng(number), groups=groups).p < 0.05
    return {name: hits / num_pairs for name, hits in found.items()}


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_null_pairs_of_paragraphs_are_called_as_rarely_as_they_should(num_seeds: int) -> None:
    shares = paragraphs(4, 120, num_seeds=num_seeds)
    most = 0.05 + norm.ppf(0.99) * math.sqrt(0.05 * 0.95 / 120)
    assert shares["groups"] <= most
    assert shares["rows"] > most


def test_a_planted_gain_is_seen_through_paragraphs() -> None:
    """About nine points, on 150 paragraphs."""
    assert paragraphs(5, 60, num_seeds=5, gain=0.4, num_groups=150)["groups"] > 0.8
