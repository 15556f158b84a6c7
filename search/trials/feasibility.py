"""Whether a trial may win, in a study that limits how far a language may fall under its baseline.
Pure.

Scores vary with the choice of their rows, and the largest of many drops is partly bad luck. So only
an established drop bars a trial: one whose interval lies above the limit. The intervals hold for
all cells at once (Bonferroni) in 95 % of all cases. Which rows both sides got right is not known
here, so their variances are added as if the sides were independent. Models of one encoder agree
more than that: the interval is too wide rather than too narrow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import ndtri

from search.trials.ranking import TrialRow, TrialState, is_collapsed
from spaces.phases import TrialPlan
from spaces.study_file.sections import EvaluationSection
from trainables.scoring.objectives import selecting_scores
from trainables.scoring.scores import Mark, Scores

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class BaselineMeasure:
    """A baseline that other trials are measured against. `scores` maps `task language` to the
    score, for objective targets that did not collapse and languages that may select."""

    plan: TrialPlan
    objective: float
    scores: Mapping[str, float]


def measure_of(row: TrialRow, evaluation: EvaluationSection) -> BaselineMeasure | None:
    """The measure that a baseline contributes; None if the trial is not a baseline, or all of its
    objective targets collapsed."""
    if row.state is not TrialState.SCORED or not row.plan.is_baseline:
        return None
    if row.scores is None or row.objective is None:
        return None
    sound = tuple(t for t in row.scores.targets if t.mark is not Mark.COLLAPSED)
    scores = selecting_scores(replace(row.scores, targets=sound), evaluation)
    return BaselineMeasure(row.plan, row.objective, scores) if scores else None


def judged(
    row: TrialRow, measures: Sequence[BaselineMeasure], evaluation: EvaluationSection
) -> TrialRow:
    """The trial with its largest drop, in [-1, 1], its largest established drop, and whether that
    is allowed.

    Each cell (a target in a language) is measured against the baseline with the same target phases
    and seed, else against the best baseline that has the cell; a baseline is measured against
    itself. Where there is no baseline yet, all three are None.
    """
    if evaluation.max_drop is None or row.scores is None or row.state is not TrialState.SCORED:
        return row
    order = sorted(measures, key=lambda m: (m.plan != row.plan.baseline(), -m.objective))
    level: dict[str, float] = {}
    for measure in reversed(order):
        level |= measure.scores
    own, num_rows = selecting_scores(row.scores, evaluation), _num_rows(row.scores)
    cells = {cell: (level[cell], own[cell], num_rows[cell]) for cell in own if cell in level}
    if not cells:
        return replace(row, largest_drop=None, sure_drop=None, is_feasible=None)
    # 0.51 - 0.5 is a little more than 0.01
    largest = round(max(before - after for before, after, _ in cells.values()), 9)
    sure = round(established_drop(list(cells.values())), 9)
    allowed = sure <= evaluation.max_drop
    return replace(row, largest_drop=largest, sure_drop=sure, is_feasible=allowed)


def established_drop(cells: Sequence[tuple[float, float, int]]) -> float:
    """The largest lower end of the intervals of the cells' drops, in [-1, 1].

    Args:
        cells: (score of the baseline, own score, number of rows) of at least one cell.
    """
    quantile = float(ndtri(1 - (1 - CONFIDENCE) / len(cells)))
    ends = []
    for before, after, num_rows in cells:
        variance = _variance(before, num_rows) + _variance(after, num_rows)
        ends.append(before - after - quantile * math.sqrt(variance))
    return max(ends)


def _variance(score: float, num_rows: int) -> float:
    """The largest variance of a mean of values in [0, 1]. One right and one wrong row are added, so
    that no score is certain (Agresti and Coull, 1998, Am. Stat. 52:119, add two of each)."""
    share = (score * num_rows + 1) / (num_rows + 2)
    return share * (1 - share) / max(1, num_rows)


def _num_rows(scores: Scores) -> dict[str, int]:
    """`task language` -> rows scored."""
    return {
        f"{target.task} {language}": num
        for target in scores.targets
        for language, num in target.num_rows.items()
    }


def judge_all(rows: Sequence[TrialRow], evaluation: EvaluationSection) -> tuple[TrialRow, ...]:
    """The trials of a study against the baselines that it has now; when a trial ended, there may
    have been other ones."""
    if evaluation.max_drop is None:
        return tuple(rows)
    measures = [measure for row in rows if (measure := measure_of(row, evaluation)) is not None]
    return tuple(judged(row, measures, evaluation) for row in rows)


def constraints(row: TrialRow, evaluation: EvaluationSection) -> dict[str, float]:
    """The constraints that a sampler must keep, each satisfied at 0 or less; every trial of a study
    has the same ones. A drop counts as far as it is established. A collapsed trial violates all
    constraints: its gap is small, and it may be cheap."""
    if evaluation.max_drop is not None:
        drop = 1.0 if is_collapsed(row) else row.sure_drop or 0.0
        return {"max_drop": drop - evaluation.max_drop}
    return {"collapsed": float(is_collapsed(row))} if evaluation.objectives else {}
