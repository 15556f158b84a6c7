"""Gains of intermediate training by target, the table of arXiv 2005.13013. Pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
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


def mean_scores(rows: Sequence[TrialRow]) -> dict[str, float]:
    """Target -> the mean of its task scores over the trials."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for task, value in task_scores(row.scores).items() if row.scores else ():
            found.setdefault(task, []).append(value)
    return {task: fmean(values) for task, values in found.items()}


def gain_table(rows: Sequence[TrialRow], baseline: TrialRow | None) -> Json:
    """Each intermediate at its best setting: task scores minus those of the best baseline.

    Means over seeds where there are several; `spread` is then the standard deviation, over the
    seeds that both sides have, of the mean gain.

    Args:
        rows: scored trials, the best first; collapsed ones are left out by the caller.

    Returns:
        `baseline`: the scores that the gains are measured against; `rows`: one an intermediate.
    """
    if baseline is None or baseline.scores is None:
        return {"baseline": {}, "rows": []}
    before = by_seed(rows, baseline)
    found: dict[str, Json] = {}
    for row in rows:
        if row.plan.intermediate is None or row.scores is None:
            continue
        name = str(row.plan.intermediate.mixture)
        if name not in found:
            named = {"intermediate": name, "label": row.plan.intermediate.mixture.short}
            found[name] = {**named, "number": row.number, **_gains(before, by_seed(rows, row))}
    return {"baseline": mean_scores(list(before.values())), "rows": list(found.values())}


def by_seed(rows: Sequence[TrialRow], like: TrialRow) -> dict[int | None, TrialRow]:
    """The trials of the same setting as one, the first of each seed."""
    setting = like.plan.with_seed(0)
    found: dict[int | None, TrialRow] = {}
    for row in rows:
        if row.plan.with_seed(0) == setting and row.scores is not None:
            found.setdefault(row.plan.seed, row)
    return found


def seeds_side_by_side(
    rows: Sequence[TrialRow], first: TrialRow, second: TrialRow
) -> tuple[tuple[Scores, ...], tuple[Scores, ...]]:
    """The scores of two trials' settings: of the seeds that both have, else of all of each."""
    before, after = _paired(by_seed(rows, first), by_seed(rows, second))
    return (
        tuple(row.scores for row in before if row.scores is not None),
        tuple(row.scores for row in after if row.scores is not None),
    )


def _paired(
    before: Mapping[int | None, TrialRow], after: Mapping[int | None, TrialRow]
) -> tuple[list[TrialRow], list[TrialRow]]:
    """Seed by seed where both sides have some seeds, else all of each."""
    seeds = [seed for seed in after if seed in before]
    first = [before[seed] for seed in seeds] or list(before.values())
    second = [after[seed] for seed in seeds] or list(after.values())
    return first, second


def _gains(before: Mapping[int | None, TrialRow], after: Mapping[int | None, TrialRow]) -> Json:
    """Seed by seed where both sides have some seeds, else mean against mean."""
    first, second = _paired(before, after)
    seeds = before.keys() & after.keys()
    means, level = mean_scores(second), mean_scores(first)
    gains = {task: means[task] - level[task] for task in means if task in level}
    each = [
        fmean(mean_scores([b])[task] - mean_scores([a])[task] for task in gains)
        for a, b in zip(first, second, strict=False)
        if seeds and gains
    ]
    return {
        "gains": gains,
        "mean": fmean(gains.values()) if gains else None,
        "spread": stdev(each) if len(each) > 1 else None,
        "num_seeds": len(second),
    }
