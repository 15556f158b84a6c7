"""Tests whether one side is better than the other, language by language. Pure.

Both sides scored the same rows. Every score is a ratio of two sums over the rows: the mean of
values, or micro F1 (twice the correct items over the predicted plus the gold items). The code below
works for any such ratio. Rows that belong together (the questions on one paragraph) form a group.
The sums of each group are computed first; then groups are drawn, swapped and counted in the same
way as single rows. Sources: paired bootstrap, Efron and Tibshirani 1993; bootstrap of groups,
Davison and Hinkley 1997, 3.8; exact test of McNemar 1947; approximate randomisation, Noreen 1989,
Yeh 2000 (for F1); degrees of freedom, Satterthwaite 1946, Welch 1947; many languages, Holm 1979.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

from trainables.scoring.groups import Groups
from trainables.scoring.outcomes import ByLanguage, Outcomes

NUM_RESAMPLES = 2000
# Up to so many distinct rows the bootstrap draws how often each distinct row occurs, which is
# cheaper than drawing row by row.
MAX_KINDS = 100
CONFIDENCE = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The score of the first side minus the score of the second side.

    With one seed it is valid for these two models only; other seeds could differ.

    Attributes:
        mean: difference of the scores, averaged over the seeds.
        low: lower end of the 95 % interval, not adjusted for the number of languages.
        high: upper end of that interval.
        p: probability of a difference at least this large if there is no true difference.
        num_seeds: seeds per side.
        num_rows: rows that both sides scored.
        num_groups: groups of rows that belong together; None if the rows are not grouped.
    """

    mean: float
    low: float
    high: float
    p: float
    num_seeds: int
    num_rows: int
    num_groups: int | None = None


def compare(
    first: Sequence[Outcomes],
    second: Sequence[Outcomes],
    rng: np.random.Generator,
    *,
    groups: Groups | None = None,
) -> Difference:
    """Return the difference between two sides on the same rows, paired by seed.

    Args:
        first: outcomes of the first side, one array per seed ([rows] or [rows, 3]).
        second: outcomes of the second side, of the same seeds and rows.
        rng: source of the resamples.
        groups: [rows], the group of each row; None if the rows are not grouped.

    Raises ValueError if there are no rows, or if the numbers of rows or of seeds differ.
    """
    ratios = _ratios(first, second)
    num_seeds, num_rows = ratios.shape[0], ratios.shape[2]
    if groups is not None:
        ratios = _by_group(ratios, groups)
    num_draws = ratios.shape[2]
    differences = _difference(ratios.sum(axis=2))
    mean = float(differences.mean())
    resampled = paired_bootstrap(ratios, rng)
    if num_draws < num_rows and num_draws == 1:
        low, high, p = -1.0, 1.0, 1.0  # a single group shows no variation between groups
    elif num_seeds == 1:
        low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        is_ungrouped = num_draws == num_rows  # each group has one row
        if is_ungrouped:
            p = ungrouped_p_value(first[0], second[0], rng)
        else:
            p = randomisation(ratios[0], rng)
    else:
        low, high, p = _over_seeds(differences, float(resampled.var(ddof=1)), num_draws)
    return Difference(
        mean=mean,
        low=float(low),
        high=float(high),
        p=p,
        num_seeds=num_seeds,
        num_rows=num_rows,
        num_groups=None if groups is None else num_draws,
    )


def model_difference(first: ByLanguage, second: ByLanguage, rng: np.random.Generator) -> Difference:
    """Return the difference of two models' mean scores over several languages.

    The interval covers another draw of the rows (or groups), not another draw of the seeds.

    If all languages have equally many rows, in the same groups, they are resampled together, row by
    row, since such rows are usually translations of each other. Otherwise each language is
    resampled separately, and the differences are assumed to vary together over the languages, which
    gives the widest interval possible.
    """
    ratios, num_rows, layouts = [], [], set()
    for code in first:
        by_row = _ratios([first[code]], [second[code]])
        num_rows.append(by_row.shape[2])
        groups = first.groups.get(code, second.groups.get(code))
        layouts.add((by_row.shape[2], None if groups is None else tuple(groups.tolist())))
        ratios.append(by_row if groups is None else _by_group(by_row, groups))
    mean = float(np.mean([_difference(language.sum(axis=2)) for language in ratios]))
    resampled = [np.concatenate(ratios)] if len(layouts) == 1 else ratios
    error = float(np.mean([paired_bootstrap(part, rng).std(ddof=1) for part in resampled]))
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * error
    p = float(2 * ndtr(-abs(mean) / error)) if error else float(mean == 0)
    return Difference(
        mean=mean,
        low=mean - half,
        high=mean + half,
        p=p,
        num_seeds=1,
        num_rows=min(num_rows),
    )


def ungrouped_p_value(first: Outcomes, second: Outcomes, rng: np.random.Generator) -> float:
    """Return the p value of two models on the same ungrouped rows: McNemar's test if every row is
    right or wrong, approximate randomisation otherwise."""
    if first.ndim == 1 and np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all():
        return mcnemar(first, second)
    return randomisation(_ratios([first], [second])[0], rng)


def mcnemar(first: Outcomes, second: Outcomes) -> float:
    """Return the exact two-sided p value of McNemar's test.

    Without a true difference, each side has half of the rows that only one side gets right.

    Args:
        first: [rows], 1 for right and 0 for wrong.
        second: the same for the other side.
    """
    only_first = int(((first == 1) & (second == 0)).sum())
    only_second = int(((first == 0) & (second == 1)).sum())
    num = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), num, 0.5)))


