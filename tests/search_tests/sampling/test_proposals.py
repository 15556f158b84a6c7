"""What is proposed next, without a database: nothing is asked but in these tests' heads."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from search.sampling import drawing
from search.sampling.proposals import SAMPLER, SPACE, Proposals
from spaces.space import SearchSpace
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
SMALL = {"intermediate": ["none", "fact"], "intermediate_learning_rate": [1e-3, 2e-3]}


def asked(proposals: Proposals, space: SearchSpace) -> dict[str, Any] | None:
    """The next one, as if its trial ran."""
    drawn = proposals.next([])
    if drawn is None:
        return None
    proposals.on_asked(space.decode(drawn.params))
    return dict(drawn.params)


def test_first_the_points_of_every_study_then_those_that_were_added(settings_of: Settings) -> None:
    settings = settings_of()
    space, proposals = settings.search_space(), Proposals(settings, [])
    points = space.first_points()
    added = {**points[0], "intermediate": "fact", "intermediate.learning_rate": 1e-3}
    proposals.add([added])
    assert [asked(proposals, space) for _ in range(len(points) + 1)] == [*points, added]


def test_every_plan_once_and_then_nothing(settings_of: Settings) -> None:
    settings = settings_of(study={"sampler": "random"}, space=SMALL)
    space, proposals = settings.search_space(), Proposals(settings, [])
    found = []
    while (params := asked(proposals, space)) is not None:
        found.append(space.decode(params))
    assert len(set(found)) == len(found) == len(space.grid_points())
    assert (proposals.is_used_up, proposals.exhausted) == (True, SPACE)
    proposals.on_broken(found[0])
    assert not proposals.is_used_up, "that says nothing of the plan"
    assert space.decode(asked(proposals, space) or {}) == found[0]


def test_a_grid_is_tried_point_by_point(settings_of: Settings) -> None:
    settings = settings_of(study={"sampler": "grid"}, space=SMALL)
    space, proposals = settings.search_space(), Proposals(settings, [])
    points = space.grid_points()
    assert [asked(proposals, space) for _ in points] == points
    assert proposals.is_used_up


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_is_sure_is_asked_again_once_it_was_told_something(
    settings_of: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"low": 1e-4, "high": 1e-2}
    space = {"intermediate_learning_rate": rates, "target_learning_rate": rates}
    settings = settings_of(space=space)
    proposals = Proposals(settings, [])
    for point in settings.search_space().first_points():
        assert asked(proposals, settings.search_space()) == point
    same = {"intermediate": "none", "target.learning_rate": 1e-3}
    sure = optuna.samplers.PartialFixedSampler(same, optuna.samplers.RandomSampler(seed=0))
    monkeypatch.setattr(drawing, "sampler_for", lambda settings, index, fixed: sure)
    assert asked(proposals, settings.search_space()) == same
    assert asked(proposals, settings.search_space()) is None
    assert (proposals.is_used_up, proposals.exhausted) == (True, SAMPLER)
    proposals.on_result()
    assert (proposals.is_used_up, proposals.exhausted) == (False, None)
