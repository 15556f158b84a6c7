"""How one quantity grows with another over languages: slopes with bootstrap intervals. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 2000

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """By how much y grows with one unit of x, and where 95 % of the resamples put it.

    `rank` is Spearman's rank correlation, `p` the chance of one as large without any dependence
    (by the t distribution: rough for few units); None where y does not vary.
    """

    value: float
    low: float
    high: float
    rank: float | None
    p: float | None

    @property
    def excludes_zero(self) -> bool:
        return not self.low <= 0 <= self.high

    def reversed(self) -> "Slope":
        """The slope of -y on x."""
        rank = None if self.rank is None else -self.rank
        return Slope(value=-self.value, low=-self.high, high=-self.low, rank=rank, p=self.p)


def has_slope(x: Sequence[float], groups: Sequence[str]) -> bool:
    """Whether x varies by more than one odd value inside some group: one unit apart from all the
    others decides a slope alone, and most resamples miss it."""
    for group in set(groups):
        values = [value for value, other in zip(x, groups, strict=True) if other == group]
        commonest = max(values.count(value) for value in set(values))
        if len(values) - commonest > 1:
            return True
    return False


def slope_of(
    x: Sequence[float], y: Sequence[float], *, groups: Sequence[str], units: Sequence[str]
) -> Slope:
    """Least squares of y on x where each group (a target) has a level of its own.

    The interval is that of a bootstrap over units (languages): they are drawn with all that was
    measured of them (Efron, 1979; percentiles). The draws depend on the units alone, so that two
    slopes over the same units may be subtracted resample by resample. Raises ValueError where x
    does not vary (`has_slope`).
    """
    if not has_slope(x, groups):
        raise ValueError("x does not vary inside any group: there is no slope")
    names = sorted(set(units))
    position = np.array([names.index(unit) for unit in units])
    a, b = _centred(x, groups), _centred(y, groups)
    of_group = np.array([[group == other for group in groups] for other in sorted(set(groups))])
    (value,) = _slopes(a, b, of_group, np.ones((1, len(a))))
    drawn = np.random.default_rng(0).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=NUM_RESAMPLES
    )
    resampled = _slopes(a, b, of_group, drawn[:, position].astype(np.float64))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    rank, p = _rank_correlation(a, b, position)
    return Slope(value=float(value), low=float(low), high=float(high), rank=rank, p=p)


def _centred(values: Sequence[float], groups: Sequence[str]) -> _Floats:
    """Each value minus the mean of its group."""
    array, names = np.asarray(values, np.float64), np.asarray(groups)
    for name in set(groups):
        array[names == name] -= array[names == name].mean()
    return array


def _slopes(x: _Floats, y: _Floats, of_group: npt.NDArray[np.bool_], weights: _Floats) -> _Floats:
    """One slope a row of weights [resamples, cells]; not a number where x does not vary in it."""
    variance, covariance = np.zeros(len(weights)), np.zeros(len(weights))
    for inside in of_group:
        w, a, b = weights[:, inside], x[inside], y[inside]
        total = np.maximum(w.sum(axis=1), 1.0)
        variance += w @ a**2 - (w @ a) ** 2 / total
        covariance += w @ (a * b) - (w @ a) * (w @ b) / total
    varies = variance > 1e-9 * float(x @ x)
    found: _Floats = np.full(len(weights), np.nan)
    np.divide(covariance, variance, out=found, where=varies)
    return found


def _rank_correlation(
    x: _Floats, y: _Floats, position: npt.NDArray[np.int_]
) -> tuple[float | None, float | None]:
    """Of the units' means."""
    from scipy.stats import spearmanr  # seconds to import

    num = np.bincount(position)
    means = [np.round(np.bincount(position, values) / num, 12) for values in (x, y)]
    if any(np.ptp(mean) == 0 for mean in means):
        return None, None
    found = spearmanr(*means)
    return float(found.statistic), float(found.pvalue)
