"""Which version becomes champion, and what becomes of quality over many versions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from search.winner import champion
from search.winner.champion import MARGIN, Claim, Decision, decide
from trainables.scoring.outcomes import ByLanguage, Outcomes
from trainables.scoring.scores import Scores

NUM_ROWS = 2490  # as the embedded benchmark's test rows in a language


def claim(planted: Any, *levels: float, **protocol: Any) -> Claim:
    return Claim.of([planted.scores(level, **protocol) for level in levels], "rel")


def against(new: Claim, *others: Claim, standing: int = 1, **more: Any) -> Decision:
    """Of a new version beside others, numbered from 1; the first one stands unless said."""
    versions = {str(number): other.to_tags() for number, other in enumerate(others, start=1)}
    return decide("m", new, str(standing), versions, **more)


def right(share: float, num_rows: int = 1000, first: int = 0) -> Outcomes:
    """So many rows are right, from row `first` on."""
    rows = np.zeros(num_rows, np.uint8)
    rows[first : first + round(share * num_rows)] = 1
    return rows


def model_of(planted: Any, rows: Mapping[str, Outcomes], *means: float) -> Claim:
    """A version whose own score is the mean over the languages of what its rows got."""
    scores = Scores(
        targets=(planted.target_scores("rel", {k: float(v.mean()) for k, v in rows.items()}),)
    )
    seeds = [planted.scores(mean) for mean in means] or [scores]
    return Claim.of(seeds, "rel", model=scores, rows=ByLanguage(rows))


def test_a_claim_is_the_tags_of_its_version(planted: Any) -> None:
    made = claim(planted, 0.6, 0.5)
    assert made.means == pytest.approx((0.6, 0.5))
    assert (made.model_mean, made.score) == (None, pytest.approx(0.55))
    assert Claim.from_tags(made.to_tags()) == made
    own = Claim.of([planted.scores(0.6)] * 2, "rel", model=planted.scores(0.7))
    assert (own.model_mean, own.num_rows, own.score) == (
        pytest.approx(0.7),
        100,
        own.model_mean,
    )
    assert Claim.from_tags(own.to_tags()) == own
    for broken in ({}, {"protocol": "{}", "zero_shot_means": "[1]"}, {"protocol": "x"}):
        assert Claim.from_tags(broken) is None
    for spoilt in ({"zero_shot_means": "[]"}, {"zero_shot_mean": "x"}, {"num_rows": "[]"}):
        assert Claim.from_tags({**own.to_tags(), **spoilt}) is None


@pytest.mark.parametrize(
    ("new", "old", "is_champion"),
    [
        ((0.6, 0.61, 0.62), (0.5, 0.51, 0.52), True),
        ((0.5, 0.51, 0.52), (0.6, 0.61, 0.62), False),
        ((0.5, 0.52, 0.54), (0.51, 0.53, 0.55), False),  # lower, and not told apart
        ((0.52, 0.54, 0.56), (0.51, 0.53, 0.55), False),  # nor is this one shown to be as good
        ((0.5, 0.5), (0.5, 0.5), True),
        ((0.499, 0.499), (0.5, 0.5), True),  # worse by less than the margin, for certain
        ((0.495, 0.495), (0.5, 0.5), False),
        ((0.9,), (0.51, 0.53), False),  # one seed has no interval
    ],
)
def test_as_good_by_the_seeds_of_both(
    new: tuple[float, ...], old: tuple[float, ...], is_champion: bool, planted: Any
) -> None:
    """Versions that know no score of their own."""
    found = against(claim(planted, *new), claim(planted, *old))
    assert found.is_champion is is_champion
    assert ("--promote" in found.reason) is not is_champion
    forced = against(claim(planted, *new), claim(planted, *old), is_forced=True)
    assert forced.is_champion
    assert ("--promote was given" in forced.reason) is not is_champion


def test_models_are_compared_row_by_row(planted: Any) -> None:
    """The new one loses two rows of a thousand and wins six others: as good, which by the numbers
    of their rows alone could not be told."""
    old = {code: right(0.7) for code in ("de", "tr")}
    rows = right(0.706)
    rows[:2] = 0
    new = dict.fromkeys(("de", "tr"), rows)
    standing, fresh = model_of(planted, old), model_of(planted, new)
    found = against(fresh, standing, rows_of=lambda version: ByLanguage(old))
    assert found.is_champion
    assert found.reason == (
        "as good as version 1, the best so far (70.0): difference +0.4, 95 % interval −0.1 to "
        "+0.9, compared row by row (1000 rows in each language); the whole interval must lie above "
        "−0.3"
    )
    blind = against(fresh, standing)
    assert not blind.is_champion
    assert blind.reason == (
        "not shown to be as good as version 1, the best so far (70.0): difference +0.4, 95 % "
        "interval −12.3 to +13.1, from the number of rows alone (100 in each language); the whole "
        "interval must lie above −0.3; --promote makes the new version the champion"
    )
    worse = against(
        model_of(planted, {k: right(0.6) for k in old}),
        standing,
        rows_of=lambda version: ByLanguage(old),
    )
    assert worse.reason.startswith(
        "worse than version 1, the best so far (70.0): difference −10.0, 95 % "
    )


def test_the_same_model_again_is_as_good(planted: Any) -> None:
    rows = {"de": right(0.7), "tr": right(0.6)}
    found = against(
        model_of(planted, rows), model_of(planted, rows), rows_of=lambda version: ByLanguage(rows)
    )
    assert found.is_champion
    assert "0.0, 95 % interval 0.0 to 0.0" in found.reason


@pytest.mark.parametrize("kept", [{"de": right(0.5)}, {"de": right(0.9), "tr": right(0.9)}, None])
def test_rows_that_are_not_of_the_score_are_not_used(kept: Any, planted: Any) -> None:
    """They lack a language, or another retrain wrote over them."""
    rows = {"de": right(0.7), "tr": right(0.6)}
    found = against(
        model_of(planted, rows),
        model_of(planted, rows),
        rows_of=lambda version: kept and ByLanguage(kept),
    )
    assert "from the number of rows alone (100 in each language)" in found.reason
    assert not found.is_champion


def test_the_measure_is_the_best_version_so_far(planted: Any) -> None:
    """Though a worse one stands: it was promoted, or the best one could not be shown to be it."""
    best, standing, new = (claim(planted, *(x, x, x)) for x in (0.70, 0.60, 0.65))
    found = against(new, best, standing, standing=2)
    assert not found.is_champion
    assert "worse than version 1, the best so far (70.0): difference −5.0" in found.reason
    # A version of other rows is no measure.
    elsewhere = claim(planted, 0.9, 0.9, data="d2")
    found = against(new, elsewhere, standing, standing=2)
    assert found.is_champion
    assert "version 2, the best so far (60.0)" in found.reason
    broken = {"1": {}, "2": standing.to_tags()}
    assert decide("m", new, "2", broken).is_champion
    equal = against(new, standing, standing, standing=2)
    assert "version 2, the best so far" in equal.reason


def test_an_older_version_is_compared_by_its_seeds(planted: Any) -> None:
    """It has no score of its own; the new one has."""
    old = claim(planted, 0.6, 0.61, 0.62)
    new = replace(claim(planted, 0.7, 0.71, 0.72), model_mean=0.5, num_rows=100)
    found = against(new, old)
    assert found.is_champion
    assert "(61.0): difference +10.0, 95 % interval" in found.reason
    assert "over 3 and 3 seeds" in found.reason


def test_the_first_is_champion(planted: Any) -> None:
    assert decide("m", claim(planted, 0.1), None, {}) == Decision(
        name="m", is_champion=True, reason="there was no champion before"
    )


@pytest.mark.parametrize(
    ("standing", "message"),
    [
        (
            {"data": "d2"},
            r"protocol \(data\), so the two cannot be compared; --promote makes",
        ),
        ({"selection": "source_dev", "rows": 9}, r"another protocol \(selection, rows\)"),
        (None, "has no recorded score, so the two cannot be compared"),
    ],
)
def test_scores_of_another_protocol_are_not_compared(
    standing: dict[str, Any] | None, message: str, planted: Any
) -> None:
    tags = {} if standing is None else claim(planted, 0.1, 0.2, **standing).to_tags()
    new = claim(planted, 0.8, 0.9)
    found = decide("m", new, "1", {"1": tags})
    assert not found.is_champion
    assert re.search(message, found.reason)
    forced = decide("m", new, "1", {"1": tags}, is_forced=True)
    assert forced.is_champion
    assert "--promote was given" in forced.reason


# ---- simulated chains of versions


def chain_by_seeds(
    planted: Any, rng: np.random.Generator, levels: Sequence[float], std: float
) -> tuple[int, float]:
    """How many later versions take the alias, and how far the last champion is truly under the
    first version. Five seeds each, compared by their means."""
    protocol = claim(planted, 0.5).protocol
    versions: dict[str, dict[str, str]] = {}
    standing, takes = None, 0
    for number, level in enumerate(levels):
        new = Claim(protocol=protocol, means=tuple(rng.normal(level, std, 5)))
        if decide("m", new, standing, versions).is_champion:
            standing, takes = str(number), takes + (number > 0)
        versions[str(number)] = new.to_tags()
    assert standing is not None
    return takes, levels[0] - levels[int(standing)]


@pytest.mark.parametrize(("step", "std"), [(0.010, 0.015), (0.005, 0.010), (0.010, 0.030)])
def test_ten_versions_that_are_each_a_little_worse_do_not_wear_the_quality_down(
    step: float, std: float, planted: Any
) -> None:
    """Where what is not significantly worse takes the alias, these lose 5.5, 3.4 and 8.3 points."""
    rng, levels = np.random.default_rng(0), [0.70 - step * number for number in range(10)]
    found = [chain_by_seeds(planted, rng, levels, std) for _ in range(400)]
    assert np.mean([loss for _, loss in found]) < 0.0005
    assert np.mean([takes > 0 for takes, _ in found]) < 0.01


@pytest.mark.parametrize(
    ("lead", "std", "low", "high"),
    [
        (0.00, 0.015, 0.02, 0.08),
        (0.01, 0.015, 0.14, 0.26),
        (0.01, 0.010, 0.34, 0.48),
        (0.03, 0.015, 0.80, 0.92),
        (0.03, 0.010, 0.97, 1.00),
    ],
)
def test_how_often_a_better_version_takes_the_alias_by_its_seeds(
    lead: float, std: float, low: float, high: float, planted: Any
) -> None:
    rng = np.random.default_rng(0)
    found = [chain_by_seeds(planted, rng, (0.70, 0.70 + lead), std)[0] for _ in range(400)]
    assert low < np.mean(found) < high


class Rows:
    """Test rows of which some are harder: models that are right in 70 % agree on 85 % of them."""

    def __init__(self, rng: np.random.Generator, protocol: Any) -> None:
        self.rng, self.protocol = rng, protocol
        self.hardness = rng.normal(size=NUM_ROWS)

    def model(self, level: float) -> Claim:
        noise = 0.85**0.5 * self.hardness + 0.15**0.5 * self.rng.normal(size=NUM_ROWS)
        rows = (noise < ndtri(level)).astype(np.uint8)
        own = float(rows.mean())
        given = {"model_mean": own, "num_rows": NUM_ROWS, "rows": ByLanguage({"de": rows})}
        return Claim(protocol=self.protocol, means=(own,), **given)


def chain_by_rows(
    planted: Any, rng: np.random.Generator, levels: Sequence[float]
) -> tuple[int, float]:
    """The same of models, compared row by row."""
    world, kept = Rows(rng, claim(planted, 0.5).protocol), dict[str, Claim]()
    standing, takes = None, 0
    for number, level in enumerate(levels):
        new = world.model(level)
        tags = {version: other.to_tags() for version, other in kept.items()}
        found = decide("m", new, standing, tags, rows_of=lambda version: kept[version].rows)
        if found.is_champion:
            standing, takes = str(number), takes + (number > 0)
        kept[str(number)] = new
    assert standing is not None
    return takes, levels[0] - levels[int(standing)]


def test_how_often_a_model_takes_the_alias_by_its_rows(planted: Any) -> None:
    """One that is equal, better by one and by three points; and twenty that are each 0.1 worse."""
    rng = np.random.default_rng(0)
    takes = {
        lead: np.mean([chain_by_rows(planted, rng, (0.7, 0.7 + lead))[0] for _ in range(300)])
        for lead in (0.0, 0.01, 0.03)
    }
    assert 0.02 < takes[0.0] < 0.11
    assert 0.30 < takes[0.01] < 0.48
    assert takes[0.03] > 0.96
    slow = [
        chain_by_rows(planted, rng, [0.7 - number / 1000 for number in range(20)])[1]
        for _ in range(20)
    ]
    assert np.mean(slow) < MARGIN / 3


def test_a_wider_margin_would_let_more_of_them_down(
    planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the chains above can fail."""
    monkeypatch.setattr(champion, "MARGIN", 0.03)
    rng, levels = np.random.default_rng(0), [0.70 - 0.01 * number for number in range(10)]
    found = [chain_by_seeds(planted, rng, levels, 0.01)[1] for _ in range(100)]
    assert np.mean(found) > 0.005
