"""Priors: the order in which intermediate options look promising, and what is tried first because
of it. Pure.

The order comes from three estimates, each the higher the better (`KINDS`):

- `logme`: what the frozen encoder knows of the labels (You et al., 2021, arXiv 2102.11005);
- `similarity`: cosine between the mean vectors of the option's texts and of a target's, the mean
  over the targets (TextEmb of Vu et al., 2020, arXiv 2005.00770);
- `typology`: nearness of its source languages to the zero-shot languages (URIEL), where sources are
  in several languages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from pydantic import JsonValue
from scipy.stats import rankdata

from spaces.domains import Domain, Grid, Range
from spaces.intermediates import NONE
from spaces.mixture import Mixture
from spaces.space import SearchSpace
from spaces.task_catalog import Source

KINDS = ("logme", "similarity", "typology")
MIN_FIRST = 2  # options that are tried first, where there are so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimates of one source, each the higher the better."""

    logme: float | None
    """LogME of its labels; null where there are none (masked language modelling)."""
    similarity: Mapping[str, float] = field(default_factory=dict)
    """Target -> the cosine of the mean text vectors, in [-1, 1]."""
    typology: float | None = None
    """One minus the mean distance from the zero-shot languages, in [0, 1]; null where all sources
    are in one language."""
    rows: str = ""
    """How many rows of which split the estimates were taken on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorOption:
    """One intermediate option with its estimates and its ranks; rank 1 is the most promising."""

    option: str
    """The option, as the study file names it."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Source -> its share of the mixture, in [0, 1]."""
    logme: float | None = None
    """The mean LogME of its sources, weighted by their shares."""
    similarity: float | None = None
    """The mean of `similarity_by_target`, in [-1, 1]."""
    similarity_by_target: Mapping[str, float | None] = field(default_factory=dict)
    """Target -> the mean similarity of its sources, weighted by their shares, in [-1, 1]."""
    typology: float | None = None
    """The mean typological nearness of its sources, weighted by their shares, in [0, 1]."""
    ranks: Mapping[str, float] = field(default_factory=dict)
    """Kind of estimate -> the rank by it; only kinds that tell some options apart."""
    rank: float
    """The mean of `ranks`; the middle rank where there are none."""
    place: int
    """The place in the order of `rank`, 1 first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """What was estimated before the search, and what is tried first because of it."""

    options: tuple[PriorOption, ...]
    """Every option, the most promising first."""
    sources: Mapping[str, Estimate] = field(default_factory=dict)
    """`task@language` -> the estimates of this source."""
    notes: tuple[str, ...] = ()
    """What a reader of the estimates should know, in words."""
    first: tuple[Mapping[str, JsonValue], ...] = ()
    """The params of the trials that are tried first, after the baselines and the points."""


def ranked_options(space: SearchSpace) -> tuple[str, ...]:
    """The options to rank, or the sources of a simplex."""
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
) -> tuple[PriorOption, ...]:
    """Every option with its estimates and ranks, the most promising first.

    A mixture has the mean of its members' estimates, weighted by their shares, over those members
    that have one. `rank` is the mean of the ranks by each kind. An option that lacks an estimate
    which others have is the last by that kind; a kind that has one value alone is left out.
    """
    rows = [
        _option(option, mixture_of(space, option), estimates) for option in ranked_options(space)
    ]
    ranks: list[dict[str, float]] = [{} for _ in rows]
    for kind in KINDS:
        values = [getattr(row, kind) for row in rows]
        if len({value for value in values if value is not None}) < 2:
            continue
        by_kind = rankdata([math.inf if value is None else -value for value in values])
        for of_row, rank in zip(ranks, by_kind, strict=True):
            of_row[kind] = float(rank)
    middle = (len(rows) + 1) / 2
    ordered = sorted(  # equal ones stay in the study file's order
        (
            replace(row, ranks=of_row, rank=fmean(of_row.values()) if of_row else middle)
            for row, of_row in zip(rows, ranks, strict=True)
        ),
        key=lambda row: row.rank,
    )
    return tuple(replace(row, place=place) for place, row in enumerate(ordered, start=1))


def priors_of(
    space: SearchSpace, estimates: Mapping[Source, Estimate], notes: Sequence[str]
) -> Priors:
    """The options in order, the estimates of their sources, what to know of them, and the params
    that are tried first."""
    options = rank_options(space, estimates)
    return Priors(
        options=options,
        sources={f"{s.task}@{s.language}": estimate for s, estimate in estimates.items()},
        notes=tuple(notes),
        first=tuple(first_points(space, [row.option for row in options])),
    )


def num_first(space: SearchSpace) -> int:
    """How many options are tried first: the better half, two at least."""
    count = len(ranked_options(space))
    return min(count, max(MIN_FIRST, math.ceil(count / 2)))


def first_points(space: SearchSpace, order: Sequence[str]) -> list[dict[str, JsonValue]]:
    """The params of the first options in this order, without masking and at the middle of each
    rate; points that the study file tries anyway are left out. None of a simplex or a grid."""
    if space.intermediates.mixture == "shares" or space.is_grid:
        return []
    points: list[dict[str, JsonValue]] = []
    for option in order[: num_first(space)]:
        masking = {"mlm.share": 0.0} if space.masking else {}
        domains = space.domains(option, 0.0)
        rates = {name: _middle(domain) for name, domain in domains.items()}
        points.append({"intermediate": option, **masking, **rates})
    return [point for point in points if point not in [dict(p) for p in space.points]]


def _option(option: str, mixture: Mixture, estimates: Mapping[Source, Estimate]) -> PriorOption:
    """The estimates of an option; its rank and place are not known yet (0)."""
    members = [(estimates[source], share) for source, share in mixture.shares]
    targets = dict.fromkeys(task for estimate, _ in members for task in estimate.similarity)
    by_target = {
        task: _weighted([(estimate.similarity.get(task), share) for estimate, share in members])
        for task in targets
    }
    known = [value for value in by_target.values() if value is not None]
    return PriorOption(
        option=option,
        shares=mixture.to_dict(),
        logme=_weighted([(estimate.logme, share) for estimate, share in members]),
        similarity=fmean(known) if known else None,
        similarity_by_target=by_target,
        typology=_weighted([(estimate.typology, share) for estimate, share in members]),
        rank=0.0,
        place=0,
    )


def _weighted(members: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, share) for value, share in members if value is not None]
    total = math.fsum(share for _, share in known)
    return math.fsum(value * share for value, share in known) / total if known else None


def _middle(domain: Domain) -> JsonValue:
    """The middle value of a grid (the lower of two) or of a range; else the first value."""
    if isinstance(domain, Range):
        return domain.spread(1)[0]
    middle: JsonValue = domain.values[0]
    if isinstance(domain, Grid):
        middle = sorted(domain.values)[(len(domain.values) - 1) // 2]
    return middle
