"""Whether one side is better than the other, language by language. Pure.

Both sides scored the same rows. A score is a ratio of two sums over the rows (the mean of values;
micro F1: twice the right ones over the predicted and the gold ones), which all that follows is
written for. Rows that go together (the questions on one paragraph) are one draw: their sums are
taken first, so that groups are drawn, swapped and counted where single rows are elsewhere. Sources:
paired bootstrap, Efron and Tibshirani 1993; of groups, Davison and Hinkley 1997, 3.8; McNemar 1947,
exact; approximate randomisation, Noreen 1989, Yeh 2000 (for F1); degrees of freedom, Satterthwaite
1946, Welch 1947; many languages, Holm 1979.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

from trainables.scoring.groups import Groups
from trainables.scoring.outcomes import ByLanguage, Outcomes

NUM_RESAMPLES = 2000
MAX_KINDS = 100  # of different rows: so few are drawn by how often each is there, which is cheap
CONFIDENCE = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First minus second: its interval (unadjusted), and the chance `p` of one at least so large
    where there is none. With one seed it is of these rows and of these two models alone.
    `num_groups` counts the rows that go together as one; None where each is for itself."""

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
    """The outcomes of both sides, one array a seed, paired by seed, all of the same rows.

    Args:
        groups: [rows], the group of each; None where each row is for itself.

    ValueError where there are no rows, or their numbers differ.
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
        low, high, p = -1.0, 1.0, 1.0  # one paragraph says nothing of others
    elif num_seeds == 1:
        low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        is_single = num_draws == num_rows  # no row goes with another
        p = of_rows(first[0], second[0], rng) if is_single else randomisation(ratios[0], rng)
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


def of_models(first: ByLanguage, second: ByLanguage, rng: np.random.Generator) -> Difference:
    """Two models on the same rows of several languages: the difference of their means over the
    languages, another draw of the rows (of their groups) in mind, not of the seeds.

    Languages that have equally many rows, in the same groups, are resampled together, row by row,
    since such rows are as a rule each other's translations. Else each language is resampled for
    itself, and all are taken to go up and down together, which is the widest that the interval may
    be.
    """
    ratios, num_rows, kinds = [], [], set()
    for code in first:
        of = _ratios([first[code]], [second[code]])
        num_rows.append(of.shape[2])
        groups = first.groups.get(code, second.groups.get(code))
        kinds.add((of.shape[2], None if groups is None else tuple(groups.tolist())))
        ratios.append(of if groups is None else _by_group(of, groups))
    mean = float(np.mean([_difference(of.sum(axis=2)) for of in ratios]))
    together = [np.concatenate(ratios)] if len(kinds) == 1 else ratios
    error = float(np.mean([paired_bootstrap(of, rng).std(ddof=1) for of in together]))
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


def of_rows(first: Outcomes, second: Outcomes, rng: np.random.Generator) -> float:
    """The p value of two models on the same rows, each for itself: McNemar's for rows that are
    right or wrong, approximate randomisation for all others."""
    if first.ndim == 1 and np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all():
        return mcnemar(first, second)
    return randomisation(_ratios([first], [second])[0], rng)


def mcnemar(first: Outcomes, second: Outcomes) -> float:
    """Exact and two-sided: of the rows that one side alone gets right, half should be either's."""
    only_first = int(((first == 1) & (second == 0)).sum())
    only_second = int(((first == 0) & (second == 1)).sum())
    num = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), num, 0.5)))


def randomisation(ratios: Floats, rng: np.random.Generator) -> float:
    """Swap the two sides of rows (of groups) at random: how often is the difference as large as it
    is? Both the real assignment and the drawn ones count, so that p is never 0.

    `ratios` is [2 sides, rows or groups, 2]: numerator and denominator.
    """
    num_rows = ratios.shape[1]
    change = ratios[1] - ratios[0]
    moved = np.stack([rng.integers(0, 2, num_rows) @ change for _ in range(NUM_RESAMPLES)])
    first, second = ratios.sum(axis=1)
    drawn = np.abs(_difference(np.stack([first + moved, second - moved], axis=1)))
    observed = abs(float(_difference(np.stack([first, second]))))
    # A drawn difference that is the real one but for rounding is as large.
    return float((1 + (drawn >= observed - 1e-12).sum()) / (1 + NUM_RESAMPLES))


