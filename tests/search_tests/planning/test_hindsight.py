"""How right the priors were: by hand, by chance, and against a permutation test."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from search.planning.hindsight import Agreement, hindsight
from search.planning.priors import PriorOption, Priors
from search.trials.ranking import TrialState
from trainables.scoring.scores import Mark


def priors(*options: str) -> Priors:
    places = enumerate(options, start=1)
    return Priors(options=tuple(PriorOption(option=o, rank=float(n), place=n) for n, o in places))


def test_hindsight_by_hand(planted: Any) -> None:
    rows = (
        planted.scored(0, 0.50, None),
        planted.scored(1, 0.60, "fact"),
        planted.scored(2, 0.70, "fact", rate=1e-3),
        planted.scored(3, 0.68, "coh"),
        planted.scored(4, 0.40, "rel"),
        planted.scored(5, 0.20, "rel", rate=9e-4, mark=Mark.COLLAPSED),
        planted.unscored(6, TrialState.PRUNED),
    )
    found = hindsight(priors("fact", "coh", "rel", "ner"), rows)
    assert found is not None
    fact, _, rel, ner = found.options
    assert (fact.num_trials, fact.mean) == (2, pytest.approx(0.65))
    assert (rel.num_trials, rel.mean) == (2, pytest.approx(0.30)), "a collapsed one counts"
    assert (ner.num_trials, ner.mean) == (0, None)
    assert found.num_tried == 3
    assert found.mean == Agreement(correlation=0.5, chance=0.5)


def test_options_that_are_tried_more_do_not_look_better(planted: Any) -> None:
    """All plans are noise around one level; what is ranked first is tried more."""
    names, rng, agreed = ("fact", "coh", "rel", "ner", "seq", "all"), np.random.default_rng(0), 0
    row = planted.scored(0, 0.6, "fact")
    for _ in range(400):
        rows = [
            replace(row, params={"intermediate": name}, objective=float(rng.normal(0.6, 0.02)))
            for name, count in zip(names, (5, 3, 2, 1, 1, 1), strict=True)
            for _ in range(count)
        ]
        found = hindsight(priors(*names), rows)
        assert found is not None
        assert found.mean is not None
        agreed += found.mean.chance < 0.05
    assert agreed <= 30


def test_chance_is_that_of_all_orders(planted: Any) -> None:
    names, levels = ("fact", "coh", "rel", "ner", "seq"), (0.5, 0.6, 0.3, 0.4, 0.2)
    rows = [
        planted.scored(i, level, name)
        for i, (name, level) in enumerate(zip(names, levels, strict=True))
    ]
    found = hindsight(priors(*names), rows)
    assert found is not None
    ranks = [-1.0, -2.0, -3.0, -4.0, -5.0]
    expected = permutation_test(
        (ranks,),
        lambda one: spearmanr(one, levels).statistic,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=200,
    )
    assert found.mean is not None
    assert found.mean.correlation == pytest.approx(expected.statistic)
    assert found.mean.chance == pytest.approx(expected.pvalue)


def test_of_two_options_nothing_is_said(planted: Any) -> None:
    rows = [planted.scored(0, 0.6, "fact"), planted.scored(1, 0.5, "coh")]
    found = hindsight(priors("fact", "coh"), rows)
    assert found is not None
    assert found.mean is None
    assert hindsight(None, rows) is None
