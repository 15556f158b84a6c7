"""What trials took, and when the budget has no room for another: by a clock that is set by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search.trials.ranking import TrialState
from search.trials.spending import Spending, TrialSpending, gpu_hours_left, spent_gpu_hours
from spaces.study_file.sections import BudgetSection
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spending(settings_of: Settings, clock: Clock) -> Callable[..., Spending]:
    def make(
        before: dict[int, TrialSpending] | None = None, scored: Any = (), **budget: Any
    ) -> Spending:
        settings = settings_of(
            budget={"num_trials": 9, **budget}, resources={"num_workers": 2, "gpus_per_worker": 4}
        )
        return Spending(settings, before or {}, scored, clock=clock)

    return make


def test_gpu_hours_are_of_all_drivers_and_of_running_trials(
    spending: Callable[..., Spending], clock: Clock
) -> None:
    """Trial 0 is finished, trial 1 was left by an earlier driver that had other GPUs."""
    before = {0: TrialSpending(HOUR, HOUR), 1: TrialSpending(HOUR, 2 * HOUR)}
    one = spending(before, [0], max_gpu_hours=20)
    assert one.gpu_hours == 3
    one.begin(1)
    one.begin(2)
    clock.now += HOUR / 2
    assert one.took(1) == TrialSpending(1.5 * HOUR, 6 * HOUR)
    assert one.gpu_hours == 1 + 6 + 4
    assert one.limit is None
    assert one.end(2, is_scored=False) == TrialSpending(HOUR / 2, 4 * HOUR)
    clock.now += HOUR
    assert one.took(2) == TrialSpending(HOUR / 2, 4 * HOUR), "it is over"
    assert one.gpu_hours == 1 + 14 + 4
    assert one.limit is None, "the scored trial took one GPU-hour, and one is left"
    clock.now += HOUR / 8
    assert one.limit == "max_gpu_hours is reached: trials took 20.00 of 20 GPU-hours"


def test_no_trial_that_would_take_more_gpu_hours_than_are_left(
    spending: Callable[..., Spending], clock: Clock
) -> None:
    """Those that run are counted as long as the median, or as what they took already."""
    one = spending(
        {0: TrialSpending(HOUR, 8 * HOUR), 1: TrialSpending(HOUR, 8 * HOUR)},
        [0, 1],
        max_gpu_hours=40,
    )
    one.begin(2)
    clock.now += HOUR / 4
    assert one.limit is None, "16 and 8 are taken, or will be; 16 are left for trials of 8"
    one.begin(3)
    assert one.limit is None, "8 are left"
    clock.now += HOUR
    assert one.limit == (
        "max_gpu_hours leaves 6.00 of 40 GPU-hours once the trials that run are over, and the "
        "median of the scored ones took 8.00"
    )
    one.end(3, is_scored=False)
    one.end(2, is_scored=False)
    assert one.gpu_hours == 16 + 10 + 8


def test_no_trial_that_would_end_after_the_deadline(
    spending: Callable[..., Spending], clock: Clock
) -> None:
    one = spending(max_hours=4)
    assert one.limit is None, "how long a trial takes is not known yet"
    for number, hours in enumerate((0.5, 1.0, 1.25)):
        one.begin(number)
        clock.now += hours * HOUR
        one.end(number, is_scored=True)
    one.begin(3)
    one.end(3, is_scored=False)
    assert one.limit is None, "1.25 hours are left, the median is 1"
    clock.now += 0.5 * HOUR
    assert one.limit == (
        "max_hours leaves 0.75 of 4 hours, and the median of the scored trials took 1.00"
    )
    clock.now += HOUR
    assert one.limit == "max_hours is reached: this run took 4 hours"


def test_the_median_is_of_earlier_runs_too(spending: Callable[..., Spending]) -> None:
    before = {n: TrialSpending(hours * HOUR) for n, hours in enumerate((3, 3, 0.1, 0.1, 0.1))}
    assert spending(before, [0, 1], max_hours=2).limit is not None
    assert spending(before, [0, 1, 2, 3, 4], max_hours=2).limit is None
    assert spending(before, [0, 1]).limit is None, "without a limit nothing ends a search"


def test_gpu_hours_left_are_the_budget_less_what_ended_trials_took(planted: Any) -> None:
    rows = [
        replace(planted.scored(0, 0.5, None), seconds={"total": 9.0, "gpu": 2 * HOUR}),
        planted.unscored(1, TrialState.FAILED, seconds={"gpu": HOUR / 2}),
        planted.unscored(2, TrialState.RUNNING),
    ]
    assert spent_gpu_hours(rows) == 2.5
    limited = BudgetSection(num_trials=3, max_gpu_hours=3.0)
    assert gpu_hours_left(limited, 2.5) == 0.5
    assert gpu_hours_left(limited, 3.5) == 0
    assert gpu_hours_left(BudgetSection(num_trials=3), 2.5) is None
