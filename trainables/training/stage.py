"""get_or_train: a phase of the stage tree, read from the phase store or trained and stored."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch

from spaces.phases import Phase, Pooling
from spaces.refusal import Refusal
from spaces.tasks.source import Source
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import State, TransferModel
from trainables.encoders.states import frozen_names
from trainables.formats.base import Features
from trainables.store.phase_store import PhaseRecord
from trainables.training.context import TrialContext
from trainables.training.drain import DrainedError
from trainables.training.evaluate import Scoring, predict, score
from trainables.training.loop import Callbacks, DivergedError, Progress, Saving, train_phase

Report = Callable[[Mapping[str, Any]], None]
Halfway = Callable[[TransferModel], None]
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A phase under its key. `parent` is the key it starts from (None: the study's encoder);
    `retry_of` is the key of the phase that it retries."""

    phase: Phase
    key: str
    parent: str | None
    retry_of: str | None = None


def get_or_train(
    phase: Phase,
    parent: str | None,
    context: TrialContext,
    report: Report,
    *,
    halfway: Halfway | None = None,
) -> PhaseRecord:
    """The record of the phase that starts from `parent` (a key; None: the study's encoder).

    A phase that diverges is trained once more at half its learning rate, and the record is that of
    the second training. `halfway` gets the model after half of the steps, where the phase is
    trained.

    Raises:
        DivergedError: it diverged at half the rate too, now or in an earlier trial.
        DrainedError: the driver is stopping; the phase was saved as far as it was trained.
    """
    key = context.key_facts.key(phase, parent)
    record = context.workers.share(context.store.resolve(key))
    reused = record is not None
    if record is None:
        stage = _Stage(phase=phase, key=key, parent=parent)
        record = _train_or_retry(stage, context, report, halfway)
    report({"event": "phase", "key": key, "reused": reused, "record": record.to_dict()})
    if record.has_diverged:
        raise DivergedError(record.reason)
    return record


def model_after(key: str | None, tasks: Collection[Task], context: TrialContext) -> TransferModel:
    """The encoder after the phase of this key (None: the study's encoder), with its heads of
    `tasks`."""
    if key is None:
        model = context.base.model(tasks, encoder=None, seed=0, trains_embeddings=False)
        return model.to(context.workers.device)
    encoder, heads = context.store.load(key)
    record = context.store.record(key)
    recipe = record.phase["recipe"] if record else {}
    pooling = Pooling(recipe.get("pooling", Pooling.MEAN))
    model = context.base.model(
        tasks, encoder=encoder, seed=0, pooling=pooling, trains_embeddings=False
    )
    names = {task.name for task in tasks}
    kept = {name: value for name, value in heads.items() if name.partition(".")[0] in names}
    model.heads.load_state_dict(kept)
    return model.to(context.workers.device)


def _train_or_retry(
    stage: _Stage, context: TrialContext, report: Report, halfway: Halfway | None
) -> PhaseRecord:
    try:
        return _train(stage, context, report, halfway)
    except DivergedError as error:
        first = PhaseRecord(
            key=stage.key, parent=stage.parent, phase=stage.phase.to_dict(), reason=str(error)
        )
    halved = replace(stage.phase, learning_rate=stage.phase.learning_rate / 2)
    retry_key = context.key_facts.key(halved, stage.parent)
    retry = replace(stage, phase=halved, key=retry_key, retry_of=stage.key)
    stored = context.workers.share(context.store.record(retry_key))
    try:
        if stored is not None and stored.reason is not None:
            raise DivergedError(stored.reason)
        record = stored or _train(retry, context, report, halfway)
    except DivergedError as second_error:
        # The reason is stored under the first key only: a trial that plans half the rate has a
        # retry of its own.
        context.store.clear_attempts(retry_key)
        reason = f"{first.reason}; again at half the rate: {second_error}"
        return _commit(replace(first, reason=reason), None, context)
    _commit(replace(first, retried_as=retry_key), None, context)
    return record


def _train(
    stage: _Stage, context: TrialContext, report: Report, halfway: Halfway | None
) -> PhaseRecord:
    phase, key, parent = stage.phase, stage.key, stage.parent
    _check_precision(context)
    if context.workers.share(context.is_stopping()):
        raise DrainedError(f"{phase.mixture} was not started")
    features = training_rows(phase, context, max_rows=phase.recipe.max_train_rows)
    model = untrained_model(phase, context.store.load(parent)[0] if parent else None, context)
    started = time.monotonic()
    attempt = context.store.attempt(key) if context.workers.rank == 0 else None
    progress = train_phase(
        model,
        phase,
        features,
        tokenizer=context.base.tokenizer,
        workers=context.workers,
        max_device_tokens=context.settings.resources.max_device_tokens,
        saving=Saving(
            save=attempt.save if attempt else _save_nothing,
            every_seconds=context.settings.resources.checkpoint_seconds,
            resume=context.workers.share(context.store.newest_checkpoint(key)),
            is_stopping=context.is_stopping,
        ),
        callbacks=Callbacks(
            dev_score=lambda model: dev_score(model, phase, context),
            on_step=_progress_reporter(phase, key, report),
            halfway=halfway,
        ),
    )
    report({"event": "trained", "key": key, "seconds": time.monotonic() - started})
    return _commit(_record(stage, progress, context), model, context)


