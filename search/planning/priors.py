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
from dataclasses import asdict, dataclass, field
from itertools import permutations
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import rankdata, spearmanr

from search.trials.ranking import TrialRow, TrialState
from spaces.domains import Domain, Grid, Range
from spaces.intermediates import NONE
from spaces.mixture import Mixture
from spaces.space import SearchSpace
from spaces.task_catalog import Source

Json = dict[str, Any]

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


def rank_options(space: SearchSpace, estimates: Mapping[Source, Estimate]) -> list[Json]:
    """Every option with its estimates and ranks, the most promising first.

    A mixture has the mean of its members' estimates, weighted by their shares, over those members
    that have one. `rank` is the mean of the ranks by each kind; an option without an estimate that
    others have is the last by that kind, and a kind that tells nothing apart has no say.
    """
    rows = [
        _option(option, mixture_of(space, option), estimates) for option in ranked_options(space)
    ]
    for kind in KINDS:
        values = [row[kind] for row in rows]
        if len({value for value in values if value is not None}) < 2:
            continue
        ranks = rankdata([math.inf if value is None else -value for value in values])
        for row, rank in zip(rows, ranks, strict=True):
            row["ranks"][kind] = float(rank)
    for row in rows:
        row["rank"] = fmean(row["ranks"].values()) if row["ranks"] else (len(rows) + 1) / 2
    rows.sort(key=lambda row: row["rank"])  # equal ones stay in the study file's order
    for place, row in enumerate(rows, start=1):
        row["place"] = place
    return rows


def priors_of(
    space: SearchSpace, estimates: Mapping[Source, Estimate], notes: Sequence[str]
) -> Json:
    """All that is kept: options in order, the estimates of their sources, what to know of them, and
    the params that are tried first."""
    options = rank_options(space, estimates)
    return {
        "options": options,
        "sources": {f"{s.task}@{s.language}": asdict(found) for s, found in estimates.items()},
        "notes": list(notes),
        "first": first_points(space, [row["option"] for row in options]),
    }


def num_first(space: SearchSpace) -> int:
    """How many options are tried first: the better half, two at least."""
    count = len(ranked_options(space))
    return min(count, max(MIN_FIRST, math.ceil(count / 2)))


def first_points(space: SearchSpace, order: Sequence[str]) -> list[dict[str, Any]]:
    """The params of the first options in this order: without masking, at the middle of each rate;
    without those that the study file tries anyway. None of a simplex or a grid."""
    if space.intermediates.mixture == "shares" or space.is_grid:
        return []
    points = []
    for option in order[: num_first(space)]:
        masking = {"mlm.share": 0.0} if space.masking else {}
        domains = space.domains(option, 0.0)
        rates = {name: _middle(domain) for name, domain in domains.items()}
        points.append({"intermediate": option, **masking, **rates})
    return [point for point in points if point not in [dict(p) for p in space.points]]


def hindsight(priors: Json | None, rows: Sequence[TrialRow]) -> Json | None:
    """How right the order was: each option's mean objective over its scored trials, collapsed ones
    too, and Spearman's rank correlation of these with the order; None where nothing was ranked.

    `chance` is the share of all orders that would have agreed as well or better. The best objective
    of an option says nothing here: options that look promising are tried more often, and the best
    of more is higher.
    """
    if not priors:
        return None
    options = [{**row, **_results(row["option"], rows)} for row in priors["options"]]
    tried = [row for row in options if row["num_trials"]]
    ranks = [-row["rank"] for row in tried]
    return {
        **priors,
        "options": options,
        "num_tried": len(tried),
        "mean": _agreement(ranks, [row["mean"] for row in tried]),
    }


def _option(option: str, mixture: Mixture, estimates: Mapping[Source, Estimate]) -> Json:
    members = [(estimates[source], share) for source, share in mixture.shares]
    targets = dict.fromkeys(task for found, _ in members for task in found.similarity)
    by_target = {
        task: _weighted([(found.similarity.get(task), share) for found, share in members])
        for task in targets
    }
    known = [value for value in by_target.values() if value is not None]
    return {
        "option": option,
        "shares": mixture.to_dict(),
        "logme": _weighted([(found.logme, share) for found, share in members]),
        "similarity": fmean(known) if known else None,
        "similarity_by_target": by_target,
        "typology": _weighted([(found.typology, share) for found, share in members]),
        "ranks": {},
    }


def _weighted(members: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, share) for value, share in members if value is not None]
    total = math.fsum(share for _, share in known)
    return math.fsum(value * share for value, share in known) / total if known else None


def _middle(domain: Domain) -> Any:
    """The middle rate of a grid (the lower of two) or of a range; of anything else the first."""
    if isinstance(domain, Range):
        return domain.spread(1)[0]
    if isinstance(domain, Grid):
        return sorted(domain.values)[(len(domain.values) - 1) // 2]
    return domain.values[0]


def _results(option: str, rows: Sequence[TrialRow]) -> Json:
    values = [
        row.objective
        for row in rows
        if row.state is TrialState.SCORED and row.objective is not None
        if row.params.get("intermediate") == option
    ]
    return {"num_trials": len(values), "mean": fmean(values) if values else None}


def _agreement(ranks: Sequence[float], values: Sequence[float]) -> Json | None:
    """None of fewer than three options, or where all are equal."""
    if len(ranks) < 3 or len(set(ranks)) < 2 or len(set(values)) < 2:
        return None
    found = spearmanr(ranks, values, alternative="greater")
    chance = found.pvalue if len(ranks) > MAX_EXACT else _chance(ranks, values)
    return {"correlation": float(found.statistic), "chance": float(chance)}


def _chance(ranks: Sequence[float], values: Sequence[float]) -> float:
    """Of all orders of the options, the share that agrees as well or better."""
    one, other = rankdata(ranks), rankdata(values)
    orders = np.array(list(permutations(one - one.mean())))
    agreement = orders @ (other - other.mean())
    return float(np.mean(agreement >= agreement[0] - 1e-9))
