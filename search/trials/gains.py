"""Gains over seeds: what one plan adds to another, in one number and by target (the table of arXiv
2005.13013). Pure.

Every scored seed counts, one that collapsed too: a way to train that fails on every third seed is
worse for it, and the mean of those that survived would not say so. How many collapsed stands beside
each number; the gain without them is a second number with a name of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from search.stats.intervals import Interval, paired_difference, unpaired_difference
from search.trials.ranking import TrialRow, over_seeds
from trainables.scoring.scores import Mark, Scores, task_score, xtreme_averages

Json = dict[str, Any]
BySeed = Mapping[int | None, Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGain:
    """First minus second, in [-1, 1].

    `interval` is over the seeds that both sides have, paired, else over all of each (Welch), which
    is then not `is_paired`.
    `num_first` and `num_second` seeds of the sides are in it, of which `collapsed_first` and
    `collapsed_second` did so in what was asked for. `sound` is the gain over the seeds where
    neither side collapsed; None where none collapsed, or none is left.
    """

    interval: Interval
    is_paired: bool
    num_first: int
    num_second: int
    collapsed_first: int
    collapsed_second: int
    sound: Interval | None

    @property
    def num_collapsed(self) -> int:
        """Runs of both sides."""
        return self.collapsed_first + self.collapsed_second

    def to_dict(self) -> Json:
        """As JSON values: the interval's own fields, and the rest beside them."""
        counts = {
            "is_paired": self.is_paired,
            "num_first": self.num_first,
            "num_second": self.num_second,
            "collapsed_first": self.collapsed_first,
            "collapsed_second": self.collapsed_second,
        }
        sound = None if self.sound is None else interval_json(self.sound)
        return {**interval_json(self.interval), **counts, "sound": sound}


def seed_gains(first: BySeed, second: BySeed, task: str | None = None) -> SeedGain | None:
    """What the zero-shot mean of the first side is above that of the second, over seeds; of one
    target where it is named. None where a side has no scores."""

    def mean(scores: Scores) -> float:
        if task is None:
            return scores.zero_shot_mean
        return next(t.zero_shot_mean for t in scores.targets if t.task == task)

    def is_collapsed(scores: Scores) -> bool:
        return bool(scores.collapsed) if task is None else collapsed_on(scores, task)

    return gain_of(first, second, mean, is_collapsed)


def gain_of(
    first: BySeed,
    second: BySeed,
    value: Callable[[Scores], float],
    is_collapsed: Callable[[Scores], bool],
) -> SeedGain | None:
    """The one function for a gain over seeds, of whatever `value` makes of scores."""
    if not first or not second:
        return None
    mine, others = _together(first, second)
    is_paired = mine.keys() == others.keys()
    spoilt = [{seed for seed, s in side.items() if is_collapsed(s)} for side in (mine, others)]
    left_out = [set().union(*spoilt)] * 2 if is_paired else spoilt
    kept = [
        {seed: scores for seed, scores in side.items() if seed not in out}
        for side, out in zip((mine, others), left_out, strict=True)
    ]
    return SeedGain(
        interval=_difference(mine, others, value),
        is_paired=is_paired,
        num_first=len(mine),
        num_second=len(others),
        collapsed_first=len(spoilt[0]),
        collapsed_second=len(spoilt[1]),
        sound=_difference(kept[0], kept[1], value) if any(spoilt) and all(kept) else None,
    )


def gain_json(gain: SeedGain | None) -> Json | None:
    """As JSON values, where there is one."""
    return gain.to_dict() if gain else None


def mean_over_seeds(side: BySeed, task: str | None = None) -> float | None:
    """The zero-shot mean over seeds; of one target where it is named. None where there is none."""
    if task is None:
        means = [scores.zero_shot_mean for scores in side.values()]
    else:
        targets = (target for scores in side.values() for target in scores.targets)
        means = [target.zero_shot_mean for target in targets if target.task == task]
    return fmean(means) if means else None


def collapsed_on(scores: Scores, task: str) -> bool:
    """Whether this target's phase collapsed."""
    return any(t.task == task and t.mark is Mark.COLLAPSED for t in scores.targets)


def side_by_side(first: BySeed, second: BySeed) -> tuple[tuple[Scores, ...], tuple[Scores, ...]]:
    """The scores of two sides: of the seeds that both have, in one order, else of all of each."""
    mine, others = _together(first, second)
    return tuple(mine.values()), tuple(others.values())


def by_seed(rows: Iterable[TrialRow], like: TrialRow) -> dict[int | None, TrialRow]:
    """The trials of the same setting as one, the first of each seed."""
    setting = like.plan.with_seed(0)
    found: dict[int | None, TrialRow] = {}
    for row in rows:
        if row.plan.with_seed(0) == setting and row.scores is not None:
            found.setdefault(row.plan.seed, row)
    return found


