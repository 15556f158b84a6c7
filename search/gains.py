"""Gains of intermediate training by target, the table of arXiv 2005.13013. Pure."""

from collections.abc import Sequence
from typing import Any

from search.selection import TrialRow
from trainables.scores import Scores, task_score, xtreme_averages

Json = dict[str, Any]


def task_scores(scores: Scores) -> dict[str, float]:
    """Target -> its score as XTREME counts it, over all its languages."""
    return {target.task: task_score(target) for target in scores.targets}


def averages(scores: Scores) -> dict[str, float]:
    """XTREME's averages, those that all their tasks are there for."""
    return xtreme_averages(task_scores(scores))


def gain_table(rows: Sequence[TrialRow], baseline: TrialRow | None) -> list[Json]:
    """Each intermediate at its best trial: task scores minus those of the best baseline.

    Args:
        rows: scored trials, the best first; collapsed ones are left out by the caller.
    """
    if baseline is None or baseline.scores is None:
        return []
    before = task_scores(baseline.scores)
    found: dict[str, Json] = {}
    for row in rows:
        if row.plan.intermediate is None or row.scores is None:
            continue
        name = str(row.plan.intermediate.mixture)
        if name not in found:
            after = task_scores(row.scores)
            gains = {task: after[task] - before[task] for task in after if task in before}
            mean = sum(gains.values()) / len(gains) if gains else None
            found[name] = {
                "intermediate": name,
                "number": row.number,
                "gains": gains,
                "mean": mean,
            }
    return list(found.values())
