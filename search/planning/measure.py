"""Implements `plan --measure`: times some steps of each kind of stage and the scoring of some rows.

Nothing that it trains is kept.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch

from search.planning.forecast import (
    Forecast,
    StageCost,
    StageKind,
    drawn_plans,
    forecast,
    kinds_of,
)
from spaces.json_values import JsonObject, to_json
from spaces.phases import Phase, Target
from spaces.study_file.study import StudySettings
from trainables.encoders.model import TransferModel
from trainables.encoders.states import frozen_names
from trainables.store.folders import check_folder, read_tensors, write_folder
from trainables.store.shared_tensors import split
from trainables.training.context import TrialContext
from trainables.training.evaluate import evaluate
from trainables.training.loop import Callbacks, Saving, train_phase
from trainables.training.stage import dev_score, training_rows, untrained_model
from trainables.training.trial import scoring_of

NUM_STEPS = 30
NUM_WARMUP = 5  # first steps, which are slower and not counted
MAX_TRAIN_ROWS = 2000  # rows of a source that are tokenised for these steps
MAX_SCORED_ROWS = 64  # rows of a language that are scored


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStage:
    """The measured times of a kind of stage.

    Attributes:
        kind: name of the kind: its tasks, or the kinds of these.
        num_steps: steps of a whole stage.
        step_seconds: mean seconds of a step.
        low: seconds of the fastest step.
        high: seconds of the slowest step.
        dev_seconds: seconds of scoring the validation rows once.
        around_seconds: seconds of copying and storing the weights.
        stage_seconds: seconds of a whole stage.
    """

    kind: str
    num_steps: int
    step_seconds: float
    low: float
    high: float
    dev_seconds: float
    around_seconds: float
    stage_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The measured times, and the forecast of the study computed from them.

    Attributes:
        forecast: forecast of the whole study.
        stages: measured times of each kind of stage.
        evaluation: target -> seconds that scoring it takes in one trial.
    """

    forecast: Forecast
    stages: tuple[MeasuredStage, ...]
    evaluation: Mapping[str, float]

    def to_dict(self) -> JsonObject:
        """Return JSON values: the fields of the forecast, `stages` and `evaluation`."""
        content = to_json(self)
        return {**to_json(self.forecast), **{key: content[key] for key in ("stages", "evaluation")}}


def measure(
    settings: StudySettings,
    context: TrialContext,
    *,
    max_concurrent: int,
    startup: float,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> Measurement:
    """Measure the stages and targets of a study and forecast its time.

    Args:
        settings: settings of the study.
        context: context with temporary stores.
        max_concurrent: trials that run at the same time.
        startup: seconds that opening the context took; a worker takes as long.
        on_done: called with the number of stages and targets measured so far, and the total.
    """
    plans = drawn_plans(settings)
    kinds, targets = kinds_of(plans), plans[0].targets
    total = len(kinds) + len(targets)
    costs: dict[StageKind, StageCost] = {}
    evaluation: dict[str, float] = {}
    phase_bytes = 0
    with _threads_of(settings):
        for kind, phase in kinds.items():
            costs[kind], phase_bytes = _measure_stage(phase, context)
            on_done(len(costs), total)
        for target in targets:
            evaluation[target.task.name] = _measure_scoring(target, context)
            on_done(len(kinds) + len(evaluation), total)
    forecasted = forecast(
        settings,
        plans,
        costs,
        evaluation,
        startup=startup,
        phase_bytes=phase_bytes,
        max_concurrent=max_concurrent,
    )
    stages = tuple(_measured(kind, cost) for kind, cost in costs.items())
    return Measurement(forecast=forecasted, stages=stages, evaluation=evaluation)


def _measured(kind: StageKind, cost: StageCost) -> MeasuredStage:
    return MeasuredStage(
        kind=kind.name,
        num_steps=kind.recipe.num_steps,
        step_seconds=sum(cost.steps) / len(cost.steps),
        low=min(cost.steps),
        high=max(cost.steps),
        dev_seconds=cost.dev,
        around_seconds=cost.around,
        stage_seconds=cost.seconds(kind.recipe),
    )


def _measure_stage(phase: Phase, context: TrialContext) -> tuple[StageCost, int]:
    """Time the first steps of a stage that starts from the study's encoder.

    Returns:
        The times, and the bytes of the stored stage.
    """
    recipe = replace(phase.recipe, num_steps=NUM_STEPS, evaluate_every=None, patience=None)
    short, limit = replace(phase, recipe=recipe), phase.recipe.max_train_rows
    features = training_rows(phase, context, max_rows=min(limit or MAX_TRAIN_ROWS, MAX_TRAIN_ROWS))
    began = time.perf_counter()
    model = untrained_model(phase, None, context)
    copied = _now(context) - began
    times = [_now(context)]
    train_phase(
        model,
        short,
        features,
        tokenizer=context.base.tokenizer,
        workers=context.workers,
        max_device_tokens=context.settings.resources.max_device_tokens,
        saving=Saving(save=lambda *_: None, every_seconds=float("inf")),
        callbacks=Callbacks(on_step=lambda step: times.append(_now(context))),
    )
    steps = [after - before for before, after in pairwise(times)]
    dev = _measure_dev(model, phase, context) if phase.recipe.evaluate_every else 0.0
    stored, num_bytes = _measure_storing(model, context)
    return (
        StageCost(steps=tuple(steps[NUM_WARMUP:]), dev=dev, around=copied + stored),
        num_bytes,
    )


def _measure_dev(model: TransferModel, phase: Phase, context: TrialContext) -> float:
    dev_score(model, phase, context)  # tokenises
    began = time.perf_counter()
    dev_score(model, phase, context)
    return _now(context) - began


def _measure_storing(model: TransferModel, context: TrialContext) -> tuple[float, int]:
    """Return the seconds of writing a stage and of reading it back for the next, and its bytes."""
    began = time.perf_counter()
    folder = context.home / f"written-{began}"
    # What is frozen is stored once for all stages.
    own, _ = split(model.encoder.state_dict(), frozen_names(model.encoder))
    parts = {"encoder": own, "heads": model.heads.state_dict()}
    write_folder(folder, parts, {})
    check_folder(folder)
    for part in parts:
        read_tensors(folder, part)
    return _now(context) - began, _size(folder)


def _measure_scoring(target: Target, context: TrialContext) -> float:
    """Estimate the seconds of scoring all rows of a target in all languages, from some rows."""
    scoring = scoring_of(target, context, split="validation")
    limit = min(scoring.max_rows or MAX_SCORED_ROWS, MAX_SCORED_ROWS)
    short_scoring = replace(scoring, max_rows=limit)
    model = context.base.model(target.trained_tasks, encoder=None, seed=0).to(
        context.workers.device
    )
    evaluate(model, short_scoring, context)  # tokenises
    began = time.perf_counter()
    evaluate(model, short_scoring, context)
    seconds = _now(context) - began
    counts = [
        (
            len(context.data.rows.examples(scoring.task, code, scoring.split)),
            len(context.data.examples(scoring.task, code, scoring.split, max_rows=limit)),
        )
        for code in scoring.languages
    ]
    num_rows = sum(min(available, scoring.max_rows or available) for available, _ in counts)
    return seconds * num_rows / sum(measured for _, measured in counts)


@contextmanager
def _threads_of(settings: StudySettings) -> Iterator[None]:
    """Use as many threads as a worker of a trial has."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.resources.cpus_per_worker)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _now(context: TrialContext) -> float:
    """Return the time after the device has finished all its work."""
    if context.workers.device.type == "cuda":
        torch.cuda.synchronize(context.workers.device)
    return time.perf_counter()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
