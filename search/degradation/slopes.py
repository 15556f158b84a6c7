"""How one quantity grows with another over languages: slopes and their intervals. Pure.

Languages of one family lose alike, so they are not independent. An interval therefore uses the
variance clustered by family (Liang and Zeger, 1986, Biometrika 73:13), corrected for few and
unequal families: residuals are adjusted for what each family adds to the fit (CR2; Bell and
McCaffrey, 2002, Survey Methodology 28:169), and Student's t has the degrees of freedom that
Satterthwaite's method gives this variance (Pustejovsky and Tipton, 2018, J. Bus. Econ. Stat.
36:672).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import computed_field
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
MIN_FAMILIES = 4
_SINGULAR = 1e-8  # a smaller eigenvalue counts as 0

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """By how much y grows with one unit of x, with the 95 % interval over families of languages.

    `low`, `high`, `p` and `freedom` are None where `unknown` says why there is no interval.
    """

    value: float
    """The slope: the change of the score, in [-1, 1], for one unit of distance."""
    low: float | None
    """The lower end of the 95 % interval."""
    high: float | None
    """The upper end of the 95 % interval."""
    p: float | None
    """The chance of a slope at least as steep where there is none, in [0, 1]."""
    freedom: float | None
    """The degrees of freedom of the interval (Satterthwaite)."""
    num_families: int
    """How many families of languages there are."""
    rank: float | None
    """Spearman's rank correlation over the languages' means; null where the scores do not vary."""
    unknown: str | None = None
    """Why there is no interval, in words; null where there is one."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and zero lies outside: the slope is significant."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def reversed(self) -> "Slope":
        """The slope of -y on x."""
        return Slope(
            value=-self.value,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
            p=self.p,
            freedom=self.freedom,
            num_families=self.num_families,
            rank=None if self.rank is None else -self.rank,
            unknown=self.unknown,
        )


def has_slope(x: Sequence[float], groups: Sequence[str]) -> bool:
    """Whether x varies inside some group by more than one unit: a single unit that differs from all
    others would decide the slope alone."""
    for group in set(groups):
        values = [value for value, other in zip(x, groups, strict=True) if other == group]
        commonest = max(values.count(value) for value in set(values))
        if len(values) - commonest > 1:
            return True
    return False


def slope_of(
    x: Sequence[float],
    y: Sequence[float],
    *,
    groups: Sequence[str],
    units: Sequence[str],
    families: Sequence[str],
) -> Slope:
    """The least-squares slope of y on x where each group (a target) has a level of its own.

    A unit (a language) may be in several groups; `families` name the family of each cell's unit.
    All sequences have one entry for each cell. Raises ValueError where x does not vary
    (`has_slope`).
    """
    if not has_slope(x, groups):
        raise ValueError("x does not vary inside any group: there is no slope")
    a, b = _centred(x, groups), _centred(y, groups)
    value, names = float(a @ b / (a @ a)), sorted(set(families))
    low = high = p = freedom = None
    unknown = _unknown(x, groups, families)
    if unknown is None:
        parts = _by_family(a, groups, families)
        error = math.sqrt(float(np.sum((parts @ b) ** 2)))
        freedom = _freedom(parts)
        half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
        low, high = value - half, value + half
        p = float(2 * stdtr(freedom, -abs(value) / error)) if error > 0 else float(value == 0)
    return Slope(
        value=value,
        low=low,
        high=high,
        p=p,
        freedom=freedom,
        num_families=len(names),
        rank=_rank_correlation(a, b, units),
        unknown=unknown,
    )


def slope_value(x: Sequence[float], y: Sequence[float], groups: Sequence[str]) -> float:
    """The slope of `slope_of` without its interval."""
    a, b = _centred(x, groups), _centred(y, groups)
    return float(a @ b / (a @ a))


def _unknown(x: Sequence[float], groups: Sequence[str], families: Sequence[str]) -> str | None:
    """Why the families give no interval; None where they give one."""
    names = sorted(set(families))
    if len(names) < MIN_FAMILIES:
        return f"{len(names)} families of languages, fewer than {MIN_FAMILIES}"
    for name in names:
        rest = [index for index, family in enumerate(families) if family != name]
        if not has_slope([x[index] for index in rest], [groups[index] for index in rest]):
            return f"all other families than {name} lie equally far"
    return None


def _by_family(x: _Floats, groups: Sequence[str], families: Sequence[str]) -> _Floats:
    """A matrix [families, cells]: a family's row times y is what it adds to the slope's error.

    Args:
        x: centred by group.
    """
    num, names = len(x), np.asarray(families)
    levels = np.stack([np.asarray(groups) == name for name in sorted(set(groups))], axis=1)
    design = np.column_stack([levels / np.sqrt(levels.sum(axis=0)), x / math.sqrt(float(x @ x))])
    residual = np.eye(num) - design @ design.T  # the columns are orthonormal
    weights = x / float(x @ x)
    rows = []
    for name in sorted(set(families)):
        inside = names == name
        values, vectors = np.linalg.eigh(residual[np.ix_(inside, inside)])
        root = np.where(values > _SINGULAR, 1 / np.sqrt(np.maximum(values, _SINGULAR)), 0.0)
        adjusted = (vectors * root) @ (vectors.T @ weights[inside])
        rows.append(residual[:, inside] @ adjusted)
    return np.stack(rows)


def _freedom(parts: _Floats) -> float:
    """The degrees of freedom of the variance by families, by Satterthwaite: as if all cells were
    independent."""
    products = parts @ parts.T
    return float(np.trace(products) ** 2 / np.sum(products**2))


def _centred(values: Sequence[float], groups: Sequence[str]) -> _Floats:
    """Each value minus the mean of its group."""
    array, names = np.array(values, np.float64), np.asarray(groups)
    for name in set(groups):
        array[names == name] -= array[names == name].mean()
    return array


def _rank_correlation(x: _Floats, y: _Floats, units: Sequence[str]) -> float | None:
    """Spearman's rank correlation of the units' means; None where one of them does not vary."""
    from scipy.stats import spearmanr  # seconds to import

    names = sorted(set(units))
    position = np.array([names.index(unit) for unit in units])
    num = np.bincount(position)
    means = [np.round(np.bincount(position, values) / num, 12) for values in (x, y)]
    if any(np.ptp(mean) == 0 for mean in means):
        return None
    return float(spearmanr(*means).statistic)
