"""Shrinks means of few values, so that a lucky group does not look like a good one. Pure.

If groups have different numbers of values, the best mean is likely to be that of a small group,
because means of few values vary most. Empirical Bayes corrects this (Efron and Morris, 1975, J.
Am. Stat. Assoc. 70:311). It assumes that the true means come from one normal distribution. It
estimates the centre and the variance of that distribution from the groups, and moves each mean
towards the centre by the share of its distance that noise explains.

If bad settings spoil half of the groups, one normal distribution would be so wide that no mean
moves. So if a cut that separates the lower groups explains the means better, the distribution is
that of the upper groups only (`typical_groups`), and the means of the lower groups do not move.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

# A cut adds three parameters to the model: its position, the share of groups below it, and their
# range. The log likelihood is reduced for them.
NUM_CUT_PARAMETERS = 3
MIN_SHARE = 1 / 3  # smallest share of the groups that is above a cut


def shrunken_means(groups: Sequence[Sequence[float]]) -> list[float]:
    """Return one number per group to rank the groups by; higher is better.

    A group holds the scores of one plan, one score per seed. If all groups have equally many values
    or the noise is unknown, the numbers are the plain means. (With equal sizes, shrinking would not
    change the order.) Two groups whose means differ by less than their noise may get equal numbers;
    the caller must break such ties, for example by the number of values.

    Raises ValueError if a group is empty.
    """
    if not all(groups):
        raise ValueError("a group without values has no mean")
    means = [fmean(group) for group in groups]
    noise, _ = pooled_variance(groups)
    if len({len(group) for group in groups}) < 2 or noise <= 0:
        return means
    errors = [noise / len(group) for group in groups]
    upper = typical_groups(means, errors)
    centre, spread = fit_normal([means[i] for i in upper], [errors[i] for i in upper])
    shrunk = list(means)
    for i in upper:
        factor = spread / (spread + errors[i])
        # Rounding removes numerical noise, so that equal groups get equal numbers.
        shrunk[i] = round(centre + factor * (means[i] - centre), 12)
    return shrunk


def pooled_variance(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the pooled variance within groups and its degrees of freedom; (0, 0) if no group has
    two values."""
    several = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        return 0.0, 0
    return math.fsum((len(g) - 1) * variance(g) for g in several) / freedom, freedom


def fit_normal(means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the centre and variance of the normal distribution of the true means.

    With k of four or more means, shrinking removes at most (k - 3) / (k - 1) of a distance (Morris,
    1983, J. Am. Stat. Assoc. 78:47); with three means at most a third. So the variance is not zero.
    With two means it is zero if they differ by no more than their noise.

    Args:
        means: one mean per group.
        errors: the variance of each mean that is due to noise.
    """
    num, error = len(means), fmean(errors)
    if num < 2:
        return fmean(means), 0.0
    least = 2 * error / max(1, num - 3) if num > 2 else 0.0
    spread = max(least, variance(means) - error)
    weights = [1 / (spread + error) if spread + error else 1.0 for error in errors]
    pairs = zip(weights, means, strict=True)
    return math.fsum(w * mean for w, mean in pairs) / math.fsum(weights), spread


def typical_groups(means: Sequence[float], errors: Sequence[float]) -> list[int]:
    """Return the indices of the groups that share one normal distribution.

    These are all groups, or those above a cut if a cut makes the means more likely. Above the cut
    the means are normal; below it they are uniform over the range of all means. At least a third
    of the groups, and at least two, are above a cut. Schwarz's criterion (1978, Ann. Stat. 6:461)
    decides.
    """
    return max(likely_cuts(means, errors), key=lambda cut: cut[0])[1]


def likely_cuts(
    means: Sequence[float], errors: Sequence[float], *, within: float = 0.0
) -> list[tuple[float, list[int]]]:
    """Return the likeliest cut, and all cuts whose log likelihood is lower by at most `within`.

    Each cut is (log likelihood by Schwarz's criterion, indices of the groups above the cut). The
    list of all groups, which has no cut, is among the candidates.
    """
    num = len(means)
    order = sorted(range(num), key=lambda i: -means[i])
    if num < 3:
        return [(0.0, order)]
    values, noise = np.array(means)[order], np.array(errors)[order]
    counts = np.arange(max(2, math.ceil(MIN_SHARE * num)), num + 1)
    likelihoods = _normal_likelihood(values, noise, counts) + _cut_likelihood(values, counts)
    likelihoods[:-1] -= NUM_CUT_PARAMETERS / 2 * math.log(num)
    # A cut must not separate equal means.
    likelihoods[:-1][values[counts[:-1] - 1] == values[counts[:-1]]] = -np.inf
    return [
        (float(likelihood), order[: int(count)])
        for likelihood, count in zip(likelihoods, counts, strict=True)
        if likelihood >= likelihoods.max() - within
    ]


def _normal_likelihood(values: _Floats, noise: _Floats, counts: npt.NDArray[np.int_]) -> _Floats:
    """Return, for each count, the log likelihood of so many upper means under one normal
    distribution, fitted to them; each mean has the average noise of these means.

    Args:
        values: means in descending order, [groups].
        noise: the variance of each mean that is due to noise, [groups].
        counts: numbers of upper groups to try.
    """
    total, squares = np.cumsum(values - values[0]), np.cumsum((values - values[0]) ** 2)
    last = counts - 1
    sums = squares[last] - total[last] ** 2 / counts
    floor = np.maximum(np.cumsum(noise)[last] / counts, 1e-12)
    spread = np.maximum(sums / (counts - 1), floor)
    likelihoods: _Floats = -0.5 * (counts * np.log(2 * math.pi * spread) + sums / spread)
    return likelihoods


def _cut_likelihood(values: _Floats, counts: npt.NDArray[np.int_]) -> _Floats:
    """Return, for each count of upper means, the log likelihood of the other means (uniform) and of
    which means are upper ones."""
    num = len(values)
    below = num - counts
    width = max(float(values[0] - values[-1]), 1e-12)
    share = np.where(below > 0, below / num, 1.0)
    likelihoods = counts * np.log(counts / num) + below * np.log(share / width)
    return np.asarray(likelihoods, np.float64)
