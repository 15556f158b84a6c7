"""Computes means of repeated runs and their confidence intervals. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import computed_field
from scipy.special import stdtrit


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and its confidence interval.

    A single value has a mean but no spread: `low`, `high` and `std` are then None.
    """

    mean: float
    """The mean of the values, or a difference of means, in the unit of the values."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""
    std: float | None
    """Standard deviation of the values; for an unpaired difference, its standard error."""
    num: int
    """Number of values."""

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval; None without an interval."""
        return None if self.high is None else self.high - self.mean

    @computed_field  # type: ignore[prop-decorator]
    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists and does not contain zero: a significant difference."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Return Student's t interval of the mean of independent runs (Student, 1908, Biometrika 6:1).

    It assumes that the runs are drawn from a normal distribution, which a few seeds can neither
    confirm nor refute. For two or three runs the interval is wide, because so few runs say little.

    Raises ValueError if there are no values or `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}")
    if not values:
        raise ValueError("expected at least one value; got none")
    num = len(values)
    mean = math.fsum(values) / num
    if num == 1:
        return Interval(mean=mean, low=None, high=None, std=None, num=1)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (num - 1))
    half = float(stdtrit(num - 1, 0.5 + confidence / 2)) * std / math.sqrt(num)
    return Interval(mean=mean, low=mean - half, high=mean + half, std=std, num=num)


def unpaired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Interval:
    """Return the mean of `first` minus the mean of `second`, with Welch's interval.

    There is no interval if a side has only one value. `num` counts the values of both sides.
    Source: Welch, 1947, Biometrika 34:28.
    """
    return grouped_difference([first], [second], confidence=confidence)


def grouped_difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the mean of the first groups' means minus the mean of the second groups' means.

    The groups are fixed; only the values within each group vary (Welch, 1947; degrees of freedom
    by Satterthwaite, 1946). There is no interval if a group has only one value. `num` counts all
    values.
    """
    sides = [[mean_interval(group) for group in side] for side in (first, second)]
    means = [math.fsum(group.mean for group in side) / len(side) for side in sides]
    difference, num = means[0] - means[1], sum(group.num for side in sides for group in side)
    parts = [  # (variance of the group's share of the difference, degrees of freedom)
        (group.std**2 / group.num / len(side) ** 2, group.num - 1)
        for side in sides
        for group in side
        if group.std is not None
    ]
    if len(parts) < sum(map(len, sides)):
        return Interval(mean=difference, low=None, high=None, std=None, num=num)
    total = math.fsum(part for part, _ in parts)
    denominator = math.fsum(part**2 / freedom for part, freedom in parts)
    freedom = total**2 / denominator if denominator else float(num - len(parts))
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(total)
    return Interval(
        mean=difference,
        low=difference - half,
        high=difference + half,
        std=math.sqrt(total),
        num=num,
    )


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Interval:
    """Return the mean of `first - second`, pair by pair, with the interval of the paired t test.

    Both values of a pair share the seed and the rows, so the variation from these cancels. If the
    two sides vary together, the interval is narrower than that of unpaired values.

    Raises ValueError if the sides have different lengths or no values.
    """
    if len(first) != len(second):
        raise ValueError(
            f"pairs need as many values on both sides; got {len(first)}, {len(second)}"
        )
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return mean_interval(differences, confidence=confidence)
