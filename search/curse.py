"""The winner's curse: what a trial that was chosen for its score is likely to get again. Pure.

The best of many scores is partly luck. What fresh seeds should get is predicted before they are
looked at, by shrinking the winner's score to the mean of the study's plans (Efron and Morris, 1975,
J. Am. Stat. Assoc. 70:311; that this mends selection: Efron, 2011, J. Am. Stat. Assoc. 106:1602):

    noise   the variance between seeds of one plan, pooled over all plans with several seeds, those
            of the search and the fresh ones
    spread  the variance between the plans' means, less what noise adds to it
    kept    spread / (spread + noise of the winner's mean): the share of its lead that is believed

The interval is that of a new mean of as many seeds, with Student's t at the noise's degrees of
freedom: what is unknown of the plan, the noise of the fresh seeds, and the rows. Of these two sets
are scored, validation and test; a mean of n values in [0, 1] varies by at most m (1 - m) / n, and
languages count as one since their rows are each other's translations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import stdtrit

from search.selection import TrialRow, TrialState, is_collapsed, over_seeds
from trainables.scores import Scores

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Curse:
    """Zero-shot means of the chosen trial: in the search, as predicted, and over fresh seeds.

    `kept` is the share of its lead over the mean of the `num_plans` plans that is believed; `low`
    and `high` are None where no plan was trained with two seeds, so that noise is not known.
    """

    searched: float
    predicted: float
    low: float | None
    high: float | None
    retrained: float
    kept: float
    num_plans: int
    num_seeds: int

    @property
    def falls_out(self) -> bool:
        """Whether the fresh seeds' mean lies outside what was predicted."""
        if self.low is None or self.high is None:
            return False
        return not self.low <= self.retrained <= self.high


def winners_curse(
    rows: Sequence[TrialRow],
    winner: TrialRow,
    fresh: Sequence[Scores],
    others: Sequence[Scores] = (),
) -> Curse:
    """The winner's zero-shot mean in the search beside that of its fresh seeds.

    Args:
        rows: the trials of the study.
        fresh: the winner's scores with fresh seeds, one at least.
        others: of another plan with fresh seeds (the baseline): they say how seeds vary.
    """
    assert winner.scores is not None
    scored = [r for r in rows if r.state is TrialState.SCORED and not is_collapsed(r)]
    groups = {
        plan: [row.scores.zero_shot_mean for row in members if row.scores is not None]
        for plan, members in over_seeds(scored).items()
    }
    of_winner = groups.get(winner.plan.with_seed(0), [winner.scores.zero_shot_mean])
    again = [scores.zero_shot_mean for scores in fresh]
    noise, freedom = _pooled(
        [*groups.values(), again, [scores.zero_shot_mean for scores in others]]
    )
    searched, known = fmean(of_winner), noise / len(of_winner)
    kept, middle, unknown = _shrink(list(groups.values()), noise, known)
    predicted = middle + kept * (searched - middle)
    low = high = None
    if freedom:
        total = unknown + noise / len(again) + _of_rows(winner.scores) + _of_rows(fresh[0])
        half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * math.sqrt(total)
        low, high = max(0.0, predicted - half), min(1.0, predicted + half)
    return Curse(
        searched=searched,
        predicted=predicted,
        low=low,
        high=high,
        retrained=fmean(again),
        kept=kept,
        num_plans=len(groups),
        num_seeds=len(again),
    )


def _shrink(groups: list[list[float]], noise: float, known: float) -> tuple[float, float, float]:
    """(share of the lead that is kept, mean of the plans, variance of the winner's true mean);
    `known` is the noise of the winner's own mean."""
    if len(groups) < 2:
        return 1.0, 0.0, known
    means = [fmean(group) for group in groups]
    between = variance(means)
    spread = max(0.0, between - noise * fmean(1 / len(group) for group in groups))
    kept = spread / (spread + known) if spread + known else 1.0
    return kept, fmean(means), kept * known + (1 - kept) ** 2 * between / len(means)


def _pooled(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The variance within groups and its degrees of freedom; (0, 0) where none has two values."""
    several = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        return 0.0, 0
    return math.fsum((len(g) - 1) * variance(g) for g in several) / freedom, freedom


def _of_rows(scores: Scores) -> float:
    """How much the zero-shot mean may vary, at most, for the choice of its rows."""
    targets = scores.objective_targets
    parts = []
    for target in targets:
        num_rows = min(target.num_rows[language] for language in target.zero_shot)
        parts.append(target.zero_shot_mean * (1 - target.zero_shot_mean) / num_rows)
    return math.fsum(parts) / len(targets) ** 2