def randomisation(ratios: Floats, rng: np.random.Generator) -> float:
    """Return the p value of approximate randomisation.

    The two sides of each row (or group) are swapped at random. The p value is the share of such
    assignments with a difference at least as large as the observed one. The observed assignment
    counts as one of them, so p is never 0.

    Args:
        ratios: [2 sides, rows or groups, 2]; the last axis is numerator and denominator.
        rng: source of the swaps.
    """
    num_rows = ratios.shape[1]
    change = ratios[1] - ratios[0]
    moved = np.stack([rng.integers(0, 2, num_rows) @ change for _ in range(NUM_RESAMPLES)])
    first, second = ratios.sum(axis=1)
    drawn = np.abs(_difference(np.stack([first + moved, second - moved], axis=1)))
    observed = abs(float(_difference(np.stack([first, second]))))
    # A drawn difference that equals the observed one except for rounding counts as equally large.
    return float((1 + (drawn >= observed - 1e-12).sum()) / (1 + NUM_RESAMPLES))


def paired_bootstrap(ratios: Floats, rng: np.random.Generator) -> Floats:
    """Return the differences of resampled rows (or groups), averaged over the seeds.

    Each resample has the same rows on both sides and for all seeds.

    Args:
        ratios: [seeds, 2 sides, rows or groups, 2]; the last axis is numerator and denominator.
        rng: source of the resamples.

    Returns:
        [NUM_RESAMPLES] differences.
    """
    if (ratios[..., 1] == ratios[:1, ..., 1]).all():
        # All seeds have the same denominators, so the mean of the ratios is a ratio of means.
        ratios = ratios.mean(axis=0, keepdims=True)
    num_rows = ratios.shape[2]
    by_row = ratios.transpose(2, 0, 1, 3).reshape(num_rows, -1)
    kinds, counts = np.unique(by_row, axis=0, return_counts=True)
    if len(kinds) <= MAX_KINDS:
        sums = rng.multinomial(num_rows, counts / num_rows, size=NUM_RESAMPLES) @ kinds
    else:
        draws = (rng.integers(0, num_rows, num_rows) for _ in range(NUM_RESAMPLES))
        sums = np.stack([np.bincount(rows, minlength=num_rows) @ by_row for rows in draws])
    differences: Floats = _difference(sums.reshape(NUM_RESAMPLES, -1, 2, 2)).mean(axis=1)
    return differences


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number (Holm 1979).

    If adjusted values below 0.05 are called significant, the probability of at least one false
    call among all of them is at most 0.05.
    """
    adjusted = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def _over_seeds(
    differences: Floats, row_variance: float, num_draws: int
) -> tuple[float, float, float]:
    """Return low, high and p of the mean difference, for another draw of both seeds and rows.

    The variance is the variance between the seeds divided by their number, plus `row_variance`.
    Degrees of freedom follow Welch and Satterthwaite.

    Args:
        differences: [seeds], the difference of each seed.
        row_variance: variance of the mean over the seeds that is due to the choice of rows.
        num_draws: rows, or groups of rows.
    """
    num_seeds, mean = len(differences), float(differences.mean())
    seed_variance = float(differences.var(ddof=1)) / num_seeds
    variance = seed_variance + row_variance
    if variance <= 1e-18:  # the difference is the same for every seed and every row
        return mean, mean, 1.0 if abs(mean) < 1e-9 else 2.0 ** (1 - num_draws)
    squares = seed_variance**2 / (num_seeds - 1) + row_variance**2 / max(1, num_draws - 1)
    degrees, error = variance**2 / squares, variance**0.5
    half = float(stdtrit(degrees, 0.5 + CONFIDENCE / 2)) * error
    return mean - half, mean + half, float(2 * stdtr(degrees, -abs(mean) / error))


def _ratios(first: Sequence[Outcomes], second: Sequence[Outcomes]) -> Floats:
    """Return [seeds, 2 sides, rows, 2]: what each row adds to the numerator and the denominator."""
    if len(first) != len(second) or not first:
        raise ValueError(f"pairs need as many seeds on both sides; got {len(first)}, {len(second)}")
    lengths = {len(side) for side in (*first, *second)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"the sides must have scored the same rows; numbers of rows: {lengths}")
    return np.stack([np.stack([_ratio(a), _ratio(b)]) for a, b in zip(first, second, strict=True)])


def _by_group(ratios: Floats, groups: Groups) -> Floats:
    """Sum [seeds, 2 sides, rows, 2] over the rows of each group: [seeds, 2 sides, groups, 2]."""
    if groups.shape != (ratios.shape[2],):
        raise ValueError(
            f"groups must have one entry per scored row; got {len(groups)} entries for "
            f"{ratios.shape[2]} rows"
        )
    _, group_indices = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(group_indices.max()) + 1, *np.delete(ratios.shape, 2)))
    np.add.at(sums, group_indices, np.moveaxis(ratios, 2, 0))
    return np.moveaxis(sums, 0, 2)


def _ratio(outcomes: Outcomes) -> Floats:
    """Return [rows, 2]: numerator and denominator of one model's rows."""
    rows = outcomes.astype(np.float64)
    if rows.ndim == 1:
        return np.stack([rows, np.ones_like(rows)], axis=1)
    return np.stack([2 * rows[:, 0], rows[:, 1] + rows[:, 2]], axis=1)


def _difference(sums: Floats) -> Floats:
    """Return the first score minus the second, [...], from sums [..., 2 sides, 2] of numerators and
    denominators. The score is 0 if the denominator is 0."""
    numerators, denominators = sums[..., 0], sums[..., 1]
    scores = np.divide(
        numerators, denominators, out=np.zeros_like(numerators), where=denominators > 0
    )
    difference: Floats = scores[..., 0] - scores[..., 1]
    return difference
