"""Slopes known by construction."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import linregress, spearmanr
from scipy.stats import t as student

from search.degradation.slopes import Slope, has_slope, slope_of, slope_value
from search.degradation.typology import distances
from spaces.languages import LANGUAGES
from spaces.tasks.catalogue import SHIPPED

UNITS = [f"l{i:02d}" for i in range(20)]
ONE = ["rel"] * len(UNITS)


def planted(slope: float, seed: int, *, noise: float = 0.05) -> tuple[list[float], list[float]]:
    """Distances and gaps of 20 languages: a line with normal noise around it."""
    random = np.random.default_rng(seed)
    x = random.uniform(0.1, 0.9, len(UNITS))
    return list(x), list(0.2 + slope * x + random.normal(0, noise, len(x)))


def test_one_group_is_plain_least_squares() -> None:
    """With as many families as languages the interval is that of HC2 (MacKinnon and White 1985)."""
    x, y = planted(0.5, 1)
    found = slope_of(x, y, groups=ONE, units=UNITS, families=UNITS)
    line = linregress(x, y)
    assert found.value == pytest.approx(line.slope)
    assert slope_value(x, y, ONE) == pytest.approx(line.slope)
    assert found.rank == pytest.approx(spearmanr(x, y).statistic)
    a = np.array(x) - np.mean(x)
    leverage = 1 / 20 + a**2 / (a @ a)
    rest = np.array(y) - line.intercept - line.slope * np.array(x)
    error = np.sqrt(np.sum(a**2 * rest**2 / (1 - leverage))) / (a @ a)
    assert 5 < found.freedom < 18
    half = student.ppf(0.975, found.freedom) * error
    assert [found.low, found.high] == pytest.approx([line.slope - half, line.slope + half])
    assert found.p == pytest.approx(2 * student.sf(line.slope / error, found.freedom))


POCKET, XNLI, PANX = (
    sorted(SHIPPED.get(name).zero_shot_languages) for name in ("kind", "xnli", "panx")
)


@pytest.mark.parametrize("alike", [0.0, 0.5])
@pytest.mark.parametrize("codes", [POCKET, XNLI, PANX], ids=["pocket", "xnli", "panx"])
@pytest.mark.parametrize("kind", ["syntactic", "geographic"])
def test_the_interval_holds_the_planted_slope(kind: str, codes: list[str], alike: float) -> None:
    """Real distances; what is left over is correlated `alike` inside a family. 300 draws: at least
    92 % of the intervals hold the true slope."""
    far = distances("en", codes)[kind]
    families = [LANGUAGES[code].family for code in codes]
    names = sorted(set(families))
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        shared = dict(zip(names, rng.normal(0, alike**0.5, len(names)), strict=True))
        own = rng.normal(0, (1 - alike) ** 0.5, len(codes))
        y = [
            0.1 * far[code] + 0.05 * (shared[family] + noise)
            for code, family, noise in zip(codes, families, own, strict=True)
        ]
        found = slope_of(
            [far[code] for code in codes],
            y,
            groups=["t"] * len(codes),
            units=codes,
            families=families,
        )
        held += found.low <= 0.1 <= found.high
    assert held >= 0.92 * 300 - 5, "and a little for 300 draws"


def test_without_several_families_there_is_no_interval() -> None:
    x, y = planted(0.5, 1)
    three = [f"f{i % 3}" for i in range(20)]
    found = slope_of(x, y, groups=ONE, units=UNITS, families=three)
    assert found.value == pytest.approx(slope_value(x, y, ONE))
    assert (found.low, found.high, found.p, found.excludes_zero) == (None, None, None, False)
    assert found.unknown == "3 families of languages, fewer than 4"
    assert found.reversed().unknown == found.unknown


def test_where_one_family_alone_lies_nearer_there_is_no_interval() -> None:
    """As with genetic distances: families other than English's are all at 1."""
    x = [0.2, 0.4, 0.5, 1.0, 1.0, 1.0, 1.0]
    families = ["near"] * 3 + ["a", "b", "c", "d"]
    found = slope_of(x, [1, 2, 3, 4, 5, 4, 5], groups=["t"] * 7, units=UNITS[:7], families=families)
    assert found.unknown == "all other families than near lie equally far"
    assert not found.excludes_zero


def test_a_family_that_is_alike_counts_as_little_more_than_one() -> None:
    """The same languages again in each family: the interval does not shrink."""
    x, y = planted(0.5, 2)
    once = slope_of(x, y, groups=ONE, units=UNITS, families=UNITS)
    again = slope_of(
        x * 3,
        y * 3,
        groups=ONE * 3,
        units=[f"{unit}-{i}" for i in range(3) for unit in UNITS],
        families=UNITS * 3,
    )
    assert again.value - again.low == pytest.approx(once.value - once.low, rel=0.05)


def test_targets_have_levels_of_their_own() -> None:
    """A hard target that is scored in far languages alone makes no slope."""
    x = [0.1, 0.2, 0.3, 0.7, 0.8, 0.9]
    y = [0.1, 0.1, 0.1, 0.6, 0.6, 0.6]
    units = UNITS[:6]
    assert slope_of(x, y, groups=["a"] * 6, units=units, families=units).value > 0.5
    found = slope_of(x, y, groups=["a"] * 3 + ["b"] * 3, units=units, families=units)
    assert found.value == pytest.approx(0)


def test_a_language_counts_once_with_all_its_targets() -> None:
    """The same cells twice say nothing more: the interval stays as wide."""
    x, y = planted(0.5, 3)
    once = slope_of(x, y, groups=ONE, units=UNITS, families=UNITS)
    twice = slope_of(x * 2, y * 2, groups=ONE + ["coh"] * 20, units=UNITS * 2, families=UNITS * 2)
    assert [twice.value, twice.low, twice.high, twice.rank, twice.p] == pytest.approx(
        [once.value, once.low, once.high, once.rank, once.p]
    )


def test_slopes_over_the_same_units_subtract() -> None:
    x, before = planted(0.5, 5)
    _, after = planted(0.2, 6)

    def of(y: Sequence[float]) -> Slope:
        return slope_of(x, y, groups=ONE, units=UNITS, families=UNITS)

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
        slope_of([0] * 6, [1, 2, 3, 4, 5, 6], groups=groups, units=UNITS[:6], families=UNITS[:6])


def test_a_gap_that_does_not_vary_has_no_rank() -> None:
    found = slope_of(
        [1, 2, 3, 4, 5], [0.5] * 5, groups=["a"] * 5, units=UNITS[:5], families=UNITS[:5]
    )
    assert (found.value, found.rank) == (pytest.approx(0), None)
    assert not found.excludes_zero
