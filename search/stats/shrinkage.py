"""Means of few values, shrunk so that luck does not look like merit. Pure.

Of groups that were measured unequally often, the best mean is likely one of few values: it varies
most. Empirical Bayes mends that (Efron and Morris, 1975, J. Am. Stat. Assoc. 70:311): the true
means are taken as drawn from one normal distribution, whose middle and spread are estimated from
the groups themselves, and each mean is moved towards the middle by the share of its distance that
its noise explains.

Where settings spoil half of the groups, one normal distribution would be so wide that nothing is
ever moved. So it is that of the upper groups alone, where cutting the lower ones off explains the
means better (`typical`); those are left where they are.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

# What a cut has to explain better by (log likelihood): it has a place, a share and a range.
NUM_CUT_PARAMETERS = 3
MIN_SHARE = 1 / 3  # of the groups are above a cut


def shrunken_means(groups: Sequence[Sequence[float]]) -> list[float]:
    """One number a group (the scores of a plan, one a seed), to put groups in order by: more is
    better.

    Where all groups have equally many values, and so where nothing is known of noise, these are
    their means: shrinking would change no order. Two groups whose means differ by no more than
    their noise have one number: who orders them must say what decides then (how many values).

    Raises ValueError where a group is empty.
    """
    if not all(groups):
        raise ValueError("a group without values has no mean")
    means = [fmean(group) for group in groups]
    noise, _ = pooled_variance(groups)
    if len({len(group) for group in groups}) < 2 or noise <= 0:
        return means
    errors = [noise / len(group) for group in groups]
    inside = typical(means, errors)
    middle, spread = normal_of([means[i] for i in inside], [errors[i] for i in inside])
    found = list(means)
    for i in inside:
        kept = spread / (spread + errors[i])
        found[i] = round(middle + kept * (means[i] - middle), 12)  # equal ones are equal
    return found


def pooled_variance(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The variance within groups and its degrees of freedom; (0, 0) where none has two values."""
    several = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        return 0.0, 0
    return math.fsum((len(g) - 1) * variance(g) for g in several) / freedom, freedom


def normal_of(means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Middle and variance of the normal distribution that the true means are drawn from.

    Of three and more it is never none: of k means at most (k - 3) / (k - 1) of a distance is taken
    off (Morris, 1983, J. Am. Stat. Assoc. 78:47), a third where k is three. Two means that differ
    by no more than their noise are one.

    Args:
        errors: the variance of each mean for its noise.
    """
    num, error = len(means), fmean(errors)
    if num < 2:
        return fmean(means), 0.0
    least = 2 * error / max(1, num - 3) if num > 2 else 0.0
    spread = max(least, variance(means) - error)
    weights = [1 / (spread + error) if spread + error else 1.0 for error in errors]
    pairs = zip(weights, means, strict=True)
    return math.fsum(w * mean for w, mean in pairs) / math.fsum(weights), spread


def typical(means: Sequence[float], errors: Sequence[float]) -> list[int]:
    """Which groups are of one kind: all, or those above a cut that makes the means likelier.

    Above the cut they are normal, below it they may be anywhere in the range of all. A third of the
    groups stand above it, and two at least. Which is likelier is told by Schwarz's criterion (1978,
    Ann. Stat. 6:461).
    """
    return max(likely(means, errors), key=lambda found: found[0])[1]


def likely(
    means: Sequence[float], errors: Sequence[float], *, within: float = 0.0
) -> list[tuple[float, list[int]]]:
    """(log likelihood by Schwarz's criterion, groups above the cut): the likeliest, and those that
    are less likely by no more than `within`."""
    num = len(means)
    order = sorted(range(num), key=lambda i: -means[i])
    if num < 3:
        return [(0.0, order)]
    values, noise = np.array(means)[order], np.array(errors)[order]
    counts = np.arange(max(2, math.ceil(MIN_SHARE * num)), num + 1)
    found = _normal_likelihood(values, noise, counts) + _cut_likelihood(values, counts)
    found[:-1] -= NUM_CUT_PARAMETERS / 2 * math.log(num)
    # Equal means are on one side of a cut.
    found[:-1][values[counts[:-1] - 1] == values[counts[:-1]]] = -np.inf
    return [
        (float(value), order[: int(count)])
        for value, count in zip(found, counts, strict=True)
        if value >= found.max() - within
    ]


def _normal_likelihood(values: _Floats, noise: _Floats, counts: npt.NDArray[np.int_]) -> _Floats:
    """Of the upper ones, for each count of them: the log likelihood under their own middle and
    spread, every one with the mean of their errors."""
    total, squares = np.cumsum(values - values[0]), np.cumsum((values - values[0]) ** 2)
    last = counts - 1
    sums = squares[last] - total[last] ** 2 / counts
    floor = np.maximum(np.cumsum(noise)[last] / counts, 1e-12)
    spread = np.maximum(sums / (counts - 1), floor)
    found: _Floats = -0.5 * (counts * np.log(2 * math.pi * spread) + sums / spread)
    return found


def _cut_likelihood(values: _Floats, counts: npt.NDArray[np.int_]) -> _Floats:
    """Of the others, for each count of upper ones, and of being an upper one or not."""
    num = len(values)
    below = num - counts
    width = max(float(values[0] - values[-1]), 1e-12)
    share = np.where(below > 0, below / num, 1.0)
    found = counts * np.log(counts / num) + below * np.log(share / width)
    return np.asarray(found, np.float64)
