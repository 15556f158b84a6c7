import dataclasses
from typing import Any

import pytest

from spaces.domains import Choice, Grid, Range
from spaces.lora import Adapters
from spaces.phases import Recipe
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

RECIPE = Recipe(num_steps=10, batch_size=4, max_length=64)
BOTH = Adapters(ranks=(4, 8), learning_rate_factor=10.0)


def test_a_rank_is_a_parameter_of_its_phase() -> None:
    assert BOTH.domains("target") == {"target.lora_rank": Choice(("none", 4, 8))}
    only = dataclasses.replace(BOTH, roles=("target",))
    assert only.domains("intermediate") == {}
    assert only.apply("intermediate", {}, 1e-4, RECIPE) == (1e-4, RECIPE)


def test_a_phase_with_adapters_trains_at_a_rate_of_its_own() -> None:
    rate, recipe = BOTH.apply("target", {"target.lora_rank": 8.0}, 1e-4, RECIPE)
    assert rate == pytest.approx(1e-3)
    assert recipe == dataclasses.replace(RECIPE, lora_rank=8)
    assert type(recipe.lora_rank) is int, "or its phases would get keys of their own"
    assert BOTH.apply("target", {"target.lora_rank": "none"}, 1e-4, RECIPE) == (1e-4, RECIPE)


@pytest.mark.parametrize("params", [{}, {"target.lora_rank": 5}])
def test_a_rank_that_is_none_of_these(params: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=r"target\.lora_rank is (None|5); expected one of none, 4"):
        BOTH.apply("target", params, 1e-4, RECIPE)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(Refusal, match=r"space\.lora\.ranks needs values, each once; got \[4, 4\]"):
        Adapters(ranks=(4, 4))
    with pytest.raises(Refusal, match=r"space\.lora\.phases needs values"):
        Adapters(ranks=(4,), roles=())
    own = dataclasses.replace(RECIPE, lora_rank=2)
    with pytest.raises(Refusal, match="leave one of them out"):
        BOTH.check("target", own, Grid((1e-4,)))
    for rates in (Grid((1e-4, 0.2)), Range(1e-4, 0.2)):
        with pytest.raises(Refusal, match=r"keeps the highest target rate, 0\.2, below 1"):
            BOTH.check("target", RECIPE, rates)
    dataclasses.replace(BOTH, roles=("intermediate",)).check("target", own, Grid((0.9,)))


def test_a_study_says_ranks_and_phases(tables: Any) -> None:
    lora = {"ranks": [8], "phases": ["target"], "learning_rate_factor": 5}
    settings = StudySettings.parse(tables({"space.lora": lora}))
    space = settings.search_space()
    assert space.adapters == Adapters(ranks=(8,), roles=("target",), learning_rate_factor=5.0)
    assert settings.digest() != StudySettings.parse(tables()).digest()
    assert all(point["target.lora_rank"] == "none" for point in space.first_points())
    with pytest.raises(Refusal, match=r"unknown key .*'rank'\. Did you mean 'ranks'"):
        StudySettings.parse(tables({"space.lora": {"rank": [8]}}))
