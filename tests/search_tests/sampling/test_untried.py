"""Which plans are left, where the space has an end and where it has none."""

from collections.abc import Callable

import pytest

from search.sampling.untried import Untried
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
SMALL = {"intermediate": ["none", "fact"], "intermediate_learning_rate": [1e-3, 2e-3]}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"lora": {"ranks": [4, 8]}},
        {"mlm": {"text": "text", "languages": ["de"], "shares": [0.1, 0.2]}},
        {"intermediate": ["none", "fact", "coh", "fact+coh", "all"]},  # two are the same plan
    ],
    ids=["lists", "adapters", "masking", "equal plans"],
)
def test_it_is_empty_once_every_plan_is_asked(
    more: dict[str, object], settings_of: Settings
) -> None:
    space = settings_of(space={**SMALL, **more}).search_space()
    plans = {space.decode(point) for point in space.grid_points()}
    untried = Untried(space)
    for number in range(len(plans)):
        assert not untried.is_empty
        plan = space.decode(untried.random_point(str(number)))
        assert plan in untried
        untried.on_asked(plan)
        assert plan not in untried
        plans.discard(plan)
    assert untried.is_empty
    assert not plans


def test_a_range_and_a_simplex_have_no_end(settings_of: Settings) -> None:
    rates = {"low": 1e-4, "high": 1e-2}
    for keys in (
        {"intermediate_learning_rate": rates},
        {"target_learning_rate": rates},
        {"intermediate": ["none", "fact", "coh"], "mixture": "shares"},
    ):
        space = settings_of(space={**SMALL, **keys}).search_space()
        untried = Untried(space)
        assert not untried.is_finite
        first = space.decode(space.first_points()[0])
        untried.on_asked(first)
        assert first not in untried
        assert not untried.is_empty


def test_which_one_is_taken_is_a_function_of_the_seed(settings_of: Settings) -> None:
    untried = Untried(settings_of(space=SMALL).search_space())
    drawn = [untried.random_point(f"1:{index}") for index in range(40)]
    assert drawn == [untried.random_point(f"1:{index}") for index in range(40)]
    assert len({tuple(sorted(params.items())) for params in drawn}) == 6, "all of them come up"


def test_a_broken_one_is_asked_once_more_and_last(settings_of: Settings) -> None:
    space = settings_of(space=SMALL).search_space()
    first, *rest = [space.decode(point) for point in space.grid_points()]
    untried = Untried(space)
    untried.on_asked(first)
    untried.on_broken(first)
    assert first not in untried, "others are left"
    for plan in rest:
        untried.on_asked(plan)
    assert first in untried
    assert not untried.is_empty
    assert space.decode(untried.random_point("x")) == first
    untried.on_asked(first)
    untried.on_broken(first)
    assert untried.is_empty


def test_a_broken_one_of_a_range_may_be_asked_at_once(settings_of: Settings) -> None:
    rates = {"low": 1e-4, "high": 1e-2}
    space = settings_of(space={**SMALL, "target_learning_rate": rates}).search_space()
    untried, plan = Untried(space), space.decode(space.first_points()[0])
    untried.on_asked(plan)
    untried.on_broken(plan)
    assert plan in untried
