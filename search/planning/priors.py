"""Priors: the order in which intermediate options look promising, what is tried first because of
it, and how right it was in the end. Pure.

Three estimates stand behind the order, each the higher the better (`KINDS`):

- `logme`: what the frozen encoder knows of the labels (You et al., 2021, arXiv 2102.11005);
- `similarity`: cosine between the mean vectors of the option's texts and of a target's, the mean
  over the targets (TextEmb of Vu et al., 2020, arXiv 2005.00770);
- `typology`: nearness of its source languages to the zero-shot languages (URIEL), where sources are
  in several languages.
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
from spaces.task_catalog import Source

KINDS = ("logme", "similarity", "typology")
MIN_FIRST = 2  # options that are tried first, where there are so many
MAX_EXACT = 8  # options of which all orders are gone through


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of one source. `logme` is None where it cannot be told (masked language modelling has no
    labels), `typology` where all sources are in one language. `rows` says what it was taken on."""

    logme: float | None
    similarity: Mapping[str, float] = field(default_factory=dict)  # by target
    typology: float | None = None
    rows: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedOption:
    """An option with its estimates, each the mean of those of its sources, weighted by `shares`.

    `ranks` are by kind, `rank` is their mean; `place` counts from 1, the most promising first.
    """

    option: str
    shares: Mapping[str, float] = field(default_factory=dict)  # by source
    logme: float | None = None
    similarity: float | None = None
    similarity_by_target: Mapping[str, float | None] = field(default_factory=dict)
    typology: float | None = None
    ranks: Mapping[str, float] = field(default_factory=dict)
    rank: float
    place: int

    def estimate(self, kind: str) -> float | None:
        """The estimate of one of KINDS."""
        return {"logme": self.logme, "similarity": self.similarity, "typology": self.typology}[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """What the study's record keeps, field for field: the options in order, the estimates of their
    sources (`TASK@LANGUAGE`), what to know of them, and the params that are tried first."""

    options: tuple[RankedOption, ...]
    sources: Mapping[str, Estimate] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    first: tuple[JsonObject, ...] = ()

    @classmethod
    def from_dict(cls, stored: Mapping[str, JsonValue]) -> "Priors":
        """The priors that a record holds."""
        return _PRIORS.validate_python(stored)


_PRIORS = TypeAdapter(Priors)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedOption(RankedOption):
    """An option with the number of its scored trials, and the mean objective of these."""

    num_trials: int
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Spearman's rank correlation of the order with the mean objectives; `chance` is the share of
    all orders that would have agreed as well or better."""

    correlation: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight(Priors):
    """The priors with what came of each option; `mean` is None where fewer than three options have
    a score, or all are equal."""

    options: tuple[TriedOption, ...]
    num_tried: int
    mean: Agreement | None


def ranked_options(space: SearchSpace) -> tuple[str, ...]:
    """What there is to put in order: the options, or the sources of a simplex."""
    named = space.sources if space.intermediates.mixture == "shares" else space.options
    return tuple(option for option in named if option != NONE)


def mixture_of(space: SearchSpace, option: str) -> Mixture:
    """The sources of an option with their shares, without masking."""
    return Mixture.proportional(
        space.intermediates.members(option),
        temperature=space.intermediates.temperature,
        cap=space.intermediates.cap,
        max_train_rows=space.recipe_of(option).max_train_rows,
    )


def rank_options(
    space: SearchSpace, estimates: Mapping[Source, Estimate]
) -> tuple[RankedOption, ...]:
    """Every option with its estimates and ranks, the most promising first.

    A mixture has the mean of its members' estimates, weighted by their shares, over those members
    that have one. `rank` is the mean of the ranks by each kind; an option without an estimate that
    others have is the last by that kind, and a kind that tells nothing apart has no say.
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
        for of_option, rank in zip(ranks, by_kind, strict=True):
            of_option[kind] = float(rank)
    undecided = (len(options) + 1) / 2
    ranked = [
        replace(option, ranks=of, rank=fmean(of.values()) if of else undecided)
        for option, of in zip(options, ranks, strict=True)
    ]
    ranked.sort(key=lambda option: option.rank)  # equal ones stay in the study file's order
    return tuple(replace(option, place=place) for place, option in enumerate(ranked, start=1))


def priors_of(
    space: SearchSpace, estimates: Mapping[Source, Estimate], notes: Sequence[str]
) -> Priors:
    """The options in order, with all that is kept beside them."""
    options = rank_options(space, estimates)
    return Priors(
        options=options,
        sources={f"{s.task}@{s.language}": found for s, found in estimates.items()},
        notes=tuple(notes),
        first=tuple(first_points(space, [option.option for option in options])),
    )


def num_first(space: SearchSpace) -> int:
    """How many options are tried first: the better half, two at least."""
    count = len(ranked_options(space))
    return min(count, max(MIN_FIRST, math.ceil(count / 2)))


def first_points(space: SearchSpace, order: Sequence[str]) -> list[JsonObject]:
    """The params of the first options in this order: without masking, at the middle of each rate;
    without those that the study file tries anyway. None of a simplex or a grid."""
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
    """How right the order was: each option's mean objective over its scored trials, collapsed ones
    too, and Spearman's rank correlation of these with the order; None where nothing was ranked.

    The best objective of an option says nothing here: options that look promising are tried more
    often, and the best of more is higher.
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
    """Not ranked yet."""
    members = [(estimates[source], share) for source, share in mixture.shares]
    targets = dict.fromkeys(task for found, _ in members for task in found.similarity)
    by_target = {
        task: _weighted([(found.similarity.get(task), share) for found, share in members])
        for task in targets
    }
    known = [value for value in by_target.values() if value is not None]
    return RankedOption(
        option=option,
        shares=mixture.to_dict(),
        logme=_weighted([(found.logme, share) for found, share in members]),
        similarity=fmean(known) if known else None,
        similarity_by_target=by_target,
        typology=_weighted([(found.typology, share) for found, share in members]),
        rank=0.0,
        place=0,
    )


def _weighted(members: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, share) for value, share in members if value is not None]
    total = math.fsum(share for _, share in known)
    return math.fsum(value * share for value, share in known) / total if known else None


def _middle(domain: Domain) -> JsonValue:
    """The middle rate of a grid (the lower of two) or of a range; of anything else the first."""
    if isinstance(domain, Range):
        return domain.spread(1)[0]
    values: Sequence[JsonValue] = domain.values
    if isinstance(domain, Grid):
        rates: list[float] = sorted(domain.values)
        return rates[(len(rates) - 1) // 2]
    return values[0]


def _tried(option: RankedOption, rows: Sequence[TrialRow]) -> TriedOption:
    values = [
        row.objective
        for row in rows
        if row.state is TrialState.SCORED and row.objective is not None
        if row.params.get("intermediate") == option.option
    ]
    ranked = {each.name: getattr(option, each.name) for each in fields(RankedOption)}
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
