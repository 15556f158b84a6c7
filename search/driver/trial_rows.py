"""Converts trials in flight and stored phases to the rows of the record. No database, no Ray."""

import time

from search.driver.trial_in_flight import TrialInFlight
from search.sampling.history import PlanResult
from search.sampling.study import AskedTrial
from search.trials.ranking import PhaseRow, TrialRow, TrialState
from search.trials.spending import TrialSpending
from spaces.phases import Phase
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import Catalogue
from trainables.scoring.objectives import objective_values
from trainables.scoring.scores import Scores, objective
from trainables.store.phase_store import PhaseRecord


def row_of(live: TrialInFlight, took: TrialSpending, settings: StudySettings) -> TrialRow:
    """Return the row of an ended trial.

    The trial was pruned at a rung (the row then has the scores so far), ended as its `end` event
    says, or failed because its worker failed.
    """
    asked, end, scores = live.asked, live.end, None
    state, reason = TrialState.FAILED, live.reason
    if live.pruned:
        state, reason, scores = TrialState.PRUNED, "", live.scores
    elif end is not None:
        state, reason = TrialState(end["state"]), end.get("reason", "")
        scores = Scores.from_dict(end["scores"]) if "scores" in end else None
    seconds = {**live.seconds, "total": time.monotonic() - live.started}
    if took.gpu_seconds:
        seconds["gpu"] = took.gpu_seconds
    values = _values(live, scores, settings) if scores and state is TrialState.SCORED else {}
    reached = objective_of(scores, settings) if scores else None
    return TrialRow(
        number=asked.number,
        state=state,
        params=asked.params,
        plan=asked.plan,
        phase_keys=tuple(dict.fromkeys(live.phase_keys)),  # a second try reports them again
        objective=live.probed if live.pruned else reached,
        scores=scores,
        reason=reason or None,
        seconds=seconds,
        num_reused=live.num_reused,
        values=values,
    )


def duplicate_row(asked: AskedTrial, equal: PlanResult, settings: StudySettings) -> TrialRow:
    """Return the row of a trial that is not run, because an equal plan already has a result."""
    names = [name.value for name in settings.evaluation.objectives]
    return TrialRow(
        number=asked.number,
        state=TrialState.DUPLICATE,
        params=asked.params,
        plan=asked.plan,
        phase_keys=(),
        objective=equal.values[0] if equal.values and not names else None,
        values=dict(zip(names, equal.values, strict=False)),
        duplicate_of=equal.number,
    )


def told_values(row: TrialRow, settings: StudySettings) -> tuple[float, ...]:
    """Return the values of a scored trial for Optuna; empty if it has no objective."""
    if row.objective is None:
        return ()
    named = settings.evaluation.objectives
    return tuple(row.values.values()) if named else (row.objective,)


def objective_of(scores: Scores, settings: StudySettings) -> float | None:
    """Return the objective of these scores; None if no objective target is scored yet in a language
    that may select."""
    rule = settings.evaluation
    try:
        return objective(scores, rule.selection, pivot_languages=rule.pivot_languages)
    except Refusal:
        return None


def phase_row(record: PhaseRecord, catalogue: Catalogue) -> PhaseRow:
    """Return the row of a stored phase of a study with these tasks."""
    phase = Phase.from_dict(record.phase, catalogue)
    return PhaseRow(
        key=record.key,
        parent=record.parent,
        name=str(phase.mixture),
        learning_rate=phase.learning_rate,
        num_steps=record.num_steps,
        num_examples=record.num_examples,
        seconds=record.seconds,
        dev_score=max((score for _, score in record.dev_scores), default=None),
        retried=record.retry_of is not None,
        num_tokens=record.num_tokens,
        loss_fell=record.loss_fell,
    )


def _values(live: TrialInFlight, scores: Scores, settings: StudySettings) -> dict[str, float]:
    """Return objective name -> value for the study's named objectives; empty if one of them cannot
    be computed."""
    seconds = sum(live.costs.values()) + live.seconds.get("evaluation", 0.0)
    try:
        return objective_values(
            scores,
            settings.evaluation,
            hours=seconds / 3600,
            num_gpus=settings.resources.num_gpus,
        )
    except Refusal:
        return {}