def paired_bootstrap(ratios: Floats, rng: np.random.Generator) -> Floats:
    """Differences, averaged over the seeds, of resamples of the rows (of the groups): the same
    ones on both sides and for all seeds. [NUM_RESAMPLES]; `ratios` is [seeds, 2 sides, rows or
    groups, 2]."""
    if (ratios[..., 1] == ratios[:1, ..., 1]).all():
        # All seeds share their denominators: the mean over them is one ratio.
        ratios = ratios.mean(axis=0, keepdims=True)
    num_rows = ratios.shape[2]
    by_row = ratios.transpose(2, 0, 1, 3).reshape(num_rows, -1)
    kinds, counts = np.unique(by_row, axis=0, return_counts=True)
    if len(kinds) <= MAX_KINDS:
        sums = rng.multinomial(num_rows, counts / num_rows, size=NUM_RESAMPLES) @ kinds
    else:
        draws = (rng.integers(0, num_rows, num_rows) for _ in range(NUM_RESAMPLES))
        sums = np.stack([np.bincount(rows, minlength=num_rows) @ by_row for rows in draws])
    found: Floats = _difference(sums.reshape(NUM_RESAMPLES, -1, 2, 2)).mean(axis=1)
    return found


def holm(values: Sequence[float]) -> list[float]:
    """p values adjusted for their number: below 0.05 where the chance of any false alarm among
    all of them is at most that (Holm 1979)."""
    adjusted = [0.0] * len(values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def _over_seeds(differences: Floats, of_rows: float, num_draws: int) -> tuple[float, float, float]:
    """Interval and p of the mean difference, another draw of seeds and of rows in mind.

    Its variance is that between the seeds over their number, and that of the rows for the mean of
    these seeds (`of_rows`); degrees of freedom by Welch and Satterthwaite.
    """
    num_seeds, mean = len(differences), float(differences.mean())
    of_seeds = float(differences.var(ddof=1)) / num_seeds
    variance = of_seeds + of_rows
    if variance <= 1e-18:  # every seed says the same of every row
        return mean, mean, 1.0 if abs(mean) < 1e-9 else 2.0 ** (1 - num_draws)
    squares = of_seeds**2 / (num_seeds - 1) + of_rows**2 / max(1, num_draws - 1)
    degrees, error = variance**2 / squares, variance**0.5
    half = float(stdtrit(degrees, 0.5 + CONFIDENCE / 2)) * error
    return mean - half, mean + half, float(2 * stdtr(degrees, -abs(mean) / error))


def _ratios(first: Sequence[Outcomes], second: Sequence[Outcomes]) -> Floats:
    """[seeds, 2 sides, rows, 2]: what a row adds to the numerator and to the denominator."""
    if len(first) != len(second) or not first:
        raise ValueError(f"pairs need as many seeds on both sides; got {len(first)}, {len(second)}")
    lengths = {len(side) for side in (*first, *second)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"the sides must have scored the same rows; numbers of rows: {lengths}")
    return np.stack([np.stack([_ratio(a), _ratio(b)]) for a, b in zip(first, second, strict=True)])


def _by_group(ratios: Floats, groups: Groups) -> Floats:
    """[seeds, 2 sides, rows, 2] to [seeds, 2 sides, groups, 2]: the sums of each group."""
    if groups.shape != (ratios.shape[2],):
        raise ValueError(f"{len(groups)} rows are in groups, {ratios.shape[2]} were scored")
    _, places = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(places.max()) + 1, *np.delete(ratios.shape, 2)))
    np.add.at(sums, places, np.moveaxis(ratios, 2, 0))
    return np.moveaxis(sums, 0, 2)


def _ratio(outcomes: Outcomes) -> Floats:
    rows = outcomes.astype(np.float64)
    if rows.ndim == 1:
        return np.stack([rows, np.ones_like(rows)], axis=1)
    return np.stack([2 * rows[:, 0], rows[:, 1] + rows[:, 2]], axis=1)


def _difference(sums: Floats) -> Floats:
    """[..., 2 sides, 2] sums of numerators and denominators to scores of the first minus the
    second; a score of nothing is 0."""
    numerators, denominators = sums[..., 0], sums[..., 1]
    scores = np.divide(
        numerators, denominators, out=np.zeros_like(numerators), where=denominators > 0
    )
    found: Floats = scores[..., 0] - scores[..., 1]
    return found
