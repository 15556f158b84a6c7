"""Gains over seeds: what one plan adds to another, in one number and by target (the table of arXiv
2005.13013). Pure.

Every scored seed counts, collapsed ones too: a plan that fails on every third seed is worse for it,
and the mean of the other seeds would hide that. Each gain comes with the number of collapsed seeds;
the gain without them is a second number, `sound`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import computed_field

from search.stats.intervals import Interval, paired_difference, unpaired_difference
from search.trials.ranking import TrialRow, over_seeds
from spaces.mixture import Mixture
from trainables.scoring.scores import Mark, Scores, task_score, xtreme_averages

BySeed = Mapping[int | None, Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGain:
    """The score of a first side minus that of a second one, in [-1, 1], over seeds.

    The interval is over the seeds that both sides have, paired; where they share none it is over
    all seeds of each side (Welch).
    """

    mean: float
    """The mean gain over the seeds, in [-1, 1]."""
    low: float | None
    """The lower end of the 95 % interval; null with one seed."""
    high: float | None
    """The upper end of the 95 % interval; null with one seed."""
    std: float | None
    """The standard deviation of the gain over paired seeds, else its standard error."""
    num: int
    """How many differences (paired) or runs (unpaired) the interval is over."""
    is_paired: bool
    """Whether the sides were compared seed by seed."""
    num_first: int
    """How many seeds of the first side count."""
    num_second: int
    """How many seeds of the second side count."""
    collapsed_first: int
    """How many of the first side's seeds collapsed on what was compared."""
    collapsed_second: int
    """How many of the second side's seeds collapsed on what was compared."""
    sound: Interval | None
    """The gain over the seeds where neither side collapsed; null where none collapsed, or none is
    left."""

    @property
    def interval(self) -> Interval:
        """The gain alone, without its counts."""
        return Interval(mean=self.mean, low=self.low, high=self.high, std=self.std, num=self.num)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and zero lies outside: the gain is significant."""
        return self.interval.excludes_zero

    @property
    def num_collapsed(self) -> int:
        """Collapsed runs of both sides."""
        return self.collapsed_first + self.collapsed_second


@dataclass(frozen=True, slots=True, kw_only=True)
class GainRow:
    """One intermediate at its best setting: its gains over the best baseline by target."""

    intermediate: str
    """The intermediate mixture, in full."""
    label: str
    """The intermediate mixture, in short."""
    number: int
    """The number of the best trial with this setting."""
    gains: Mapping[str, float]
    """Target -> its task score minus the baseline's, in [-1, 1], the mean over the seeds."""
    sound: Mapping[str, float]
    """Target -> the gain over the seeds where neither side collapsed, in [-1, 1]; only targets on
    which some seeds collapsed and some did not."""
    collapsed: Mapping[str, int]
    """Target -> how many seeds of this setting collapsed on it; only targets with some."""
    mean: float | None
    """The mean gain over the targets, in [-1, 1]; null without a target that both sides have."""
    spread: float | None
    """The standard deviation of the mean gain over the seeds that both sides have, in [0, 1]."""
    num_seeds: int
    """How many seeds of this setting count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainTable:
    """What each intermediate adds to the best baseline, in task scores."""

    baseline: Mapping[str, float]
    """Target -> the best baseline's task score, in [0, 1], the mean over its seeds."""
    baseline_collapsed: Mapping[str, int]
    """Target -> how many of the baseline's seeds collapsed on it; only targets with some."""
    baseline_seeds: int
    """How many seeds of the baseline count."""
    rows: tuple[GainRow, ...]
    """One row for each intermediate, the one with the best objective first."""


def seed_gains(first: BySeed, second: BySeed, task: str | None = None) -> SeedGain | None:
    """The zero-shot mean of the first side minus that of the second, over seeds; on one target
    where `task` is given. None where a side has no scores."""

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
    """The gain over seeds in whatever `value` computes from scores. None where a side has none."""
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
    interval = _difference(mine, others, value)
    return SeedGain(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        std=interval.std,
        num=interval.num,
        is_paired=is_paired,
        num_first=len(mine),
        num_second=len(others),
        collapsed_first=len(spoilt[0]),
        collapsed_second=len(spoilt[1]),
        sound=_difference(kept[0], kept[1], value) if any(spoilt) and all(kept) else None,
    )


