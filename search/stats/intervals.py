"""Means of repeated runs with their intervals. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import computed_field
from scipy.special import stdtrit


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean of repeated runs with its confidence interval, in the unit of the values.

    One value has a mean but no spread: `low`, `high` and `std` are then None.
    """

    mean: float
    """The mean of the values."""
    low: float | None
    """The lower end of the interval."""
    high: float | None
    """The upper end of the interval."""
    std: float | None
    """The standard deviation of the values; of an unpaired difference its standard error."""
    num: int
    """How many values there are."""

    @property
    def half_width(self) -> float | None:
        return None if self.high is None else self.high - self.mean

    @computed_field  # type: ignore[prop-decorator]
    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and zero lies outside: the difference is significant."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent runs (Student, 1908, Biometrika 6:1).

    It takes the runs as drawn from a normal distribution, which few seeds can neither show nor
    refute; it is wide for two or three runs because so little is known, not by mistake.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}")
    if not values:
        raise ValueError("no values: the mean of nothing has no interval")
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
    """The mean of `first` less that of `second`, with Welch's interval (Welch, 1947, Biometrika
    34:28); none where a side has one value alone. `num` counts both sides."""
    return grouped_difference([first], [second], confidence=confidence)


def grouped_difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    *,
    confidence: float = 0.95,
) -> Interval:
    """The mean of the means of the first groups less that of the second ones. Groups are what they
    are; the values of each vary (Welch; degrees of freedom by Satterthwaite, 1946). No interval
    where a group has one value alone. `num` counts all values."""
    sides = [[mean_interval(group) for group in side] for side in (first, second)]
    means = [math.fsum(group.mean for group in side) / len(side) for side in sides]
    gap, num = means[0] - means[1], sum(group.num for side in sides for group in side)
    parts = [
        (group.std**2 / group.num / len(side) ** 2, group.num - 1)
        for side in sides
        for group in side
        if group.std is not None
    ]
    if len(parts) < sum(map(len, sides)):
        return Interval(mean=gap, low=None, high=None, std=None, num=num)
    total = math.fsum(part for part, _ in parts)
    below = math.fsum(part**2 / freedom for part, freedom in parts)
    freedom = total**2 / below if below else float(num - len(parts))
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(total)
    return Interval(mean=gap, low=gap - half, high=gap + half, std=math.sqrt(total), num=num)


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Interval:
    """The mean of `first - second`, pair by pair: the interval of the paired t test.

    Pairs share what is not compared (the seed, the rows), so that it cancels: narrower than two
    intervals side by side wherever the two vary together.
    """
    if len(first) != len(second):
        raise ValueError(
            f"pairs need as many values on both sides; got {len(first)}, {len(second)}"
        )
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return mean_interval(differences, confidence=confidence)
