"""Some real steps of every kind of stage on the small base; nothing is kept of them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from search.planning.forecast import drawn_plans, kinds_of
from search.planning.measure import NUM_STEPS, NUM_WARMUP, _measure_scoring, _measure_stage, measure
from spaces.study_file.study import StudySettings
from trainables.training.context import TrialContext
from trainables.training.workers import Workers


@pytest.fixture
def settings(settings_of: Callable[..., StudySettings], small_base: Path) -> StudySettings:
    """Two kinds of stages, one with early stopping; `rel` has more rows than are measured."""
    recipe = {"num_steps": 40, "batch_size": 4, "max_length": 64}
    return settings_of(
        study={"encoder": str(small_base)},
        space={"intermediate": ["none", "coh"]},
        training={
            "intermediate": {**recipe, "evaluate_every": 20, "max_dev_rows": 20},
            "target": {**recipe, "max_train_rows": 50},
        },
        evaluation={"languages": ["de", "es"], "max_rows": 100},
        budget={"num_trials": 4},
    )


@pytest.fixture
def context(settings: StudySettings, small_base: Path, tmp_path: Path) -> TrialContext:
    return TrialContext.open(
        settings, home=tmp_path / "away", encoder=str(small_base), workers=Workers.alone()
    )


def test_a_study_is_measured(settings: StudySettings, context: TrialContext) -> None:
    threads, weights = torch.get_num_threads(), context.base.weights_digest
    done: list[tuple[int, int]] = []
    found = measure(
        settings,
        context,
        max_concurrent=2,
        startup=1.0,
        on_done=lambda *counts: done.append(counts),
    )
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    stages = {row.kind: row for row in found.stages}
    assert stages.keys() == {"rel", "coh"}
    for row in stages.values():
        assert 0 < row.low <= row.step_seconds <= row.high
        assert row.stage_seconds > row.num_steps * row.step_seconds
    assert (stages["rel"].dev_seconds, stages["coh"].dev_seconds > 0) == (0, True)
    assert found.evaluation.keys() == {"rel", "retrieval"}
    assert all(seconds > 0 for seconds in found.evaluation.values())
    assert (found.forecast.num_trials, found.forecast.max_concurrent_trials) == (4, 2)
    assert found.forecast.low <= found.forecast.seconds <= found.forecast.high
    assert found.forecast.disk_bytes > found.forecast.num_stages * 100_000
    content = found.to_dict()
    assert list(content)[-3:] == ["max_concurrent_trials", "stages", "evaluation"]
    assert content["seconds"] == found.forecast.seconds
    assert content["stages"] == [asdict(stage) for stage in found.stages]
    assert torch.get_num_threads() == threads
    assert not (context.home / "phases").exists(), "nothing is committed"
    assert not (context.home / "attempts").exists()
    assert (
        TrialContext.open(
            settings, home=context.home, encoder=settings.study.encoder, workers=Workers.alone()
        ).base.weights_digest
        == weights
    )


def test_the_first_steps_are_not_counted(settings: StudySettings, context: TrialContext) -> None:
    for phase in kinds_of(drawn_plans(settings)).values():
        cost, num_bytes = _measure_stage(phase, context)
        assert len(cost.steps) == NUM_STEPS - NUM_WARMUP
        assert cost.around > 0
        expected = sum(
            t.numel() * t.element_size() for t in context.base.encoder.state_dict().values()
        )
        assert expected < num_bytes < 1.2 * expected


def test_only_some_rows_are_scored(
    settings: StudySettings, context: TrialContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what they take is scaled to all."""
    seen: list[int | None] = []

    def evaluate(model: Any, scoring: Any, context: Any) -> None:
        seen.append(scoring.max_rows)

    clock = iter([0.0, 1.0])
    monkeypatch.setattr("search.planning.measure.evaluate", evaluate)
    monkeypatch.setattr("search.planning.measure.time.perf_counter", lambda: next(clock))
    target = drawn_plans(settings)[0].targets[0]
    seconds = _measure_scoring(target, context)
    assert seen == [64, 64]
    assert seconds == pytest.approx(100 / 64), "each of the three languages has a hundred rows"
