"""run_trial: one trial plan from the first phase to the last score. Read it from top to bottom."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spaces.phases import Target, TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import RetrievalDirection
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
    """Train what is not in the phase store, score every target, and report along the way.

    Reports, in this order: a `phase` for every phase (trained or reused), with `progress` during
    training, and, in studies with a pruner, a `rung` half-way through each target phase that is
    trained; then one `end`. A trial that diverges ends with `state` failed and its reason.
    Exceptions are left to broken infrastructure. The outcomes of rows are written to files under
    the home folder; `end` names these files by target.

    Each model is also scored on the splits in `also`. These scores are in `end` by split; nothing
    else is reported of them.

    Returns the scores on `split`, or None where the trial diverged.
    """
    started = time.monotonic()
    seconds = {"evaluation": 0.0}
    scored: dict[str, list[TargetScores]] = {name: [] for name in (split, *also)}
    files: dict[str, str] = {}
    try:
        intermediate = (
            get_or_train(plan.intermediate, None, context, report) if plan.intermediate else None
        )
        for rung, target in enumerate(plan.targets):
            key, loss_fell = intermediate.key if intermediate else None, True
            if target.phase is not None:
                probe = (
                    _rung_reporter(rung, target, scored[DEV], context, report)
                    if split == DEV
                    else None
                )
                stage = get_or_train(target.phase, key, context, report, halfway=probe)
                key, loss_fell = stage.key, stage.loss_fell
            before = time.monotonic()
            model = model_after(key, target.trained_tasks, context)
            for name, split_scores in scored.items():
                scoring = scoring_of(target, context, split=name)
                scores, rows = evaluate_rows(model, scoring, context, loss_fell=loss_fell)
                split_scores.append(scores)
                if name == split:
                    files[target.task.name] = _write_outcomes(
                        rows, key, scoring, scores.protocol, context
                    )
            seconds["evaluation"] += time.monotonic() - before
    except DivergedError as error:
        report(_end("failed", started, seconds, reason=str(error)))
        return None
    whole = {name: _scores(targets, context) for name, targets in scored.items()}
    others = {name: whole[name].to_dict() for name in also}
    content = {"scores": whole[split].to_dict(), "outcomes": files, "also": others}
    report(_end("scored", started, seconds, **content))
    return whole[split]


def scoring_of(target: Target, context: TrialContext, *, split: str) -> Scoring:
    """How the study scores one of its targets, in the languages that have rows. Raises Refusal
    where no zero-shot language has any."""
    evaluation = context.settings.evaluation
    wanted = context.settings.languages_of(target.task)
    languages = context.data.rows.languages(target.task, wanted, split)
    if not set(languages) - {target.task.source_language}:
        raise Refusal(
            f"target {target.task.name!r} has no {split} rows in a zero-shot language of the study "
            f"({', '.join(wanted)}); add rows, or list other languages"
        )
    return Scoring(
        task=target.task,
        languages=languages,
        split=split,
        max_rows=evaluation.max_rows,
        max_length=evaluation.max_length_of(target.recipe),
        retrieval_layer=evaluation.retrieval_layer,
        selection=evaluation.selection.value,
        to_english=evaluation.retrieval_direction is RetrievalDirection.TO_ENGLISH,
        text_prefix=context.settings.study.text_prefix or "",
    )


def probe_scoring(target: Target, context: TrialContext) -> Scoring:
    """The scoring of a rung: a few rows, always the same, equally many of every language."""
    scoring, limit = scoring_of(target, context, split=DEV), context.settings.evaluation.probe_rows
    rows = {
        c: context.data.examples(target.task, c, DEV, max_rows=limit) for c in scoring.languages
    }
    return replace(scoring, max_rows=min(len(examples) for examples in rows.values()))


def _rung_reporter(
    rung: int, target: Target, scored: Sequence[TargetScores], context: TrialContext, report: Report
) -> Halfway | None:
    """A function that reports how a target's model does after half of its steps. The rung is the
    index of the target, so that only equal rungs are compared. `scores` include those of earlier
    targets."""
    if context.settings.study.pruner == "none":
        return None

    def halfway(model: TransferModel) -> None:
        probe = evaluate(model, probe_scoring(target, context), context)
        reported = {"probe": [probe], "scores": [*scored, probe]}
        event = {name: _scores(targets, context).to_dict() for name, targets in reported.items()}
        report({"event": "rung", "rung": rung, **event})

    return halfway


def _write_outcomes(
    rows: Mapping[str, Outcomes],
    key: str | None,
    scoring: Scoring,
    protocol: ScoringProtocol,
    context: TrialContext,
) -> str:
    """Write the outcome and the group of each row below the home folder. Returns the path of the
    file."""
    trained = key or context.key_facts.encoder_name
    path = outcomes.file_of(context.home.resolve(), trained, protocol)
    if context.workers.rank == 0:
        split, limit = scoring.split, scoring.max_rows
        by_language = {c: context.data.groups(scoring.task, c, split, max_rows=limit) for c in rows}
        groups = {code: array for code, array in by_language.items() if array is not None}
        outcomes.write(path, ByLanguage(rows, groups))
    return str(path)


def _scores(scored: Sequence[TargetScores], context: TrialContext) -> Scores:
    return Scores(targets=tuple(scored), of_interest=context.settings.objective_targets)


def _end(
    state: str, started: float, seconds: Mapping[str, float], **content: Any
) -> dict[str, Any]:
    total = time.monotonic() - started
    return {"event": "end", "state": state, "seconds": {**seconds, "total": total}, **content}