def scores_by_seed(rows: Iterable[TrialRow], like: TrialRow) -> dict[int | None, Scores]:
    """The scores of `by_seed`."""
    found = by_seed(rows, like).items()
    return {seed: row.scores for seed, row in found if row.scores is not None}


def task_scores(scores: Scores) -> dict[str, float]:
    """Target -> its score as XTREME counts it, over all its languages."""
    return {target.task: task_score(target) for target in scores.targets}


def averages(scores: Scores) -> dict[str, float]:
    """XTREME's averages, those that all their tasks are there for."""
    return xtreme_averages(task_scores(scores))


def gain_table(rows: Sequence[TrialRow], baseline: TrialRow | None) -> Json:
    """Each intermediate at its best setting: task scores minus those of the best baseline.

    Means over seeds where there are several; `spread` is then the standard deviation, over the
    seeds that both sides have, of the mean gain. `collapsed` counts, by target, the seeds of which
    the target's phase collapsed, and `sound` has the gain without them.

    Args:
        rows: scored trials, the best first.

    Returns:
        `baseline`: the scores that the gains are measured against, `baseline_collapsed` and
        `baseline_seeds` as of a row; `rows`: one an intermediate.
    """
    if baseline is None or baseline.scores is None:
        return {"baseline": {}, "baseline_collapsed": {}, "baseline_seeds": 0, "rows": []}
    settings = over_seeds(rows)  # looked through once, not once an intermediate
    before = scores_by_seed(settings.get(baseline.plan.with_seed(0), ()), baseline)
    found: dict[str, Json] = {}
    for row in rows:
        if row.plan.intermediate is None or row.scores is None:
            continue
        name = str(row.plan.intermediate.mixture)
        if name not in found:
            named = {"intermediate": name, "label": row.plan.intermediate.mixture.short}
            after = scores_by_seed(settings[row.plan.with_seed(0)], row)
            gains = _by_task(after, before)
            found[name] = {**named, "number": row.number, **gains}
    return {
        "baseline": _means(before.values()),
        "baseline_collapsed": collapsed_counts(before.values()),
        "baseline_seeds": len(before),
        "rows": list(found.values()),
    }


def collapsed_counts(scores: Iterable[Scores]) -> dict[str, int]:
    """Target -> of how many of these its phase collapsed; without those of none."""
    found: dict[str, int] = {}
    for target in (target for one in scores for target in one.targets):
        if target.mark is Mark.COLLAPSED:
            found[target.task] = found.get(target.task, 0) + 1
    return found


def _by_task(after: BySeed, before: BySeed) -> Json:
    """Of every target that both sides have, and their mean."""
    there = [task_scores(scores) for scores in (*after.values(), *before.values())]
    tasks = [task for task in there[0] if all(task in scores for scores in there)]
    found = {task: gain_of(after, before, _mean_of([task]), _collapse_of([task])) for task in tasks}
    told = {task: gain for task, gain in found.items() if gain is not None}
    mean = gain_of(after, before, _mean_of(tasks), _collapse_of(tasks)) if tasks else None
    is_paired = bool(after.keys() & before.keys())
    return {
        "gains": {task: gain.interval.mean for task, gain in told.items()},
        "sound": {task: gain.sound.mean for task, gain in told.items() if gain.sound},
        "collapsed": collapsed_counts(side_by_side(after, before)[0]),
        "mean": mean.interval.mean if mean else None,
        "spread": mean.interval.std if mean and is_paired else None,
        "num_seeds": mean.num_first if mean else len(after),
    }


def _mean_of(tasks: Sequence[str]) -> Callable[[Scores], float]:
    """The mean of these targets' task scores."""

    def mean(scores: Scores) -> float:
        found = task_scores(scores)
        return fmean(found[task] for task in tasks)

    return mean


def _collapse_of(tasks: Sequence[str]) -> Callable[[Scores], bool]:
    """Whether one of these targets' phases collapsed."""
    return lambda scores: any(collapsed_on(scores, task) for task in tasks)


def _together(first: BySeed, second: BySeed) -> tuple[BySeed, BySeed]:
    """Seed by seed where both sides have some seeds, else all of each."""
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return first, second
    return {seed: first[seed] for seed in seeds}, {seed: second[seed] for seed in seeds}


def _difference(first: BySeed, second: BySeed, value: Callable[[Scores], float]) -> Interval:
    mine, others = ([value(scores) for scores in side.values()] for side in (first, second))
    if first.keys() == second.keys():
        return paired_difference(mine, others)
    return unpaired_difference(mine, others)


def _means(sides: Iterable[Scores]) -> dict[str, float]:
    """Target -> the mean of its task scores."""
    found: dict[str, list[float]] = {}
    for scores in sides:
        for task, value in task_scores(scores).items():
            found.setdefault(task, []).append(value)
    return {task: fmean(values) for task, values in found.items()}


def interval_json(interval: Interval) -> Json:
    """Its fields, and whether zero lies outside."""
    return {**asdict(interval), "excludes_zero": interval.excludes_zero}
