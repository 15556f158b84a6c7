"""The order of options from made estimates, what is tried first because of it, how right it was."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from search.planning.priors import (
    Agreement,
    Estimate,
    Priors,
    RankedOption,
    first_points,
    hindsight,
    num_first,
    priors_of,
    rank_options,
    ranked_options,
)
from search.trials.ranking import TrialState
from spaces.json_values import to_json
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from tests.by_name import sources_of
from trainables.scoring.scores import Mark

Settings = Callable[..., StudySettings]
FACT, COH, REL = sources_of(["fact", "coh", "rel"])
ESTIMATES = {
    FACT: Estimate(logme=0.4, similarity={"rel": 0.9, "retrieval": 0.5}),
    COH: Estimate(logme=0.1, similarity={"rel": 0.6, "retrieval": 0.4}),
}


def test_options_are_ranked_by_the_mean_of_their_ranks(settings_of: Settings) -> None:
    rows = rank_options(settings_of().search_space(), ESTIMATES)
    assert [(row.place, row.option, row.rank) for row in rows] == [
        (1, "fact", 1.0),
        (2, "coh+fact", 2.0),
        (3, "coh", 3.0),
    ]
    assert rows[0].ranks == {"logme": 1.0, "similarity": 1.0}, "typology tells nothing apart"
    assert rows[0].similarity == pytest.approx(0.7), "the mean over the targets"


def test_a_mixture_has_the_weighted_mean_of_its_members(settings_of: Settings) -> None:
    space = settings_of(space={"intermediate": ["none", "fact", "rel", "all"]}).search_space()
    rows = rank_options(space, {FACT: ESTIMATES[FACT], REL: ESTIMATES[COH]})
    mixed = next(row for row in rows if row.option == "all")
    share = mixed.shares["fact@en"]
    assert mixed.logme == pytest.approx(share * 0.4 + (1 - share) * 0.1)
    assert mixed.similarity_by_target["rel"] == pytest.approx(share * 0.9 + (1 - share) * 0.6)


def test_what_is_not_estimable_is_last_by_that_kind(settings_of: Settings) -> None:
    space = settings_of(space={"intermediate": ["fact", "coh", "rel"]}).search_space()
    silent = Estimate(logme=None, similarity={"rel": 0.99})
    rows = {row.option: row for row in rank_options(space, {**ESTIMATES, REL: silent})}
    assert (rows["rel"].ranks["logme"], rows["rel"].ranks["similarity"]) == (3.0, 1.0)
    assert rows["fact"].rank == 1.5
    assert rows["rel"].rank == 2.0


def test_without_any_estimate_the_file_s_order_stays(settings_of: Settings) -> None:
    nothing = {source: Estimate(logme=None) for source in (FACT, COH)}
    rows = rank_options(settings_of().search_space(), nothing)
    assert [row.option for row in rows] == ["fact", "coh", "coh+fact"]
    assert {row.rank for row in rows} == {2.0}


def test_typology_counts_where_sources_are_in_several_languages(settings_of: Settings) -> None:
    space = settings_of(space={"intermediate": ["fact@en", "fact@es"]}).search_space()
    near = {
        FACT: Estimate(logme=0.1, typology=0.4),
        Source(SHIPPED.get("fact"), "es"): Estimate(logme=0.1, typology=0.9),
    }
    rows = rank_options(space, near)
    assert [row.option for row in rows] == ["fact@es", "fact@en"]
    assert [row.ranks for row in rows] == [{"typology": 1.0}, {"typology": 2.0}]


def test_the_better_half_is_tried_first_at_middle_rates(settings_of: Settings) -> None:
    space = settings_of(
        space={
            "intermediate": ["none", "fact", "coh", "rel", "all", "coh+fact"],
            "intermediate_learning_rate": [3e-3, 1e-3, 2e-3],
            "target_learning_rate": {"low": 1e-4, "high": 1e-2},
        }
    ).search_space()
    assert num_first(space) == 3
    points = first_points(space, ["rel", "all", "fact", "coh", "coh+fact"])
    assert [point["intermediate"] for point in points] == ["rel", "all", "fact"]
    assert points[0]["intermediate.learning_rate"] == 2e-3
    assert points[0]["target.learning_rate"] == pytest.approx(1e-3)
    for point in points:
        assert not space.decode(point).is_baseline


def test_two_at_least_and_none_twice(settings_of: Settings) -> None:
    point = {
        "intermediate": "coh",
        "intermediate.learning_rate": 1e-3,
        "target.learning_rate": 1e-3,
    }
    space = settings_of(
        space={"intermediate": ["none", "fact", "coh"], "points": [point]}
    ).search_space()
    assert num_first(space) == 2
    points = first_points(space, ["coh", "fact"])
    assert [one["intermediate"] for one in points] == ["fact"], "the file tries coh so anyway"


def test_masking_is_left_out_of_what_comes_first(settings_of: Settings) -> None:
    space = settings_of(space={"mlm": {"text": "text", "languages": ["de"]}}).search_space()
    points = first_points(space, ["fact", "coh"])
    assert [point["mlm.share"] for point in points] == [0.0, 0.0]
    assert all(space.decode(point).intermediate is not None for point in points)


@pytest.mark.parametrize(
    "keys",
    [
        {"space": {"mixture": "shares", "intermediate": ["none", "fact", "coh"]}},
        {"study": {"sampler": "grid"}},
    ],
)
def test_a_simplex_and_a_grid_are_ranked_but_try_nothing_first(
    keys: dict[str, Any], settings_of: Settings
) -> None:
    space = settings_of(**keys).search_space()
    priors = priors_of(space, ESTIMATES, ["a note"])
    assert priors.options[0].option == "fact"
    assert set(ranked_options(space)) >= {"fact", "coh"}
    assert priors.first == ()


def test_the_record_keeps_them_field_for_field_and_gives_them_back(settings_of: Settings) -> None:
    priors = priors_of(settings_of().search_space(), ESTIMATES, ["a note"])
    stored = json.loads(json.dumps(to_json(priors)))
    assert list(stored) == ["options", "sources", "notes", "first"]
    assert stored["options"][0] == {
        "option": "fact",
        "shares": {"fact@en": 1.0},
        "logme": 0.4,
        "similarity": 0.7,
        "similarity_by_target": {"rel": 0.9, "retrieval": 0.5},
        "typology": None,
        "ranks": {"logme": 1.0, "similarity": 1.0},
        "rank": 1.0,
        "place": 1,
    }
    of_coh = {"logme": 0.1, "similarity": {"rel": 0.6, "retrieval": 0.4}, "typology": None}
    assert stored["sources"]["coh@en"] == {**of_coh, "rows": ""}
    assert stored["first"][0]["intermediate"] == "fact"
    assert Priors.from_dict(stored) == priors


def priors(*options: str) -> Priors:
    ranked = [
        RankedOption(option=name, rank=float(place), place=place)
        for place, name in enumerate(options, start=1)
    ]
    return Priors(options=tuple(ranked))


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
    assert found.mean == Agreement(correlation=pytest.approx(0.5), chance=pytest.approx(0.5))


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
