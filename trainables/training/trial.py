"""run_trial: one trial plan from the first phase to the last score, read from top to bottom."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spaces.phases import Target, TrialPlan
from spaces.refusal import Refusal
from spaces.task_catalog import get_task
from trainables.encoders.model import TransferModel
from trainables.scoring import outcomes
from trainables.scoring.outcomes import ByLanguage, Outcomes
from trainables.scoring.scores import Scores, ScoringProtocol, TargetScores
from trainables.training.context import TrialContext
from trainables.training.evaluate import Scoring, evaluate, evaluate_rows
from trainables.training.loop import DivergedError
from trainables.training.stage import Halfway, Report, get_or_train, model_after

DEV = "validation"


def run_trial(
    plan: TrialPlan,
    context: TrialContext,
    report: Report,
    *,
    split: str = DEV,
    also: Sequence[str] = (),
) -> Scores | None:
    """Train what is not in the phase store, score every target, report on the way.

    Reports, in order: a `phase` for every phase (trained or reused) with `progress` in between,
    where the study has a pruner a `rung` half-way through each target phase that is trained, one
    `end`. A trial that diverges
    ends with `state` failed and its reason; exceptions are left to broken infrastructure. What each
    row got lies in files under the home folder; the `end` names them by target.

    `also` are other splits that each model is scored on while it is there: their scores stand
    in the `end` by split, and nothing else is told of them.

    Returns the scores on `split`, or None if the trial diverged.
    """
    started = time.monotonic()
    seconds = {"evaluation": 0.0}
    scored: dict[str, list[TargetScores]] = {name: [] for name in (split, *also)}
    files: dict[str, str] = {}
    try:
        stem = get_or_train(plan.intermediate, None, context, report) if plan.intermediate else None
        for rung, target in enumerate(plan.targets):
            key, loss_fell = stem.key if stem else None, True
            if target.phase is not None:
                probe = (
                    _prober(rung, target, scored[DEV], context, report) if split == DEV else None
                )
                stage = get_or_train(target.phase, key, context, report, halfway=probe)
                key, loss_fell = stage.key, stage.loss_fell
            before = time.monotonic()
            model = model_after(key, target.trained_tasks, context)
            for name, of_split in scored.items():
                scoring = scoring_of(target, context, split=name)
                scores, rows = evaluate_rows(model, scoring, context, loss_fell=loss_fell)
                of_split.append(scores)
                if name == split:
                    files[target.task] = _keep(rows, key, scoring, scores.protocol, context)
            seconds["evaluation"] += time.monotonic() - before
    except DivergedError as error:
        report(_end("failed", started, seconds, reason=str(error)))
        return None
    whole = {name: _scores(found, context) for name, found in scored.items()}
    others = {name: whole[name].to_dict() for name in also}
    told = {"scores": whole[split].to_dict(), "outcomes": files, "also": others}
    report(_end("scored", started, seconds, **told))
    return whole[split]


def scoring_of(target: Target, context: TrialContext, *, split: str) -> Scoring:
    """How the study scores one of its targets: in the languages that there are rows in."""
    evaluation = context.settings.evaluation
    asked = context.settings.languages_of(target.task)
    languages = context.data.rows.languages(target.task, asked, split)
    if not set(languages) - {get_task(target.task).source_language}:
        raise Refusal(
            f"target {target.task!r} has no {split} rows in a zero-shot language that the study "
            f"asks for ({', '.join(asked)})"
        )
    return Scoring(
        task=target.task,
        languages=languages,
        split=split,
        max_rows=evaluation.max_rows,
        max_length=evaluation.max_length_of(target.recipe),
        retrieval_layer=evaluation.retrieval_layer,
        selection=evaluation.selection.value,
    )


def probe_of(target: Target, context: TrialContext) -> Scoring:
    """The few rows that a rung is told by: always the same, equally many of every language."""
    scoring, limit = scoring_of(target, context, split=DEV), context.settings.evaluation.probe_rows
    rows = {
        c: context.data.examples(target.task, c, DEV, max_rows=limit) for c in scoring.languages
    }
    return replace(scoring, max_rows=min(len(found) for found in rows.values()))


def _prober(
    rung: int, target: Target, scored: Sequence[TargetScores], context: TrialContext, report: Report
) -> Halfway | None:
    """Tells how a target's model does half-way. The rung is the index of the target, so that only
    equal ones are compared; `scores` are those of the targets before it too."""
    if context.settings.study.pruner == "none":
        return None

    def halfway(model: TransferModel) -> None:
        probe = evaluate(model, probe_of(target, context), context)
        some = {"probe": [probe], "scores": [*scored, probe]}
        event = {name: _scores(found, context).to_dict() for name, found in some.items()}
        report({"event": "rung", "rung": rung, **event})

    return halfway


def _keep(
    rows: Mapping[str, Outcomes],
    key: str | None,
    scoring: Scoring,
    protocol: ScoringProtocol,
    context: TrialContext,
) -> str:
    """Write what each row got, and which rows go together, beside what else is known of the phase;
    where it lies."""
    trained = key or context.key_facts.encoder_name
    path = outcomes.file_of(context.home.resolve(), trained, protocol)
    if context.workers.rank == 0:
        split, limit = scoring.split, scoring.max_rows
        found = {c: context.data.groups(scoring.task, c, split, max_rows=limit) for c in rows}
        groups = {code: array for code, array in found.items() if array is not None}
        outcomes.write(path, ByLanguage(rows, groups))
    return str(path)


def _scores(scored: Sequence[TargetScores], context: TrialContext) -> Scores:
    return Scores(targets=tuple(scored), of_interest=context.settings.objective_targets)


def _end(
    state: str, started: float, seconds: Mapping[str, float], **content: Any
) -> dict[str, Any]:
    total = time.monotonic() - started
    return {"event": "end", "state": state, "seconds": {**seconds, "total": total}, **content}
