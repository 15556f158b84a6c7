"""get_or_train: one node of the stage tree, read from the phase store or trained into it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from torch import Tensor

from spaces.phases import Phase
from spaces.refusal import Refusal
from spaces.task_catalog import Source, TaskKind, get_task
from trainables.encoders.model import State, TransferModel
from trainables.formats.base import Features
from trainables.store.phase_store import PhaseRecord
from trainables.training.context import TrialContext
from trainables.training.drain import DrainedError
from trainables.training.evaluate import Scoring, predict, score
from trainables.training.loop import DivergedError, Progress, Saving, train_phase

Report = Callable[[Mapping[str, Any]], None]
Halfway = Callable[[TransferModel], None]
PROGRESS_SECONDS = 5.0


def get_or_train(
    phase: Phase,
    parent: str | None,
    context: TrialContext,
    report: Report,
    *,
    halfway: Halfway | None = None,
) -> PhaseRecord:
    """The record of the phase that starts from `parent` (a key; None: the study's encoder).

    A phase that diverges is trained once more at half its learning rate, and that is what the
    record says was trained. `halfway` sees the model after half of its steps, if it is trained.

    Raises:
        DivergedError: it diverged at half the rate too, now or in an earlier trial.
        DrainedError: the driver is going away; what was trained of the phase is saved.
    """
    key = context.key_facts.key(phase, parent)
    record = context.workers.share(context.store.resolve(key))
    reused = record is not None
    if record is None:
        record = _train_or_retry(phase, key, parent, context, report, halfway)
    report({"event": "phase", "key": key, "reused": reused, "record": record.to_dict()})
    if record.has_diverged:
        raise DivergedError(record.reason)
    return record


def model_after(key: str | None, tasks: tuple[str, ...], context: TrialContext) -> TransferModel:
    """The encoder as a phase left it (None: as the study starts), with its heads of `tasks`."""
    if key is None:
        return context.base.model(tasks, encoder=None, seed=0).to(context.workers.device)
    encoder, heads = context.store.load(key)
    model = context.base.model(tasks, encoder=encoder, seed=0)
    wanted = {name: value for name, value in heads.items() if name.partition(".")[0] in tasks}
    model.heads.load_state_dict(wanted)
    return model.to(context.workers.device)


def _train_or_retry(
    phase: Phase,
    key: str,
    parent: str | None,
    context: TrialContext,
    report: Report,
    halfway: Halfway | None,
) -> PhaseRecord:
    try:
        return _train(phase, key, parent, context, report, retry_of=None, halfway=halfway)
    except DivergedError as error:
        first = PhaseRecord(key=key, parent=parent, phase=phase.to_dict(), reason=str(error))
    halved = replace(phase, learning_rate=phase.learning_rate / 2)
    retry_key = context.key_facts.key(halved, parent)
    known = context.workers.share(context.store.record(retry_key))
    try:
        if known is not None and known.reason is not None:
            raise DivergedError(known.reason)
        record = known or _train(
            halved, retry_key, parent, context, report, retry_of=key, halfway=halfway
        )
    except DivergedError as again:
        # Only under this key: a trial that asks for half the rate has a retry of its own.
        context.store.clear_attempts(retry_key)
        reason = f"{first.reason}; again at half the rate: {again}"
        return _commit(replace(first, reason=reason), {}, context)
    _commit(replace(first, retried_as=retry_key), {}, context)
    return record


def _train(
    phase: Phase,
    key: str,
    parent: str | None,
    context: TrialContext,
    report: Report,
    *,
    retry_of: str | None,
    halfway: Halfway | None,
) -> PhaseRecord:
    _check_precision(context)
    if context.workers.share(context.is_stopping()):
        raise DrainedError(f"{phase.mixture} is not begun")
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
        dev_score=lambda model: dev_score(model, phase, context),
        saving=Saving(
            save=attempt.save if attempt else _save_nothing,
            every_seconds=context.settings.resources.checkpoint_seconds,
            resume=context.workers.share(context.store.newest_checkpoint(key)),
            is_stopping=context.is_stopping,
        ),
        on_step=_progress_reporter(phase, key, report),
        halfway=halfway,
    )
    report({"event": "trained", "key": key, "seconds": time.monotonic() - started})
    record = _record(phase, key, parent, progress, retry_of, context)
    tensors = {"encoder": model.encoder.state_dict(), "heads": model.heads.state_dict()}
    return _commit(record, tensors, context)


def _check_precision(context: TrialContext) -> None:
    """Refuse to train in another precision than the key says."""
    asked, workers = context.key_facts.precision, context.workers
    if workers.precision is not asked:
        raise Refusal(
            f"phases of study {context.settings.study.name!r} are trained in {asked}, and this "
            f"worker ({workers.device_name}) computes in {workers.precision}; give workers a GPU "
            f"that has {asked}, or set resources.precision = '{workers.precision}'"
        )


def training_rows(
    phase: Phase, context: TrialContext, *, max_rows: int | None
) -> dict[Source, Features]:
    """The encoded training rows of every source of the phase, at most so many of each."""
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
    """What the phase trains, before its first step: an encoder (None: as the study starts) under
    new heads, made smaller or faster to train where the study asks, which changes no result but by
    rounding."""
    tasks = dict.fromkeys(source.task for source in phase.mixture.sources)
    model = context.base.model(tasks, encoder=encoder, seed=phase.draws).to(context.workers.device)
    body: Any = model.encoder
    if context.settings.resources.gradient_checkpointing:
        body.activation_checkpointing_enable({"use_reentrant": False})
    if context.settings.resources.compile_encoder:
        # In place, so that weights keep their names; one graph for all lengths and batch sizes.
        body.compile(dynamic=True)
    return model


def _commit(
    record: PhaseRecord, tensors: Mapping[str, Mapping[str, Tensor]], context: TrialContext
) -> PhaseRecord:
    standing = context.store.commit(record, tensors) if context.workers.rank == 0 else record
    return context.workers.share(standing)


def _record(
    phase: Phase,
    key: str,
    parent: str | None,
    progress: Progress,
    retry_of: str | None,
    context: TrialContext,
) -> PhaseRecord:
    return PhaseRecord(
        key=key,
        parent=parent,
        phase=phase.to_dict(),
        retry_of=retry_of,
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
    """The mean of the sources' main scores on validation rows of their own language."""
    values = []
    for source in phase.mixture.sources:
        task = get_task(source.task)
        if task.kind is TaskKind.MLM:
            continue
        scoring = Scoring(
            task=source.task,
            languages=(source.language,),
            split="validation",
            max_rows=phase.recipe.max_dev_rows,
            max_length=phase.recipe.max_length,
            retrieval_layer=None,
            selection="source_dev",
        )
        found = score(predict(model, scoring, context), scoring, context)
        values.append(found[source.language][task.metric])
    return fmean(values)


def _progress_reporter(phase: Phase, key: str, report: Report) -> Callable[[int], None]:
    told = time.monotonic()

    def on_step(step: int) -> None:
        nonlocal told
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            steps = {"step": step, "num_steps": phase.recipe.num_steps}
            report({"event": "progress", "key": key, "phase": str(phase.mixture), **steps})

    return on_step


def _save_nothing(*_: object) -> None:
    """Only the first worker writes checkpoints."""