def mean_over_seeds(side: BySeed, task: str | None = None) -> float | None:
    """The zero-shot mean over seeds; on one target where `task` is given. None without scores."""
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
    """The scores of two sides: those of the seeds that both have, in the same order; where they
    share no seed, all scores of each."""
    mine, others = _together(first, second)
    return tuple(mine.values()), tuple(others.values())


def by_seed(rows: Iterable[TrialRow], like: TrialRow) -> dict[int | None, TrialRow]:
    """Seed -> the first trial with scores whose plan is that of `like` but for its seed."""
    setting = like.plan.with_seed(0)
    first: dict[int | None, TrialRow] = {}
    for row in rows:
        if row.plan.with_seed(0) == setting and row.scores is not None:
            first.setdefault(row.plan.seed, row)
    return first


def scores_by_seed(rows: Iterable[TrialRow], like: TrialRow) -> dict[int | None, Scores]:
    """Seed -> the scores of the trial in `by_seed`."""
    trials = by_seed(rows, like).items()
    return {seed: row.scores for seed, row in trials if row.scores is not None}


def task_scores(scores: Scores) -> dict[str, float]:
    """Target -> its score as XTREME counts it, over all its languages."""
    return {target.task: task_score(target) for target in scores.targets}


def averages(scores: Scores) -> dict[str, float]:
    """XTREME's averages: those all of whose tasks were scored."""
    return xtreme_averages(task_scores(scores))


def gain_table(rows: Sequence[TrialRow], baseline: TrialRow | None) -> GainTable:
    """Task scores of each intermediate at its best setting minus those of the best baseline, means
    over seeds where there are several; an empty table without a scored baseline.

    Args:
        rows: scored trials, the best first.
    """
    if baseline is None or baseline.scores is None:
        return GainTable(baseline={}, baseline_collapsed={}, baseline_seeds=0, rows=())
    settings = over_seeds(rows)  # looked through once, not once an intermediate
    before = scores_by_seed(settings.get(baseline.plan.with_seed(0), ()), baseline)
    table_rows: dict[str, GainRow] = {}
    for row in rows:
        if row.plan.intermediate is None or row.scores is None:
            continue
        name = str(row.plan.intermediate.mixture)
        if name not in table_rows:
            after = scores_by_seed(settings[row.plan.with_seed(0)], row)
            table_rows[name] = _gain_row(row.number, row.plan.intermediate.mixture, after, before)
    return GainTable(
        baseline=_means(before.values()),
        baseline_collapsed=collapsed_counts(before.values()),
        baseline_seeds=len(before),
        rows=tuple(table_rows.values()),
    )


def collapsed_counts(scores: Iterable[Scores]) -> dict[str, int]:
    """Target -> how many of these runs collapsed on it; only targets with some."""
    counts: dict[str, int] = {}
    for target in (target for run in scores for target in run.targets):
        if target.mark is Mark.COLLAPSED:
            counts[target.task] = counts.get(target.task, 0) + 1
    return counts


def _gain_row(number: int, mixture: Mixture, after: BySeed, before: BySeed) -> GainRow:
    """The gains on every target that both sides have, and their mean."""
    there = [task_scores(scores) for scores in (*after.values(), *before.values())]
    tasks = [task for task in there[0] if all(task in scores for scores in there)]
    by_task = {
        task: gain_of(after, before, _mean_of([task]), _collapse_of([task])) for task in tasks
    }
    gains = {task: gain for task, gain in by_task.items() if gain is not None}
    mean = gain_of(after, before, _mean_of(tasks), _collapse_of(tasks)) if tasks else None
    is_paired = bool(after.keys() & before.keys())
    return GainRow(
        intermediate=str(mixture),
        label=mixture.short,
        number=number,
        gains={task: gain.mean for task, gain in gains.items()},
        sound={task: gain.sound.mean for task, gain in gains.items() if gain.sound},
        collapsed=collapsed_counts(side_by_side(after, before)[0]),
        mean=mean.mean if mean else None,
        spread=mean.std if mean and is_paired else None,
        num_seeds=mean.num_first if mean else len(after),
    )


def _mean_of(tasks: Sequence[str]) -> Callable[[Scores], float]:
    """The mean of these targets' task scores."""

    def mean(scores: Scores) -> float:
        by_task = task_scores(scores)
        return fmean(by_task[task] for task in tasks)

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
    by_task: dict[str, list[float]] = {}
    for scores in sides:
        for task, value in task_scores(scores).items():
            by_task.setdefault(task, []).append(value)
    return {task: fmean(values) for task, values in by_task.items()}
