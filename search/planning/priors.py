"""Priors: ranks the intermediate options before the search, chooses those to try first, and
compares the ranking with the results afterwards. Pure.

Three estimates decide the ranking (`KINDS`); a higher value is better:

- `logme`: how much the frozen encoder knows about the labels (You et al., 2021, arXiv 2102.11005);
- `similarity`: cosine between the mean vectors of the option's texts and of a target's texts,
  averaged over the targets (TextEmb of Vu et al., 2020, arXiv 2005.00770);
- `typology`: nearness of the source languages to the zero-shot languages (URIEL), if the sources
  are in several languages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import permutations
from statistics import fmean

import numpy as np
from pydantic import JsonValue, TypeAdapter
from scipy.stats import rankdata, spearmanr

from search.trials.ranking import TrialRow, TrialState
from spaces.domains import Domain, Grid, Range
from spaces.intermediates import NONE
from spaces.json_values import JsonObject
from spaces.mixture import Mixture
from spaces.space import SearchSpace
from spaces.tasks.source import Source

KINDS = ("logme", "similarity", "typology")
MIN_FIRST = 2  # smallest number of options that are tried first, if there are so many
MAX_EXACT = 8  # largest number of options for which all orders are enumerated


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimates of one source; a higher value is better."""

    logme: float | None
    """LogME; null if it cannot be computed (masked language modelling has no labels)."""
    similarity: Mapping[str, float] = field(default_factory=dict)
    """Target -> cosine between the mean vectors of the texts, in [-1, 1]."""
    typology: float | None = None
    """Nearness of the languages, in [0, 1]; null if all sources are in one language."""
    rows: str = ""
    """Which rows the estimates were computed on, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedOption:
    """An option with its estimates and ranks.

    Each estimate is the mean of the estimates of the option's sources, weighted by `shares`.
    """

    option: str
    """The name of the option."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Source -> its share of the mixture, in [0, 1]."""
    logme: float | None = None
    """Mean LogME; null if no source has one."""
    similarity: float | None = None
    """Mean of `similarity_by_target`, in [-1, 1]; null if there is none."""
    similarity_by_target: Mapping[str, float | None] = field(default_factory=dict)
    """Target -> mean similarity, in [-1, 1]."""
    typology: float | None = None
    """Mean nearness, in [0, 1]; null if no source has one."""
    ranks: Mapping[str, float] = field(default_factory=dict)
    """Kind of estimate -> rank by it, 1 for the most promising option."""
    rank: float
    """Mean of `ranks`; the middle rank where there are none."""
    place: int
    """Position in the order, from 1 for the most promising option."""

    def estimate(self, kind: str) -> float | None:
        """Return the estimate of a kind, one of KINDS."""
        return {"logme": self.logme, "similarity": self.similarity, "typology": self.typology}[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """The priors of a study, with the field names that its record stores."""

    options: tuple[RankedOption, ...]
    """The options in order, most promising first."""
    sources: Mapping[str, Estimate] = field(default_factory=dict)
    """`task@language` -> estimates of the source."""
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the estimates should know."""
    first: tuple[JsonObject, ...] = ()
    """Params of the trials that are tried first."""

    @classmethod
    def from_dict(cls, stored: Mapping[str, JsonValue]) -> "Priors":
        """Parse the priors that a record stores."""
        return _PRIORS.validate_python(stored)


_PRIORS = TypeAdapter(Priors)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedOption(RankedOption):
    """An option with the number of its scored trials, and their mean objective."""

    num_trials: int
    """How many scored trials the option has."""
    mean: float | None
    """The mean objective of these trials, in the objective's unit; null without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of the order with the results."""

    correlation: float
    """Spearman's rank correlation of the order with the mean objectives, in [-1, 1]."""
    chance: float
    """Share of all possible orders that agree equally well or better, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight(Priors):
    """The priors with the results of each option."""

    options: tuple[TriedOption, ...]
    """The options in order, with their results."""
    num_tried: int
    """How many options have a scored trial."""
    mean: Agreement | None
    """Agreement of the order with the mean objectives; null if fewer than three options have a
    score, or if all are equal."""


def ranked_options(space: SearchSpace) -> tuple[str, ...]:
    """Return what is ranked: the options, or the sources if the space mixes them by shares."""
    named = space.sources if space.intermediates.mixture == "shares" else space.options
    return tuple(option for option in named if option != NONE)


def mixture_of(space: SearchSpace, option: str) -> Mixture:
    """Return the sources of an option with their shares, without masking."""
    return Mixture.proportional(
        space.intermediates.members(option),
        temperature=space.intermediates.temperature,
        cap=space.intermediates.cap,
        max_train_rows=space.recipe_of(option).max_train_rows,
    )


def rank_options(
    space: SearchSpace, estimates: Mapping[Source, Estimate]
) -> tuple[RankedOption, ...]:
    """Return every option with its estimates and ranks, the most promising first.

    The estimate of a mixture is the mean of its members' estimates, weighted by their shares, over
    the members that have one. `rank` is the mean of the ranks by each kind. An option without an
    estimate of a kind is last by that kind. A kind with fewer than two different values is ignored.
    """
    options = [
        _option(option, mixture_of(space, option), estimates) for option in ranked_options(space)
    ]
    ranks: list[dict[str, float]] = [{} for _ in options]
    for kind in KINDS:
        values = [option.estimate(kind) for option in options]
        if len({value for value in values if value is not None}) < 2:
            continue
        by_kind = rankdata([math.inf if value is None else -value for value in values])
        for option_ranks, rank in zip(ranks, by_kind, strict=True):
            option_ranks[kind] = float(rank)
    middle_rank = (len(options) + 1) / 2
    ranked = [
        replace(
            option,
            ranks=option_ranks,
            rank=fmean(option_ranks.values()) if option_ranks else middle_rank,
        )
        for option, option_ranks in zip(options, ranks, strict=True)
    ]
    ranked.sort(key=lambda option: option.rank)  # ties keep the order of the study file
    return tuple(replace(option, place=place) for place, option in enumerate(ranked, start=1))


def priors_of(
    space: SearchSpace, estimates: Mapping[Source, Estimate], notes: Sequence[str]
) -> Priors:
    """Return the priors: the options in order, and everything that the record stores with them."""
    options = rank_options(space, estimates)
    return Priors(
        options=options,
        sources={s.full_name: estimate for s, estimate in estimates.items()},
        notes=tuple(notes),
        first=tuple(first_points(space, [option.option for option in options])),
    )


def num_first(space: SearchSpace) -> int:
    """Return how many options are tried first: the better half, but at least MIN_FIRST."""
    count = len(ranked_options(space))
    return min(count, max(MIN_FIRST, math.ceil(count / 2)))


def first_points(space: SearchSpace, order: Sequence[str]) -> list[JsonObject]:
    """Return the params of the first options in this order.

    They have no masking and the middle of each learning rate. Points that the study file already
    names are left out. The list is empty if the space mixes sources by shares or is a grid.
    """
    if space.intermediates.mixture == "shares" or space.is_grid:
        return []
    points: list[JsonObject] = []
    for option in order[: num_first(space)]:
        masking = {"mlm.share": 0.0} if space.masking else {}
        domains = space.domains(option, 0.0)
        rates = {name: _middle(domain) for name, domain in domains.items()}
        points.append({"intermediate": option, **masking, **rates})
    return [point for point in points if point not in [dict(p) for p in space.points]]


def hindsight(priors: Priors | None, rows: Sequence[TrialRow]) -> Hindsight | None:
    """Compare the order with the results; return None if there are no priors.

    The result of an option is its mean objective over its scored trials, collapsed ones included.
    Spearman's rank correlation compares these means with the order. The best objective of an option
    would be misleading: promising options are tried more often, and the best of more trials is
    higher.
    """
    if priors is None:
        return None
    options = tuple(_tried(option, rows) for option in priors.options)
    tried = [(-option.rank, option.mean) for option in options if option.mean is not None]
    return Hindsight(
        options=options,
        sources=priors.sources,
        notes=priors.notes,
        first=priors.first,
        num_tried=len(tried),
        mean=_agreement([rank for rank, _ in tried], [mean for _, mean in tried]),
    )


def _option(option: str, mixture: Mixture, estimates: Mapping[Source, Estimate]) -> RankedOption:
    """Return an option with its estimates, before it is ranked."""
    members = [(estimates[source], share) for source, share in mixture.shares]
    targets = dict.fromkeys(task for estimate, _ in members for task in estimate.similarity)
    by_target = {
        task: _weighted([(estimate.similarity.get(task), share) for estimate, share in members])
        for task in targets
    }
    similarities = [value for value in by_target.values() if value is not None]
    return RankedOption(
        option=option,
        shares=mixture.to_dict(),
        logme=_weighted([(estimate.logme, share) for estimate, share in members]),
        similarity=fmean(similarities) if similarities else None,
        similarity_by_target=by_target,
        typology=_weighted([(estimate.typology, share) for estimate, share in members]),
        rank=0.0,
        place=0,
    )


def _weighted(members: Sequence[tuple[float | None, float]]) -> float | None:
    """Return the weighted mean of the values that are not None; None if there are none."""
    pairs = [(value, share) for value, share in members if value is not None]
    total = math.fsum(share for _, share in pairs)
    return math.fsum(value * share for value, share in pairs) / total if pairs else None


def _middle(domain: Domain) -> JsonValue:
    """Return the middle of a range or of a grid (the lower of two); else the first value."""
    if isinstance(domain, Range):
        return domain.spread(1)[0]
    values: Sequence[JsonValue] = domain.values
    if isinstance(domain, Grid):
        rates: list[float] = sorted(domain.values)
        return rates[(len(rates) - 1) // 2]
    return values[0]


def _tried(option: RankedOption, rows: Sequence[TrialRow]) -> TriedOption:
    """Return an option with the results of its scored trials."""
    values = [
        row.objective
        for row in rows
        if row.state is TrialState.SCORED and row.objective is not None
        if row.params.get("intermediate") == option.option
    ]
    ranked = {item.name: getattr(option, item.name) for item in fields(RankedOption)}
    return TriedOption(**ranked, num_trials=len(values), mean=fmean(values) if values else None)


def _agreement(ranks: Sequence[float], values: Sequence[float]) -> Agreement | None:
    """None of fewer than three options, or where all are equal."""
    if len(ranks) < 3 or len(set(ranks)) < 2 or len(set(values)) < 2:
        return None
    found = spearmanr(ranks, values, alternative="greater")
    chance = found.pvalue if len(ranks) > MAX_EXACT else _chance(ranks, values)
    return Agreement(correlation=float(found.statistic), chance=float(chance))


def _chance(ranks: Sequence[float], values: Sequence[float]) -> float:
    """Of all orders of the options, the share that agrees as well or better."""
    one, other = rankdata(ranks), rankdata(values)
    orders = np.array(list(permutations(one - one.mean())))
    agreement = orders @ (other - other.mean())
    return float(np.mean(agreement >= agreement[0] - 1e-9))
