"""The order of options from made estimates, and what is tried first because of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from search.display.json_form import from_json, to_json
from search.planning.priors import (
    Estimate,
    Priors,
    first_points,
    num_first,
    priors_of,
    rank_options,
    ranked_options,
)
from spaces.study import StudySettings
from spaces.task_catalog import Source

Settings = Callable[..., StudySettings]
FACT, COH, REL = Source("fact", "en"), Source("coh", "en"), Source("rel", "en")
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
        Source("fact", "es"): Estimate(logme=0.1, typology=0.9),
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
    content = json.loads(json.dumps(to_json(priors)))
    assert from_json(Priors, content, where="priors") == priors
