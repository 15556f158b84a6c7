"""How a study stands, from its record."""

from dataclasses import replace
from typing import Any

import pytest

from search.record.reader import StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.status import StudyStatus
from search.trials.ranking import TrialState


def record(planted: Any, rows: Any, **settings: Any) -> StudyRecord:
    phases = (
        planted.phase_row("fact-0.0002", seconds=3600.0, num_tokens=1800),
        planted.phase_row("other", seconds=1800.0, num_tokens=0),
    )
    return StudyRecord(
        name="tiny",
        state="running",
        digest="d",
        settings=RecordedSettings.parse(settings),
        rows=tuple(rows),
        phases=phases,
        summary={},
        retrains=(),
    )


def test_the_numbers(planted: Any) -> None:
    rows = planted.study_rows()
    standing = StudyStatus.of(
        record(
            planted,
            rows,
            budget={"num_trials": 10},
            resources={"num_workers": 2, "gpus_per_worker": 4},
        )
    )
    assert standing.trials == {"duplicate": 1, "failed": 1, "pruned": 1, "running": 1, "scored": 5}
    assert standing.trials_left == 3, "duplicates and running ones are not counted"
    assert (standing.best_trial, standing.best_objective) == (3, 0.61)
    # fact-0.0002 is listed by trials 2, 3, 5 and 6
    assert (standing.num_trained, standing.num_reused) == (2, 3)
    assert standing.training_seconds == 5400
    assert standing.tokens_per_second == pytest.approx(1 / 3)
    assert standing.gpu_hours == pytest.approx(12)
    first, trials, best, stages = standing.lines()
    assert first == "study tiny (running)"
    assert "5 scored; 3 of the budget left" in trials
    assert best.startswith("best: 61.0, trial 3, fact 2e-04 -> 2e-04")
    assert "2 trained, 3 reused; training took 1.5 h" in stages
    assert stages.endswith("12.00 GPU-hours")
    assert standing.gpu_hours_left is None


def test_the_gpu_hours_left_are_less_what_finished_trials_took(planted: Any) -> None:
    rows = [
        replace(planted.scored(0, 0.5, "fact"), seconds={"total": 9.0, "gpu": 7200.0}),
        planted.unscored(1, TrialState.FAILED, seconds={"total": 9.0, "gpu": 1800.0}),
        planted.unscored(2, TrialState.RUNNING),
    ]
    budget = {"num_trials": 10, "max_gpu_hours": 3.0}
    standing = StudyStatus.of(record(planted, rows, budget=budget))
    assert standing.gpu_hours_left == 0.5
    assert standing.lines()[2] == "GPU-hours: 0.50 of the budget left"
    spent = StudyStatus.of(record(planted, rows, budget={**budget, "max_gpu_hours": 1.0}))
    assert spent.gpu_hours_left == 0


def test_a_study_that_has_only_begun(planted: Any) -> None:
    running = planted.unscored(0, TrialState.RUNNING)
    standing = StudyStatus.of(record(planted, [running]))
    assert (standing.best_trial, standing.trials_left, standing.num_reused) == (None, 0, 0)
    assert not any(line.startswith("best") for line in standing.lines())
    empty = StudyStatus.of(record(planted, []))
    assert "trials: none yet" in empty.lines()[1]
    assert empty.trials == {}
