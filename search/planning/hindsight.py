"""How right the priors were, once the options were tried. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from statistics import fmean

import numpy as np
from scipy.stats import rankdata, spearmanr

from search.planning.priors import PriorOption, Priors
from search.trials.ranking import TrialRow, TrialState

MAX_EXACT = 8  # options; of more, the chance is that of the asymptotic test


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionHindsight(PriorOption):
    """One option with what its trials scored."""

    num_trials: int
    """How many scored trials the option has."""
    mean: float | None
    """The mean objective of these trials, in the objective's unit; null without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well the order of the priors agrees with the mean objectives."""

    correlation: float
    """Spearman's rank correlation, in [-1, 1]."""
    chance: float
    """The share of all orders that agree as well or better, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorHindsight(Priors):
    """The priors of a study beside the scores of its trials."""

    options: tuple[OptionHindsight, ...]
    """Every option, the most promising first, with what its trials scored."""
    num_tried: int
    """How many options have a scored trial."""
    mean: Agreement | None
    """The agreement with the mean objectives; null with fewer than three options tried, or where
    all ranks or all means are equal."""


def hindsight(priors: Priors | None, rows: Sequence[TrialRow]) -> PriorHindsight | None:
    """Each option's mean objective over its scored trials, collapsed ones too, and the agreement of
    these with the order; None where nothing was ranked.

    The best objective of an option says nothing here: options that look promising are tried more
    often, and the best of more trials is higher.
    """
    if priors is None:
        return None
    options = tuple(_result(option, rows) for option in priors.options)
    tried = [(option.rank, option.mean) for option in options if option.mean is not None]
    return PriorHindsight(
        options=options,
        sources=priors.sources,
        notes=priors.notes,
        first=priors.first,
        num_tried=len(tried),
        mean=_agreement([-rank for rank, _ in tried], [mean for _, mean in tried]),
    )


def _result(option: PriorOption, rows: Sequence[TrialRow]) -> OptionHindsight:
    values = [
        row.objective
        for row in rows
        if row.state is TrialState.SCORED and row.objective is not None
        if row.params.get("intermediate") == option.option
    ]
    estimated = {each.name: getattr(option, each.name) for each in fields(PriorOption)}
    mean = fmean(values) if values else None
    return OptionHindsight(**estimated, num_trials=len(values), mean=mean)


def _agreement(ranks: Sequence[float], values: Sequence[float]) -> Agreement | None:
    """None of fewer than three options, or where all are equal."""
    if len(ranks) < 3 or len(set(ranks)) < 2 or len(set(values)) < 2:
        return None
    found = spearmanr(ranks, values, alternative="greater")
    chance = found.pvalue if len(ranks) > MAX_EXACT else _chance(ranks, values)
    return Agreement(correlation=float(found.statistic), chance=float(chance))


def _chance(ranks: Sequence[float], values: Sequence[float]) -> float:
    """The share of all orders of the options that agrees as well or better."""
    one, other = rankdata(ranks), rankdata(values)
    orders = np.array(list(permutations(one - one.mean())))
    agreement = orders @ (other - other.mean())
    return float(np.mean(agreement >= agreement[0] - 1e-9))
