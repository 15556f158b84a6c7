"""The winner's curse: what gain a trial that was chosen for its score will likely have again. Pure.

The best of many scores is partly luck, and so is the best baseline's. What is predicted is the
winner's gain over that baseline, since both are scored on the same rows: harder or easier test rows
move both sides. The true means of plans with an intermediate phase, and those of the baselines, are
taken as drawn from two normal distributions of one spread, each with a middle of its own; plans
that their settings spoilt stand aside (shrinkage.py). Given the spread and the noise of a seed,
each side's true mean is normal around its shrunken one (Efron and Morris, 1975, J. Am. Stat. Assoc.
70:311; that this mends selection: Efron, 2011, J. Am. Stat. Assoc. 106:1602). Of spread and noise
the whole posterior is taken, over a grid (as Morris, 1983, J. Am. Stat. Assoc. 78:47, advises: with
estimates in their place the intervals are too narrow), and of which plans were spoilt.

The prediction is that of a mean of as many fresh seeds on each side: what is unknown of both plans,
the seeds' noise, and that of the rows, of the validation and of the test split.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, ndtr

from search.stats.shrinkage import likely_cuts, pooled_variance
from search.trials.ranking import TrialRow, TrialState, over_seeds
from trainables.scoring.outcomes import ByLanguage, Outcomes
from trainables.scoring.scores import Scores

# The middle part of the posterior that is stated as the 95 % interval: it holds the gain of fresh
# seeds that often in simulated searches (benchmarks/curse.py), where 95 % of it does in 93 %.
MIDDLE = 0.97
NUM_STEPS = 31  # of the grid, for spread and for noise
LIKELY = 8.0  # a choice of spoilt plans that is less likely by e to this is left out

Cells = Mapping[str, Sequence[str]]  # target -> languages
Rows = Mapping[str, ByLanguage]  # target -> language -> what each row got
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnersCurse:
    """Gains of the chosen trial over the best baseline: in the search, as predicted, and over fresh
    seeds; means over the zero-shot languages that all of these scores have.

    `kept` is the share of its lead over the mean of the `num_plans` plans with an intermediate
    phase that is believed. `low` and `high` are None where no plan was trained with two seeds, so
    that noise is not known. `num_seeds` are the winner's fresh ones.
    """

    searched: float
    predicted: float
    low: float | None
    high: float | None
    retrained: float
    kept: float
    num_plans: int
    num_seeds: int

    @property
    def falls_out(self) -> bool:
        """Whether the fresh seeds gain less than was promised."""
        return self.low is not None and self.retrained < self.low

    @property
    def exceeds(self) -> bool:
        """Whether they gain more."""
        return self.high is not None and self.retrained > self.high


@dataclass(frozen=True, slots=True)
class _Side:
    """Plans of one kind: means over their seeds, and how many these are; which one was chosen."""

    means: _Floats
    counts: _Floats
    chosen: int


@dataclass(frozen=True, slots=True)
class _Noise:
    """Variance of a seed with its degrees of freedom; of a plan's mean for the validation rows; of
    the gain for the test rows and for as many seeds (in units of one seed's variance)."""

    of_seed: float
    freedom: int
    of_search_rows: float
    of_test_rows: float
    fresh: float


def winners_curse(
    rows: Sequence[TrialRow],
    winner: TrialRow,
    baseline: TrialRow | None,
    fresh_winner: Sequence[Scores],
    fresh_baseline: Sequence[Scores],
    outcomes: Sequence[tuple[Rows, Rows]] = (),
) -> WinnersCurse | None:
    """The winner's gain in the search beside that of fresh seeds; all seeds that have a score
    count. None where nothing is gained: the winner has no intermediate phase, there is no baseline,
    one side has no fresh score, or they have no zero-shot language in common.

    Args:
        rows: the trials of the study.
        baseline: the best one of the search.
        outcomes: what each test row got, the winner's and the baseline's of a seed; without them
            the noise of rows is bounded by their number.
    """
    if winner.plan.is_baseline or baseline is None or not fresh_winner or not fresh_baseline:
        return None
    assert winner.scores is not None
    assert baseline.scores is not None
    cells = _common([winner.scores, baseline.scores, *fresh_winner, *fresh_baseline])
    if not cells:
        return None
    kinds = [_groups(rows, chosen, cells) for chosen in (winner, baseline)]
    again = [_levels(side, cells) for side in (fresh_winner, fresh_baseline)]
    noise, freedom = pooled_variance([*(g for kind in kinds for g in kind.values()), *again])
    sides = [
        _Side(
            np.array([fmean(group) for group in kind.values()]),
            np.array([len(group) for group in kind.values()], np.float64),
            list(kind).index(chosen.plan.with_seed(0)),
        )
        for kind, chosen in zip(kinds, (winner, baseline), strict=True)
    ]
    searched = float(sides[0].means[sides[0].chosen] - sides[1].means[sides[1].chosen])
    predicted, low, high, kept = searched, None, None, 1.0
    if freedom:
        of_search_rows, of_test_rows = _of_rows(winner.scores, fresh_winner[0], cells, outcomes)
        fresh = fmean([1 / len(side) for side in again]) * 2
        known = _Noise(max(noise, 1e-10), freedom, of_search_rows, of_test_rows, fresh)
        predicted, low, high, kept = _predict(sides, known)
    return WinnersCurse(
        searched=searched,
        predicted=predicted,
        low=low,
        high=high,
        retrained=fmean(again[0]) - fmean(again[1]),
        kept=kept,
        num_plans=len(kinds[0]),
        num_seeds=len(again[0]),
    )


def _common(scores: Sequence[Scores]) -> dict[str, list[str]]:
    """The cells of the objective targets that all of the scores have."""
    found: dict[str, list[str]] = {}
    by_task = [{target.task: target.zero_shot for target in each.targets} for each in scores]
    for target in scores[0].objective_targets:
        languages = [
            language
            for language in target.zero_shot
            if all(language in each.get(target.task, {}) for each in by_task)
        ]
        if languages:
            found[target.task] = languages
    return found


def _levels(scores: Iterable[Scores], cells: Cells) -> list[float]:
    """The zero-shot mean over the cells, of each of the scores that has them all."""
    found = []
    for each in scores:
        by_task = {target.task: target.zero_shot for target in each.targets}
        if all(code in by_task.get(task, {}) for task, codes in cells.items() for code in codes):
            means = [fmean(by_task[task][code] for code in codes) for task, codes in cells.items()]
            found.append(fmean(means))
    return found


def _groups(rows: Sequence[TrialRow], like: TrialRow, cells: Cells) -> dict[object, list[float]]:
    """Plan without seed -> the levels of its seeds; of plans with an intermediate phase, or of
    those without one."""
    scored = [
        row
        for row in {row.number: row for row in (*rows, like)}.values()
        if row.state is TrialState.SCORED and row.plan.is_baseline is like.plan.is_baseline
    ]
    found = {
        plan: _levels([row.scores for row in members if row.scores is not None], cells)
        for plan, members in over_seeds(scored).items()
    }
    return {plan: levels for plan, levels in found.items() if levels}


def _predict(sides: Sequence[_Side], noise: _Noise) -> tuple[float, float, float, float]:
    """(mean, lower and upper end of the gain of fresh seeds, share of the lead that is kept)."""
    # Which plans were spoilt is told of both kinds at once, their best ones side by side.
    means = np.concatenate([side.means - side.means.max() for side in sides])
    errors = [noise.of_seed / n + noise.of_search_rows for side in sides for n in side.counts]
    width = max(float(np.ptp(means)), 1e-9)
    parts = []
    for _, core in likely_cuts([float(mean) for mean in means], errors, within=LIKELY):
        aside = len(means) - len(core)
        chance = float(betaln(len(core) + 1, aside + 1)) - aside * math.log(width)
        inside = np.isin(np.arange(len(means)), core)
        parts.append(_posterior(sides, np.split(inside, [len(sides[0].means)]), noise, chance))
    weight, middle, variance, kept = (np.concatenate(column) for column in zip(*parts, strict=True))
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    low = _quantile(weight, middle, variance, 0.5 - MIDDLE / 2)
    high = _quantile(weight, middle, variance, 0.5 + MIDDLE / 2)
    return float(weight @ middle), low, high, float(weight @ kept)


def _posterior(
    sides: Sequence[_Side], inside: Sequence[npt.NDArray[np.bool_]], noise: _Noise, chance: float
) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """For each pair of noise and spread: its log weight, mean and variance of the gain of fresh
    seeds, and the share of the winner's lead that is kept.

    Before anything is seen all noises are equally likely by their logarithm, and so are all spreads
    above a tenth of the noise; below that, by their size.
    """
    scale = math.sqrt(noise.of_seed)
    own = np.concatenate(
        [
            side.means[some] - side.means[some].mean()
            for side, some in zip(sides, inside, strict=True)
            if some.any()
        ]
    )
    widest = 4 * max(2 * float(own.std()), scale)
    spreads = widest * np.linspace(0, 1, NUM_STEPS) ** 2.5
    seeds = scale * np.exp(np.linspace(math.log(0.15), math.log(8), NUM_STEPS))
    of_seed, spread = np.meshgrid(seeds**2, spreads**2, indexing="ij")
    alike = 0.1 * np.sqrt(of_seed)
    weight = chance - noise.freedom / 2 * (np.log(of_seed) + noise.of_seed / of_seed)
    weight += np.log(np.gradient(spreads)) - np.log(np.sqrt(spread) + alike)
    weight -= np.log(np.log1p(widest / alike))
    gain, variance = np.zeros_like(spread), noise.of_test_rows + noise.fresh * of_seed
    shares = []
    for sign, side, some in zip((1, -1), sides, inside, strict=True):
        errors = of_seed[..., None] / side.counts + noise.of_search_rows
        weights = some / (spread[..., None] + errors)
        total = weights.sum(axis=-1)
        level, error = side.means[side.chosen], errors[..., side.chosen]
        if not some[side.chosen]:  # a spoilt one, asked for by number: it is what it is
            gain, variance = gain + sign * level, variance + error
            shares.append(np.ones_like(spread))
        if not some.any():
            continue
        centre = (weights @ side.means) / total
        weight += 0.5 * np.log(weights[..., some]).sum(axis=-1) - 0.5 * np.log(total)
        weight -= 0.5 * (weights * (side.means - centre[..., None]) ** 2).sum(axis=-1)
        weight -= 0.5 * some.sum() * math.log(2 * math.pi)
        if some[side.chosen]:
            kept = spread / (spread + error)
            gain = gain + sign * (centre + kept * (level - centre))
            variance = variance + kept * error + (1 - kept) ** 2 / total
            # Alone, it has nothing to be shrunk to.
            shares.append(kept if some.sum() > 1 else np.ones_like(spread))
    return weight.ravel(), gain.ravel(), variance.ravel(), shares[0].ravel()


def _quantile(weight: _Floats, middle: _Floats, variance: _Floats, at: float) -> float:
    """Of a mixture of normal distributions."""
    errors = np.sqrt(variance)
    low, high = float((middle - 40 * errors).min()), float((middle + 40 * errors).max())
    for _ in range(60):
        half = (low + high) / 2
        if float(weight @ ndtr((half - middle) / errors)) < at:
            low = half
        else:
            high = half
    return (low + high) / 2


def _of_rows(
    searched: Scores, fresh: Scores, cells: Cells, outcomes: Sequence[tuple[Rows, Rows]]
) -> tuple[float, float]:
    """The variance of a plan's mean for the validation rows, and of the gain for the test rows.

    Languages count as one: their rows may be each other's translations. Two models on the same rows
    vary together, which the rows themselves say; where nothing is known of them, each side varies
    by m (1 - m) / n at most.
    """
    numbers = [
        {t.task: min(t.num_rows[c] for c in cells[t.task]) for t in each.targets if t.task in cells}
        for each in (searched, fresh)
    ]
    of_target: list[tuple[float, float]] = []
    for target in fresh.targets:
        if target.task not in cells:
            continue
        known = [pair for pair in outcomes if all(target.task in side for side in pair)]
        level = fmean(target.zero_shot[code] for code in cells[target.task])
        test = 2 * level * (1 - level) / numbers[1][target.task]
        if known:
            errors = [_error(known, target.task, code) for code in cells[target.task]]
            test = fmean(errors) ** 2
        ratio = numbers[1][target.task] / numbers[0][target.task]
        of_target.append((test / 2 * ratio, test))
    num = len(of_target) ** 2
    return (
        math.fsum(search for search, _ in of_target) / num,
        math.fsum(test for _, test in of_target) / num,
    )


def _error(pairs: Sequence[tuple[Rows, Rows]], task: str, language: str) -> float:
    """The standard error, for the rows (for groups that go together), of the mean difference
    over the seeds: of a ratio by its linear part."""
    moved = []
    for first, second in pairs:
        sides = [_ratio(side[task][language]) for side in (first, second)]
        parts = [
            (top - top.sum() / bottom.sum() * bottom) / bottom.sum() if bottom.sum() else 0 * top
            for top, bottom in sides
        ]
        moved.append(parts[0] - parts[1])
    parts_of_rows = np.mean(moved, axis=0)
    groups = pairs[0][0][task].groups.get(language)
    if groups is not None:
        parts_of_rows = np.bincount(groups, weights=parts_of_rows)
    return math.sqrt(float((parts_of_rows**2).sum()))


def _ratio(outcomes: Outcomes) -> tuple[_Floats, _Floats]:
    """What each row adds to a score's numerator and denominator."""
    rows = outcomes.astype(np.float64)
    if rows.ndim == 1:
        return rows, np.ones_like(rows)
    return 2 * rows[:, 0], rows[:, 1] + rows[:, 2]
