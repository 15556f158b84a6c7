"""Learning rates that are too high, on real rows: marked, at their true scores, or failed."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.findings.find import find
from search.record.reader import StudyRecord
from search.recorded_settings import RecordedSettings
from search.trials.ranking import TrialRow, TrialState, ranked
from spaces.phases import TrialPlan
from trainables.scoring.scores import Mark, Scores
from trainables.training.context import TrialContext
from trainables.training.stage import get_or_train
from trainables.training.trial import run_trial
from trainables.training.workers import Workers

SOUND, TOO_HIGH, FAR_TOO_HIGH = 3e-3, 0.1, 0.9


@pytest.fixture
def open_context(
    mirror: Path, small_base: Path, settings_of: Callable[..., Any], tmp_path: Path
) -> Callable[..., TrialContext]:
    """A context that trains POS of the mirror, in English; keywords set the recipe's keys."""

    def open_(**recipe: Any) -> TrialContext:
        recipe = {
            "num_steps": 60,
            "batch_size": 16,
            "max_length": 64,
            "max_train_rows": 600,
            **recipe,
        }
        settings = settings_of(
            study={"encoder": str(small_base), "data_root": str(mirror)},
            space={
                "intermediate": ["none", "csqa"],
                "target_learning_rate": [SOUND, TOO_HIGH, FAR_TOO_HIGH],
                "targets": ["udpos"],
            },
            training={"intermediate": recipe, "target": recipe},
            evaluation={"languages": ["de"], "max_rows": 60},
        )
        return TrialContext.open(
            settings, home=tmp_path / "home", encoder=str(small_base), workers=Workers.alone()
        )

    return open_


Events = list[dict[str, Any]]


def train(context: TrialContext, rate: float) -> tuple[TrialPlan, Scores | None, Events]:
    params = {"intermediate": "none", "target.learning_rate": rate}
    plan, events = context.settings.search_space().decode(params), []
    return plan, run_trial(plan, context, events.append), events


def trial_row(context: TrialContext, number: int, rate: float) -> TrialRow:
    plan, scores, events = train(context, rate)
    assert scores is not None
    assert events[-1]["state"] == "scored"
    return TrialRow(
        number=number,
        state=TrialState.SCORED,
        params={"intermediate": "none", "target.learning_rate": rate},
        plan=plan,
        phase_keys=tuple(key for key, _, _ in context.key_facts.stages(plan)),
        objective=scores.zero_shot_mean,
        scores=scores,
    )


def record_of(*rows: TrialRow) -> StudyRecord:
    return StudyRecord(
        name="tiny",
        state="finished",
        digest="",
        settings=RecordedSettings(),
        rows=rows,
        phases=(),
        summary={},
        retrains=(),
    )


def test_a_rate_that_is_too_high_collapses_and_counts_at_its_true_score(
    open_context: Callable[..., TrialContext],
) -> None:
    context = open_context()
    collapsed, sound = trial_row(context, 0, TOO_HIGH), trial_row(context, 1, SOUND)
    marks = [row.scores.targets[0].mark for row in (collapsed, sound) if row.scores]
    assert marks == [Mark.COLLAPSED, Mark.NONE]
    # It trained to its end, its losses fell: what it says is one tag, and that is its true score.
    stage = get_or_train(collapsed.plan.targets[0].phase, None, context, lambda event: None)
    assert stage.loss_fell
    assert not stage.retry_of
    assert all(math.isfinite(loss) for loss in stage.losses)
    assert collapsed.objective is not None
    assert sound.objective is not None
    assert collapsed.objective < 0.05 < 0.15 < sound.objective
    assert ranked((collapsed, sound)) == [sound, collapsed]
    found = find(record_of(collapsed, sound))
    (baselines,) = found.intermediates
    mean = (sound.objective + collapsed.objective) / 2
    assert (baselines.num_trials, baselines.mean) == (2, pytest.approx(mean))
    assert baselines.collapsed == {"udpos": 1}
    shares = {rate.rate: rate.collapsed for rate in found.learning_rates["target"]}
    assert shares == {SOUND: 0.0, TOO_HIGH: 1.0}


def test_a_rate_at_which_the_loss_is_no_number_is_halved_once_and_fails(
    open_context: Callable[..., TrialContext], tmp_path: Path
) -> None:
    """The decay of a step is rate times weight decay: -8 times the weights, at half of it -3.5."""
    context = open_context(weight_decay=10.0)
    plan, scores, events = train(context, FAR_TOO_HIGH)
    assert scores is None
    assert [event["event"] for event in events] == ["phase", "end"]
    end, stage = events[-1], events[0]["record"]
    assert (end["state"], "scores" in end) == ("failed", False)
    first, second = end["reason"].split("; again at half the rate: ")
    for told, rate in ((first, FAR_TOO_HIGH), (second, FAR_TOO_HIGH / 2)):
        assert told.startswith("loss is nan by step ")
        assert told.endswith(f"on udpos at learning rate {rate:g}")
    assert stage["reason"] == end["reason"]
    assert stage["retried_as"] is None
    ((key, _, _),) = context.key_facts.stages(plan)
    assert [path.name for path in (tmp_path / "home" / "phases").iterdir()] == [key]
