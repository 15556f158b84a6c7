"""plan --measure: some steps of every kind of stage and some scored rows, by the clock; nothing of
it is kept."""

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
from spaces.study import StudySettings
from trainables.encoders.model import TransferModel
from trainables.store.folders import check_folder, read_tensors, write_folder
from trainables.training.context import TrialContext
from trainables.training.evaluate import evaluate
from trainables.training.loop import Callbacks, Saving, train_phase
from trainables.training.stage import dev_score, training_rows, untrained_model
from trainables.training.trial import scoring_of

NUM_STEPS = 30
NUM_WARMUP = 5  # the first of them, which are slower and not counted
MAX_TRAIN_ROWS = 2000  # tokenised for them, of a source
MAX_SCORED_ROWS = 64  # of a language


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStage:
    """A kind of stage: seconds of a step (mean, least and most), of one scoring of the validation
    rows, of copying and storing the weights, and of a whole stage."""

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
    """What was measured, and the forecast of the study from it. `evaluation` has the seconds that
    scoring each target takes in one trial."""

    forecast: Forecast
    stages: tuple[MeasuredStage, ...]
    evaluation: Mapping[str, float]

    def to_dict(self) -> JsonObject:
        """As JSON values: the forecast's own fields, and what was measured beside them."""
        found = to_json(self)
        return {**to_json(self.forecast), **{k: found[k] for k in ("stages", "evaluation")}}


def measure(
    settings: StudySettings,
    context: TrialContext,
    *,
    max_concurrent: int,
    startup: float,
    on_done: Callable[[int, int], None] = lambda done, of: None,
) -> Measurement:
    """The forecast of a study, with what was measured for it.

    Args:
        context: over stores that are thrown away.
        startup: seconds that opening it took, as a worker will.
        on_done: gets how many of how many stages and targets are measured.
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
            evaluation[target.task] = _measure_scoring(target, context)
            on_done(len(kinds) + len(evaluation), total)
    found = forecast(
        settings,
        plans,
        costs,
        evaluation,
        startup=startup,
        phase_bytes=phase_bytes,
        max_concurrent=max_concurrent,
    )
    stages = tuple(_measured(kind, cost) for kind, cost in costs.items())
    return Measurement(forecast=found, stages=stages, evaluation=evaluation)


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
    """The first steps of a stage, from the study's encoder, and the bytes of what it leaves."""
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
    """Seconds and bytes of what a stage leaves: written, and read by what comes after it."""
    began = time.perf_counter()
    folder = context.home / f"written-{began}"
    parts = {"encoder": model.encoder.state_dict(), "heads": model.heads.state_dict()}
    write_folder(folder, parts, {})
    check_folder(folder)
    for part in parts:
        read_tensors(folder, part)
    return _now(context) - began, _size(folder)


def _measure_scoring(target: Target, context: TrialContext) -> float:
    """Seconds of scoring all rows of a target in all its languages, from some of them."""
    whole = scoring_of(target, context, split="validation")
    limit = min(whole.max_rows or MAX_SCORED_ROWS, MAX_SCORED_ROWS)
    some = replace(whole, max_rows=limit)
    model = context.base.model(target.trained_tasks, encoder=None, seed=0).to(
        context.workers.device
    )
    evaluate(model, some, context)  # tokenises
    began = time.perf_counter()
    evaluate(model, some, context)
    seconds = _now(context) - began
    counts = [
        (
            len(context.data.rows.examples(whole.task, code, whole.split)),
            len(context.data.examples(whole.task, code, whole.split, max_rows=limit)),
        )
        for code in whole.languages
    ]
    wanted = sum(min(there, whole.max_rows or there) for there, _ in counts)
    return seconds * wanted / sum(measured for _, measured in counts)


@contextmanager
def _threads_of(settings: StudySettings) -> Iterator[None]:
    """As many threads as a trial's worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.resources.cpus_per_worker)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _now(context: TrialContext) -> float:
    """By the clock, when the device has done all that it was given."""
    if context.workers.device.type == "cuda":
        torch.cuda.synchronize(context.workers.device)
    return time.perf_counter()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
