"""How long a study would take: stages once, trials side by side, checked by hand on made costs."""

from collections.abc import Callable
from typing import Any

import pytest

from search.planning.forecast import (
    MAX_KINDS,
    StageCost,
    drawn_plans,
    forecast,
    kind_of,
    kinds_of,
)
from search.planning.plan import stage_paths
from spaces.phases import Recipe, TrialPlan
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
RECIPE = Recipe(num_steps=100, batch_size=1, max_length=8)


def cost(*steps: float, dev: float = 0.0, around: float = 0.0) -> StageCost:
    return StageCost(steps=steps, dev=dev, around=around)


def test_a_stage_takes_its_steps_and_what_is_around_them() -> None:
    even = cost(0.1, 0.1, 0.1, around=2.0)
    assert even.seconds(RECIPE) == pytest.approx(12.0)
    assert even.seconds(RECIPE, off=1.0) == pytest.approx(12.0)
    early = Recipe(num_steps=100, batch_size=1, max_length=8, evaluate_every=30, patience=1)
    assert cost(0.1, dev=5.0).seconds(early) == pytest.approx(10 + 3 * 5)


def test_the_range_is_a_standard_deviation_of_a_step() -> None:
    uneven = cost(0.1, 0.2, 0.3)
    assert uneven.seconds(RECIPE) == pytest.approx(20)
    assert uneven.seconds(RECIPE, off=1) == pytest.approx(30)
    assert uneven.seconds(RECIPE, off=-1) == pytest.approx(10)
    assert uneven.seconds(RECIPE, off=-2) == pytest.approx(10), "not below the fastest step"


@pytest.mark.parametrize("space", [{}, {"intermediate_learning_rate": {"low": 1e-4, "high": 1e-2}}])
def test_plans_are_drawn_like_a_search_s(space: dict[str, Any], settings_of: Settings) -> None:
    settings = settings_of(space=space, budget={"num_trials": 9})
    plans = drawn_plans(settings)
    first = settings.search_space().first_points()
    assert plans[: len(first)] == [settings.search_space().decode(point) for point in first]
    assert len(plans) == len(set(plans)) == 9
    assert plans == drawn_plans(settings)


def test_not_more_plans_than_the_space_has(settings_of: Settings) -> None:
    settings = settings_of(budget={"num_trials": 40})
    assert len(drawn_plans(settings)) == len(settings.search_space().grid_points()) == 14
    grid = settings_of(study={"sampler": "grid"}, budget={"num_trials": 5})
    assert drawn_plans(grid) == [
        grid.search_space().decode(point) for point in grid.search_space().grid_points()[:5]
    ]


def test_kinds_are_of_tasks_and_of_task_kinds_where_they_are_many(settings_of: Settings) -> None:
    few = kinds_of(drawn_plans(settings_of(budget={"num_trials": 14})))
    assert {kind.name for kind in few} == {"rel", "fact", "coh", "coh+fact"}
    languages = ("de", "es", "fr", "ja", "zh", "ru", "ar", "hi", "sw", "tr", "en", "fi")
    sources = ["none", *(f"fact@{code}" for code in languages)]
    settings = settings_of(space={"intermediate": sources}, budget={"num_trials": 50})
    plans = drawn_plans(settings)
    many = kinds_of(plans)
    assert {kind.name for kind in many} == {"any choice", "any classification"}
    assert len(many) <= MAX_KINDS
    for plan in plans:
        assert all(kind_of(path[-1], many) in many for path in stage_paths(plan))


def made(settings: StudySettings, *, side: int) -> tuple[list[TrialPlan], Any]:
    """Two baselines, then `fact` at one rate with both target rates."""
    space = settings.search_space()
    rates = {"intermediate": "fact", "intermediate.learning_rate": 1e-3}
    points = [
        *({"intermediate": "none", "target.learning_rate": rate} for rate in (1e-3, 3e-3)),
        *({**rates, "target.learning_rate": rate} for rate in (1e-3, 3e-3)),
    ]
    plans = [space.decode(point) for point in points]
    costs = {kind: cost(0.1, 0.1) for kind in kinds_of(plans)}
    found = forecast(
        settings,
        plans,
        costs,
        {"rel": 1.0, "retrieval": 0.5},
        startup=3.0,
        phase_bytes=10,
        max_concurrent=side,
    )
    return plans, found


def test_equal_stages_count_once(settings_of: Settings) -> None:
    """20 steps of the intermediate, 60 of a target: 2 s and 6 s; a trial is scored in 1.5 s."""
    _, found = made(settings_of(), side=1)
    assert (found.num_trials, found.num_phases, found.num_stages) == (4, 6, 5)
    assert found.training_seconds == pytest.approx(2 + 4 * 6)
    assert found.saved_seconds == pytest.approx(2)
    assert found.evaluation_seconds == pytest.approx(6)
    assert found.seconds == pytest.approx(3 + 26 + 6)
    assert found.low == found.high == pytest.approx(found.seconds)
    assert (found.disk_bytes, found.gpu_hours) == (50, None)


def test_trials_run_side_by_side(settings_of: Settings) -> None:
    """7.5 and 7.5, then 9.5 (with the stem) beside 7.5 (without it)."""
    _, found = made(settings_of(), side=2)
    assert found.seconds == pytest.approx(3 + 7.5 + 9.5)


def test_workers_share_steps_and_hold_gpus(settings_of: Settings) -> None:
    resources = {"num_workers": 2, "gpus_per_worker": 1, "max_concurrent_trials": 1}
    _, found = made(settings_of(resources=resources), side=1)
    assert found.training_seconds == pytest.approx(13)
    assert found.gpu_hours == pytest.approx((13 + 6) * 2 / 3600)
