"""May a trial win? Where a study says how far a language may fall under its baseline. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.selection import TrialRow, TrialState, is_collapsed
from spaces.phases import TrialPlan
from spaces.sections import EvaluationSection
from trainables.objectives import selecting_scores


@dataclass(frozen=True, slots=True)
class Measure:
    """A baseline that others are measured against. `scores`: `task language` -> score, of the
    objective targets in the languages that may select."""

    plan: TrialPlan
    objective: float
    scores: Mapping[str, float]


def measure_of(row: TrialRow, evaluation: EvaluationSection) -> Measure | None:
    """What others are measured against in this trial; None if it is no baseline, or collapsed."""
    if row.state is not TrialState.SCORED or not row.plan.is_baseline or is_collapsed(row):
        return None
    if row.scores is None or row.objective is None:
        return None
    return Measure(row.plan, row.objective, selecting_scores(row.scores, evaluation))


def judged(row: TrialRow, measures: Sequence[Measure], evaluation: EvaluationSection) -> TrialRow:
    """The trial with what it drops at most, in [-1, 1], and whether that is allowed.

    It is measured against the baseline with the same target phases and seed, else against the best
    one: a baseline against itself. Where there is none yet, both are None.
    """
    if evaluation.max_drop is None or row.scores is None or row.state is not TrialState.SCORED:
        return row
    paired = (measure for measure in measures if measure.plan == row.plan.baseline())
    best = max(measures, key=lambda measure: measure.objective, default=None)
    against = next(paired, best)
    own = selecting_scores(row.scores, evaluation)
    level = against.scores if against else {}
    drops = [level[cell] - own[cell] for cell in own if cell in level]
    if not drops:
        return replace(row, largest_drop=None, is_feasible=None)
    largest = round(max(drops), 9)  # 0.51 - 0.5 is a little more than 0.01
    return replace(row, largest_drop=largest, is_feasible=largest <= evaluation.max_drop)


def judge_all(rows: Sequence[TrialRow], evaluation: Mapping[str, Any]) -> tuple[TrialRow, ...]:
    """The trials of a study against the baselines that it has now; as a trial ended, there may have
    been others.

    Args:
        evaluation: the study's section as the record has it.
    """
    if evaluation.get("max_drop") is None:
        return tuple(rows)
    section = EvaluationSection.model_validate_json(json.dumps(evaluation))
    found = [measure_of(row, section) for row in rows]
    measures = [measure for measure in found if measure is not None]
    return tuple(judged(row, measures, section) for row in rows)


def constraints(row: TrialRow, evaluation: EvaluationSection) -> dict[str, float]:
    """What a sampler is to hold to, each satisfied at 0 or less; every trial of a study has the
    same ones. A collapsed trial violates them all: its gap is small, and it may be cheap."""
    if evaluation.max_drop is not None:
        drop = 1.0 if is_collapsed(row) else row.largest_drop or 0.0
        return {"max_drop": drop - evaluation.max_drop}
    return {"collapsed": float(is_collapsed(row))} if evaluation.objectives else {}