def _check_precision(context: TrialContext) -> None:
    """Raises Refusal where this worker computes in another precision than the key says."""
    expected, workers = context.key_facts.precision, context.workers
    if workers.precision is not expected:
        raise Refusal(
            f"phases of study {context.settings.study.name!r} are trained in {expected}, but this "
            f"worker ({workers.device_name}) computes in {workers.precision}; give workers a GPU "
            f"with {expected}, or set resources.precision = '{workers.precision}'"
        )


def training_rows(
    phase: Phase, context: TrialContext, *, max_rows: int | None
) -> dict[Source, Features]:
    """The encoded training rows of every source of the phase, at most `max_rows` of each."""
    return {
        source: context.data.features(
            source.task,
            source.language,
            "train",
            max_rows=max_rows,
            max_length=phase.recipe.max_length,
        )
        for source in phase.mixture.sources
    }


def untrained_model(phase: Phase, encoder: State | None, context: TrialContext) -> TransferModel:
    """The model of the phase before its first step: an encoder (None: the study's encoder) under
    new heads. Where the study asks for it, it saves memory or is compiled; this changes results
    only by rounding."""
    tasks = dict.fromkeys(source.task for source in phase.mixture.sources)
    model = context.base.model(
        tasks,
        encoder=encoder,
        seed=phase.draws,
        pooling=phase.recipe.pooling,
        trains_embeddings=phase.recipe.trains_embeddings,
    ).to(context.workers.device)
    body: Any = model.encoder
    if context.settings.resources.gradient_checkpointing:
        body.activation_checkpointing_enable({"use_reentrant": False})
    if context.settings.resources.compile_encoder:
        # Compiled in place, so that weights keep their names; one graph for all lengths and batch
        # sizes.
        body.compile(dynamic=True)
    return model


def _commit(record: PhaseRecord, model: TransferModel | None, context: TrialContext) -> PhaseRecord:
    """Store the record and the weights (None: it diverged), on the first worker. Returns the record
    in the store: another one where another process was first."""
    stored = record
    if context.workers.rank == 0:
        tensors: dict[str, State] = {}
        if model is not None:
            tensors = {"encoder": model.encoder.state_dict(), "heads": model.heads.state_dict()}
        unchanged = _unchanged(model, record, context) if model is not None else frozenset[str]()
        stored = context.store.commit(record, tensors, unchanged=unchanged)
    return context.workers.share(stored)


def _unchanged(model: TransferModel, record: PhaseRecord, context: TrialContext) -> frozenset[str]:
    """The names of the encoder's tensors that equal those that the phase started from: what it
    froze. Merged adapters change frozen weights, so there the values are compared."""
    frozen = frozen_names(model.encoder)
    if record.phase["recipe"].get("lora_rank") is None:
        return frozen
    parent = record.parent
    start = context.store.load(parent)[0] if parent else context.base.encoder.state_dict()
    state = model.encoder.state_dict()
    return frozenset(name for name in frozen if torch.equal(state[name].cpu(), start[name].cpu()))


def _record(stage: _Stage, progress: Progress, context: TrialContext) -> PhaseRecord:
    return PhaseRecord(
        key=stage.key,
        parent=stage.parent,
        phase=stage.phase.to_dict(),
        retry_of=stage.retry_of,
        losses=tuple(progress.losses),
        dev_scores=tuple(progress.dev_scores),
        num_steps=progress.step,
        best_step=progress.best_step,
        num_examples=progress.num_examples,
        num_tokens=progress.num_tokens,
        num_useful_tokens=progress.num_useful_tokens,
        seconds=progress.seconds,
        device=context.workers.device_name,
        precision=context.workers.precision.value,
        num_workers=context.workers.size,
        max_device_tokens=context.settings.resources.max_device_tokens,
    )


def dev_score(model: TransferModel, phase: Phase, context: TrialContext) -> float:
    """The mean over the sources of their main scores, in [0, 1], on validation rows of their own
    language; sources of masked text are left out."""
    values = []
    for source in phase.mixture.sources:
        task = source.task
        if task.kind is TaskKind.MLM:
            continue
        scoring = Scoring(
            task=task,
            languages=(source.language,),
            split="validation",
            max_rows=phase.recipe.max_dev_rows,
            max_length=phase.recipe.max_length,
            retrieval_layer=None,
            selection="source_dev",
        )
        scores = score(predict(model, scoring, context), scoring, context)
        values.append(scores[source.language][task.metric])
    return fmean(values)


def _progress_reporter(phase: Phase, key: str, report: Report) -> Callable[[int], None]:
    last_report = time.monotonic()

    def on_step(step: int) -> None:
        nonlocal last_report
        if time.monotonic() - last_report > PROGRESS_SECONDS:
            last_report = time.monotonic()
            steps = {"step": step, "num_steps": phase.recipe.num_steps}
            report({"event": "progress", "key": key, "phase": str(phase.mixture), **steps})

    return on_step


def _save_nothing(*_: object) -> None:
    """Only the first worker writes checkpoints."""
