"""run_trial: one trial plan from the first phase to the last score. Read it from top to bottom."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spaces.phases import Target, TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import RetrievalDirection
from trainables.encoders.model import TransferModel
from trainables.scoring import outcomes
from trainables.scoring.groups import Groups
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Scores, TargetScores
from trainables.scoring.stored_scores import (
    StoredScores,
    read_scores,
    scores_beside,
    write_scores,
)
from trainables.training.context import TrialContext
from trainables.training.evaluate import Scoring, evaluate, evaluate_rows, protocol_of
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

    A model that was scored under the same protocol before, in another trial, is not scored again.
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
            to_score = _ToScore(target=target, key=key, context=context, loss_fell=loss_fell)
            for name, split_scores in scored.items():
                stored, path = to_score.on(name, has_outcomes=name == split)
                split_scores.append(stored.scores)
                seconds["evaluation"] += stored.seconds
                if name == split:
                    files[target.task.name] = str(path)
    except DivergedError as error:
        report(_end("failed", started, seconds, reason=str(error)))
        return None
    whole = {name: _scores(targets, context) for name, targets in scored.items()}
    others = {name: whole[name].to_dict() for name in also}
    content = {"scores": whole[split].to_dict(), "outcomes": files, "also": others}
    report(_end("scored", started, seconds, **content))
    return whole[split]


@dataclass(kw_only=True)
class _ToScore:
    """A target's model, which is loaded only if one of its scores is not stored yet.

    `key` is the phase that it was trained in last; None: it is the study's untrained encoder.
    """

    target: Target
    key: str | None
    context: TrialContext
    loss_fell: bool
    _model: TransferModel | None = None

    def on(self, split: str, *, has_outcomes: bool) -> tuple[StoredScores, Path]:
        """The scores on a split, and the path of the outcomes of its rows, which are written where
        `has_outcomes`. Seconds are those of the first time."""
        context = self.context
        scoring = scoring_of(self.target, context, split=split)
        protocol = protocol_of(scoring, num_layers=context.base.num_layers, rows=context.data.rows)
        trained = self.key or context.key_facts.encoder_name
        path = outcomes.file_of(context.home.resolve(), trained, protocol)
        stored = None if has_outcomes and not path.exists() else read_scores(scores_beside(path))
        stored = context.workers.share(stored)
        if stored is None:
            stored = self._score(scoring, path, has_outcomes=has_outcomes)
        return stored, path

    def _score(self, scoring: Scoring, path: Path, *, has_outcomes: bool) -> StoredScores:
        before, context = time.monotonic(), self.context
        if self._model is None:
            self._model = model_after(self.key, self.target.trained_tasks, context)
        scores, rows = evaluate_rows(self._model, scoring, context, loss_fell=self.loss_fell)
        stored = StoredScores(scores, time.monotonic() - before)
        if context.workers.rank == 0:
            if has_outcomes:
                outcomes.write(path, ByLanguage(rows, _groups(rows, scoring, context)))
            write_scores(scores_beside(path), stored)
        return stored


def _groups(rows: Iterable[str], scoring: Scoring, context: TrialContext) -> dict[str, Groups]:
    """The group of each scored row, by language; languages whose rows form no groups are left
    out."""
    split, limit = scoring.split, scoring.max_rows
    by_language = {c: context.data.groups(scoring.task, c, split, max_rows=limit) for c in rows}
    return {code: array for code, array in by_language.items() if array is not None}


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


def _scores(scored: Sequence[TargetScores], context: TrialContext) -> Scores:
    return Scores(targets=tuple(scored), of_interest=context.settings.objective_targets)


def _end(
    state: str, started: float, seconds: Mapping[str, float], **content: Any
) -> dict[str, Any]:
    total = time.monotonic() - started
    return {"event": "end", "state": state, "seconds": {**seconds, "total": total}, **content}
