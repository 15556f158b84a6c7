"""The winner's curse: the gain that a trial chosen for its score will probably have again. Pure.

The best of many scores is partly luck, and so is the score of the best baseline. This module
predicts the winner's gain over that baseline, because both are scored on the same rows: harder or
easier test rows move both sides.

The model takes the true means of the plans with an intermediate phase, and those of the baselines,
as drawn from two normal distributions with the same spread and different centres. Plans that their
settings spoilt are left out of both (shrinkage.py). Given the spread and the noise of a seed, the
true mean of each side is normal around its shrunken mean (Efron and Morris, 1975, J. Am. Stat.
Assoc. 70:311; Efron, 2011, J. Am. Stat. Assoc. 106:1602, shows that this corrects the bias of
selection). The spread, the noise and the set of spoilt plans are unknown, so the prediction is
averaged over their posterior, over a grid (Morris, 1983, J. Am. Stat. Assoc. 78:47: with point
estimates in their place the intervals are too narrow).

The prediction is for the mean of as many fresh seeds on each side. Its variance has three parts:
what is unknown about both plans, the noise of the seeds, and the noise of the rows of the
validation and the test split.
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

# The central part of the posterior that is reported as the 95 % interval. In simulated searches
# (benchmarks/promise_coverage.py) it contains the gain of fresh seeds in 95 % of cases; the central
# 95 % does so in 93 %.
MIDDLE = 0.97
NUM_STEPS = 31  # of the grid, for the spread and for the noise
LIKELY = 8.0  # a set of spoilt plans that is less likely than the best by e to this is left out

Cells = Mapping[str, Sequence[str]]  # target -> languages
Rows = Mapping[str, ByLanguage]  # target -> language -> the outcome of each row
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnersCurse:
    """Gains of the chosen trial over the best baseline, in [-1, 1]: in the search, predicted, and
    over fresh seeds. They are means over the zero-shot languages that all of these scores have.

    `kept` is the share of the trial's lead over the mean of the `num_plans` plans with an
    intermediate phase that the prediction keeps. `low` and `high` are None if no plan was trained
    with two seeds, because the noise is then unknown. `num_seeds` counts the winner's fresh seeds.
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
        """Whether the fresh seeds gain less than the interval allows."""
        return self.low is not None and self.retrained < self.low

    @property
    def exceeds(self) -> bool:
        """Whether the fresh seeds gain more than the interval allows."""
        return self.high is not None and self.retrained > self.high


@dataclass(frozen=True, slots=True)
class _Side:
    """Plans of one kind: the mean over the seeds of each, the number of these seeds, and the index
    of the chosen plan."""

    means: _Floats
    counts: _Floats
    chosen: int


