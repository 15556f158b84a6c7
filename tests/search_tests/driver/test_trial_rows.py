"""How a trial in flight becomes a row, and a phase's record another."""

from collections.abc import Callable
from typing import Any

import pytest

from search.driver.trial_in_flight import TrialInFlight
from search.driver.trial_rows import duplicate_row, objective_of, phase_row, row_of, told_values
from search.sampling.history import PlanResult
from search.sampling.study import AskedTrial
from search.trials.ranking import TrialState
from search.trials.spending import TrialSpending
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from trainables.store.phase_store import PhaseRecord

Settings = Callable[..., StudySettings]


@pytest.fixture
def live(planted: Any) -> TrialInFlight:
    asked = AskedTrial(number=3, params={"intermediate": "fact"}, plan=planted.plan("fact"))
    return TrialInFlight(asked, set(), 1, phase_keys=["stem", "rel", "stem"], is_heard=True)


def test_a_trial_that_told_its_scores(
    live: TrialInFlight, settings_of: Settings, planted: Any
) -> None:
    live.end = {"state": "scored", "scores": planted.scores(0.6).to_dict()}
    row = row_of(live, TrialSpending(2.0, 4.0), settings_of())
    assert (row.number, row.state, row.num_reused) == (3, TrialState.SCORED, 1)
    assert row.objective == pytest.approx(0.6)
    assert row.phase_keys == ("stem", "rel"), "a second try tells them again"
    assert row.seconds is not None
    assert row.seconds["gpu"] == 4.0
    assert told_values(row, settings_of()) == (row.objective,)


def test_several_objectives_are_told_in_their_order(
    live: TrialInFlight, settings_of: Settings, planted: Any
) -> None:
    settings = settings_of(evaluation={"objectives": ["hours", "zero_shot_mean"]})
    live.costs, live.seconds["evaluation"] = {"stem": 3000.0}, 600.0
    live.end = {"state": "scored", "scores": planted.scores(0.6).to_dict()}
    row = row_of(live, TrialSpending(), settings)
    assert told_values(row, settings) == pytest.approx((1.0, 0.6))
    assert "gpu" not in (row.seconds or {})


def test_a_pruned_trial_has_what_its_rung_told(
    live: TrialInFlight, settings_of: Settings, planted: Any
) -> None:
    live.pruned, live.probed, live.scores = True, 0.4, planted.scores(0.5)
    row = row_of(live, TrialSpending(), settings_of())
    assert (row.state, row.objective, row.reason) == (TrialState.PRUNED, 0.4, None)
    assert row.scores == planted.scores(0.5)


def test_a_trial_that_diverged_and_one_whose_worker_broke(
    live: TrialInFlight, settings_of: Settings
) -> None:
    broken = row_of(live, TrialSpending(), settings_of())
    assert (broken.state, broken.reason) == (TrialState.FAILED, "its worker died")
    live.end = {"state": "failed", "reason": "loss is nan"}
    row = row_of(live, TrialSpending(), settings_of())
    assert (row.state, row.reason, row.objective) == (TrialState.FAILED, "loss is nan", None)
    assert told_values(row, settings_of()) == ()


def test_no_objective_where_no_row_may_select(settings_of: Settings, planted: Any) -> None:
    settings = settings_of(evaluation={"selection": "pivot_dev", "pivot_languages": ["de"]})
    assert objective_of(planted.scores(0.5), settings) == pytest.approx(0.575)
    spanish = settings_of(evaluation={"selection": "pivot_dev", "pivot_languages": ["es"]})
    assert objective_of(planted.scores(0.5), spanish) is None, "no row of these is Spanish"


def test_a_phase_s_record_as_a_row(planted: Any) -> None:
    record = PhaseRecord(
        key="half",
        parent="stem",
        phase=planted.phase("fact", 1e-4).to_dict(),
        retry_of="full",
        losses=(1.0, 0.9, 0.8, 0.7),
        dev_scores=((10, 0.4), (20, 0.6)),
        num_steps=20,
        seconds=1.5,
    )
    row = phase_row(record, SHIPPED)
    assert (row.key, row.parent, row.name, row.learning_rate) == ("half", "stem", "fact", 1e-4)
    assert (row.retried, row.loss_fell, row.dev_score, row.seconds) == (True, True, 0.6, 1.5)


def test_a_duplicate_has_the_values_of_the_first_one(settings_of: Settings, planted: Any) -> None:
    asked = AskedTrial(number=5, params={}, plan=planted.plan("fact"))
    row = duplicate_row(asked, PlanResult(2, (0.6,), {}), settings_of())
    assert (row.duplicate_of, row.objective, row.values) == (2, 0.6, {})
    settings = settings_of(evaluation={"objectives": ["hours", "zero_shot_mean"]})
    row = duplicate_row(asked, PlanResult(2, (1.0, 0.6), {}), settings)
    assert (row.objective, row.values) == (None, {"hours": 1.0, "zero_shot_mean": 0.6})
    assert duplicate_row(asked, PlanResult(2, (), {}), settings).values == {}, "it failed"
