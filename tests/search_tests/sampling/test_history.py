"""What is kept of trials that ended, and which of them a sampler is to see."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.sampling.history import (
    BROKEN,
    INCOMPLETE,
    MEASURE,
    REASON,
    History,
    PlanResult,
    informative_trials,
)
from search.sampling.warm_start import DUPLICATE_OF
from search.trials.feasibility import BaselineMeasure
from search.trials.spending import TrialSpending
from spaces.space import SearchSpace
from spaces.study_file.study import StudySettings

PARAMS = {"intermediate": "none", "target.learning_rate": 1e-3}


@pytest.fixture
def space(settings_of: Callable[..., StudySettings]) -> SearchSpace:
    return settings_of().search_space()


def trial(space: SearchSpace, number: int, state: TrialState, **marks: Any) -> FrozenTrial:
    fixed = optuna.trial.FixedTrial(PARAMS)
    space.suggest(fixed)
    made = optuna.trial.create_trial(
        state=state,
        params=PARAMS,
        distributions=fixed.distributions,
        value=0.6 if state is TrialState.COMPLETE else None,
        user_attrs=marks,
    )
    made.number = number
    return made


def test_a_scored_trial_is_counted_once_and_told(space: SearchSpace) -> None:
    history = History(space)
    measure = {"objective": 0.6, "scores": {}}
    done = trial(space, 3, TrialState.COMPLETE, **{MEASURE: measure})
    history.spent[3] = TrialSpending(10.0, 7200.0)
    for _ in range(2):
        assert history.remember(done) is None
    plan = space.decode(PARAMS)
    assert history.results == {plan: PlanResult(3, (0.6,), {})}
    assert history.measures == [BaselineMeasure(plan, **measure)]
    assert (history.num_counted, history.gpu_hours) == (1, 2.0)


@pytest.mark.parametrize(
    ("state", "marks"),
    [
        (TrialState.RUNNING, {}),
        (TrialState.FAIL, {INCOMPLETE: True}),
        (TrialState.COMPLETE, {DUPLICATE_OF: 0}),
    ],
)
def test_what_does_not_count(space: SearchSpace, state: TrialState, marks: dict[str, Any]) -> None:
    history = History(space)
    assert history.remember(trial(space, 1, state, **marks)) is None
    assert (history.num_counted, history.results) == (0, {})


def test_a_broken_worker_says_nothing_of_its_plan_and_counts(space: SearchSpace) -> None:
    history = History(space)
    broken = trial(space, 1, TrialState.FAIL, **{BROKEN: True, REASON: "died"})
    assert history.remember(broken) == space.decode(PARAMS)
    assert history.remember(broken) is None
    assert (history.num_counted, history.results) == (1, {})


def test_samplers_see_each_plan_once_and_what_is_known_of_it(space: SearchSpace) -> None:
    trials = [
        trial(space, 0, TrialState.COMPLETE),
        trial(space, 1, TrialState.COMPLETE, **{DUPLICATE_OF: 0}),
        trial(space, 2, TrialState.FAIL, **{REASON: "it diverged"}),
        trial(space, 3, TrialState.FAIL),
        trial(space, 4, TrialState.FAIL, **{BROKEN: True, REASON: "died"}),
        trial(space, 5, TrialState.RUNNING),
    ]
    states = [one.state for one in informative_trials(trials)]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]