@dataclass(frozen=True, slots=True)
class _Noise:
    """Variances: of a seed, with its degrees of freedom; of a plan's mean, from the validation
    rows; of the gain, from the test rows and from the number of fresh seeds (`fresh`, in units of
    one seed's variance)."""

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
    """The winner's gain in the search beside the gain of fresh seeds; every seed with a score
    counts. None if there is no gain to predict: the winner has no intermediate phase, there is no
    baseline, one side has no fresh score, or the sides have no zero-shot language in common.

    Args:
        rows: the trials of the study.
        baseline: the best baseline of the search.
        outcomes: the outcome of each test row, for the winner and for the baseline, by seed;
            without it, the noise of the rows is bounded from their number.
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
    cells: dict[str, list[str]] = {}
    by_task = [{target.task: target.zero_shot for target in each.targets} for each in scores]
    for target in scores[0].objective_targets:
        languages = [
            language
            for language in target.zero_shot
            if all(language in each.get(target.task, {}) for each in by_task)
        ]
        if languages:
            cells[target.task] = languages
    return cells


def _levels(scores: Iterable[Scores], cells: Cells) -> list[float]:
    """The zero-shot mean over the cells, for each of the scores that has all cells."""
    levels = []
    for each in scores:
        by_task = {target.task: target.zero_shot for target in each.targets}
        if all(code in by_task.get(task, {}) for task, codes in cells.items() for code in codes):
            means = [fmean(by_task[task][code] for code in codes) for task, codes in cells.items()]
            levels.append(fmean(means))
    return levels


def _groups(rows: Sequence[TrialRow], like: TrialRow, cells: Cells) -> dict[object, list[float]]:
    """Plan without its seed -> the levels of its seeds, for the plans that have an intermediate
    phase if `like` has one, else for the baselines."""
    scored = [
        row
        for row in {row.number: row for row in (*rows, like)}.values()
        if row.state is TrialState.SCORED and row.plan.is_baseline is like.plan.is_baseline
    ]
    by_plan = {
        plan: _levels([row.scores for row in members if row.scores is not None], cells)
        for plan, members in over_seeds(scored).items()
    }
    return {plan: levels for plan, levels in by_plan.items() if levels}


def _predict(sides: Sequence[_Side], noise: _Noise) -> tuple[float, float, float, float]:
    """(mean, lower and upper end of the gain of fresh seeds; share of the lead that is kept)."""
    # Both kinds are searched for spoilt plans together, aligned at their best plans.
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
    """For each pair of noise and spread: its log weight, the mean and the variance of the gain of
    fresh seeds, and the share of the winner's lead that is kept.

    `inside` says which plans of each side are not spoilt. The prior is uniform in the logarithm of
    the noise; it is uniform in the logarithm of the spread above a tenth of the noise, and uniform
    in the spread below that.
    """
    scale = math.sqrt(noise.of_seed)
    deviations = np.concatenate(
        [
            side.means[core] - side.means[core].mean()
            for side, core in zip(sides, inside, strict=True)
            if core.any()
        ]
    )
    widest = 4 * max(2 * float(deviations.std()), scale)
    spreads = widest * np.linspace(0, 1, NUM_STEPS) ** 2.5
    seeds = scale * np.exp(np.linspace(math.log(0.15), math.log(8), NUM_STEPS))
    of_seed, spread = np.meshgrid(seeds**2, spreads**2, indexing="ij")
    alike = 0.1 * np.sqrt(of_seed)
    weight = chance - noise.freedom / 2 * (np.log(of_seed) + noise.of_seed / of_seed)
    weight += np.log(np.gradient(spreads)) - np.log(np.sqrt(spread) + alike)
    weight -= np.log(np.log1p(widest / alike))
    gain, variance = np.zeros_like(spread), noise.of_test_rows + noise.fresh * of_seed
    shares = []
    for sign, side, core in zip((1, -1), sides, inside, strict=True):
        errors = of_seed[..., None] / side.counts + noise.of_search_rows
        weights = core / (spread[..., None] + errors)
        total = weights.sum(axis=-1)
        level, error = side.means[side.chosen], errors[..., side.chosen]
        if not core[side.chosen]:  # a spoilt plan that the user named: its mean is not shrunk
            gain, variance = gain + sign * level, variance + error
            shares.append(np.ones_like(spread))
        if not core.any():
            continue
        centre = (weights @ side.means) / total
        weight += 0.5 * np.log(weights[..., core]).sum(axis=-1) - 0.5 * np.log(total)
        weight -= 0.5 * (weights * (side.means - centre[..., None]) ** 2).sum(axis=-1)
        weight -= 0.5 * core.sum() * math.log(2 * math.pi)
        if core[side.chosen]:
            kept = spread / (spread + error)
            gain = gain + sign * (centre + kept * (level - centre))
            variance = variance + kept * error + (1 - kept) ** 2 / total
            # A single plan has no others to be shrunk towards.
            shares.append(kept if core.sum() > 1 else np.ones_like(spread))
    return weight.ravel(), gain.ravel(), variance.ravel(), shares[0].ravel()


def _quantile(weight: _Floats, middle: _Floats, variance: _Floats, at: float) -> float:
    """The quantile `at` of a mixture of normal distributions."""
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
    """(variance of a plan's mean from validation rows, variance of the gain from test rows).

    All languages count as one, because their rows may be translations of each other. Two models on
    the same rows vary together, and the outcomes of the rows show how much; without outcomes, the
    variance of each side is at most m (1 - m) / n.
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
    """The standard error of the mean difference over the seeds, from the rows (or from groups of
    rows that go together); a ratio is replaced by its linear part."""
    per_seed = []
    for first, second in pairs:
        sides = [_ratio(side[task][language]) for side in (first, second)]
        parts = [
            (top - top.sum() / bottom.sum() * bottom) / bottom.sum() if bottom.sum() else 0 * top
            for top, bottom in sides
        ]
        per_seed.append(parts[0] - parts[1])
    parts_of_rows = np.mean(per_seed, axis=0)
    groups = pairs[0][0][task].groups.get(language)
    if groups is not None:
        parts_of_rows = np.bincount(groups, weights=parts_of_rows)
    return math.sqrt(float((parts_of_rows**2).sum()))


def _ratio(outcomes: Outcomes) -> tuple[_Floats, _Floats]:
    """(what each row adds to the numerator of a score, what it adds to the denominator)."""
    rows = outcomes.astype(np.float64)
    if rows.ndim == 1:
        return rows, np.ones_like(rows)
    return 2 * rows[:, 0], rows[:, 1] + rows[:, 2]
