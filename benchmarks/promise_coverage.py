"""Measures how often the gain of a retrain lies inside the interval that was predicted for it.

    python -m benchmarks.promise_coverage [--num-searches 1000]

The searches are simulated. The best plan with an intermediate phase and the best baseline are each
chosen by one seed, and then trained again with fresh seeds on other rows. All settings are crossed
with each other, which takes CPU-minutes; the test of the module runs four of them. Prints JSON.
"""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from search.trials.ranking import TrialRow, TrialState, best_baseline, ranked
from search.winner.winners_curse import WinnersCurse, winners_curse
from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe, Target, TrialPlan
from spaces.tasks.catalogue import SHIPPED
from trainables.scoring.outcomes import ByLanguage, Outcomes
from trainables.scoring.scores import Scores, ScoringProtocol, TargetScores

NUM_BASELINES = 3
LEVEL, SPOILT = 0.6, 0.2
# Shares of the variance of a row's result: difficulty of the row, common to all models; and the
# part that is common to all seeds of one plan.
OF_ROW, OF_PLAN = 0.7, 0.1
LANGUAGES = ("en", "de")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The setting of simulated searches. Scores are in [0, 1].

    Attributes:
        num_plans: number of plans, baselines included.
        noise: standard deviation between the seeds of a plan.
        spread: standard deviation of the plans' true means.
        num_seeds: fresh seeds of the retrain.
        spoilt: share of the plans that are lower by 0.2 (standard deviation 0.05).
        gain: how much lower the baselines are.
        harder: how much lower scores on test rows are.
        num_rows: rows of each split; 0 for no noise from the choice of rows.
    """

    num_plans: int
    noise: float
    spread: float
    num_seeds: int = 5
    spoilt: float = 0.0
    gain: float = 0.0
    harder: float = 0.0
    num_rows: int = 0


def simulate(setting: Setting, number: int) -> tuple[WinnersCurse, float]:
    """Simulate one search; return the prediction and the result of its retrain, and the true
    gain."""
    rng = np.random.default_rng(number)
    num, num_rows = setting.num_plans, setting.num_rows
    levels = rng.normal(LEVEL, setting.spread, num)
    spoilt = rng.permutation(num - NUM_BASELINES)[: round(setting.spoilt * num)] + NUM_BASELINES
    levels[spoilt] = rng.normal(LEVEL - SPOILT, 0.05, len(spoilt))
    levels[:NUM_BASELINES] -= setting.gain
    validation = _Rows(rng, num_rows)
    rows = []
    for number_of_plan, level in enumerate(levels):
        score, _ = validation.scored(level + rng.normal(0, setting.noise), number_of_plan)
        rows.append(_row(number_of_plan, score, num_rows))
    winner = next(row for row in ranked(rows) if row.plan.intermediate is not None)
    baseline = best_baseline(rows)
    assert baseline is not None
    test = _Rows(rng, num_rows)
    sides = [
        [
            test.scored(levels[row.number] - setting.harder + rng.normal(0, setting.noise), side)
            for _ in range(setting.num_seeds)
        ]
        for side, row in enumerate((winner, baseline))
    ]
    outcomes = [
        tuple({"rel": ByLanguage(dict.fromkeys(LANGUAGES[1:], right))} for _, right in pair)
        for pair in zip(*sides, strict=True)
    ]
    fresh = [[_scores(score, num_rows) for score, _ in side] for side in sides]
    curse = winners_curse(rows, winner, baseline, *fresh, outcomes if num_rows else ())
    assert curse is not None
    return curse, float(levels[winner.number] - levels[baseline.number])


def table_of(setting: Setting, num_searches: int) -> dict[str, Any]:
    """Return shares of the searches inside, below and above the interval, and means in points."""
    runs = [simulate(setting, number) for number in range(num_searches)]
    below = np.mean([curse.falls_out for curse, _ in runs])
    above = np.mean([curse.exceeds for curse, _ in runs])
    widths = [curse.high - curse.low for curse, _ in runs if curse.high and curse.low is not None]
    return {
        **{name: value for name, value in asdict(setting).items() if value},
        "inside": round(float(1 - below - above), 3),
        "below": round(float(below), 3),
        "above": round(float(above), 3),
        "searched less true": round(100 * float(np.mean([c.searched - t for c, t in runs])), 2),
        "predicted less true": round(100 * float(np.mean([c.predicted - t for c, t in runs])), 2),
        "median width": round(100 * float(np.median(widths)), 1),
    }


class _Rows:
    """The rows of a split, on which models agree more often than by chance."""

    def __init__(self, rng: np.random.Generator, num: int) -> None:
        self._rng = rng
        self._difficulty = math.sqrt(OF_ROW) * rng.normal(size=num)
        self._of_plan: dict[int, Floats] = {}

    def scored(self, level: float, plan: int) -> tuple[float, Outcomes]:
        """Return the score of one seed at this level, and which rows it gets right."""
        level, num = min(max(level, 0.01), 0.99), len(self._difficulty)
        if not num:
            return level, np.zeros(0)
        if plan not in self._of_plan:
            self._of_plan[plan] = math.sqrt(OF_PLAN) * self._rng.normal(size=num)
        of_seed = math.sqrt(1 - OF_ROW - OF_PLAN) * self._rng.normal(size=num)
        right = self._difficulty + self._of_plan[plan] + of_seed < ndtri(level)
        return float(right.mean()), right.astype(np.uint8)


def _scores(level: float, num_rows: int) -> Scores:
    protocol = ScoringProtocol(
        task="rel",
        metric="accuracy",
        split="",
        selection="",
        data="",
        labels="",
        rows=0,
        layer=None,
        pooling=None,
        max_length=64,
        training_version=1,
    )
    target = TargetScores(
        task="rel",
        main="accuracy",
        source_language="en",
        chance=0.3,
        languages={language: {"accuracy": level} for language in LANGUAGES},
        num_rows=dict.fromkeys(LANGUAGES, num_rows or 10**9),
        protocol=protocol,
    )
    return Scores(targets=(target,), of_interest=("rel",))


def _row(number: int, level: float, num_rows: int) -> TrialRow:
    recipe = Recipe(num_steps=10, batch_size=8, max_length=64)
    phase = Phase(
        mixture=Mixture.of([(SHIPPED.source("rel"), 1.0)]),
        learning_rate=1e-5 * (number + 1),
        seed=1,
        recipe=recipe,
    )
    plan = TrialPlan(
        encoder="made",
        intermediate=None if number < NUM_BASELINES else phase,
        targets=(Target(task=SHIPPED.get("rel"), phase=phase),),
    )
    return TrialRow(
        number=number,
        state=TrialState.SCORED,
        params={},
        plan=plan,
        phase_keys=(),
        objective=level,
        scores=_scores(level, num_rows),
    )


def settings() -> list[Setting]:
    crossed = [
        Setting(num_plans=plans, num_seeds=seeds, noise=noise, spread=spread, spoilt=spoilt)
        for plans, seeds, noise, spread, spoilt in product(
            (20, 57), (2, 3, 5), (0.005, 0.02), (0.0, 0.01, 0.03), (0.0, 0.5)
        )
    ]
    usual: dict[str, Any] = {"num_plans": 20, "noise": 0.01, "spread": 0.01}
    return [
        *crossed,
        *(Setting(**usual, harder=harder) for harder in (-0.04, 0.04)),
        *(Setting(**usual, gain=gain) for gain in (0.05, 0.2)),
        *(Setting(**usual, num_rows=rows) for rows in (250, 1000, 2500)),
        *(Setting(**usual, num_rows=rows, spoilt=0.5) for rows in (250, 1000)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measures how well the predicted gain of a retrain is calibrated."
    )
    parser.add_argument("--num-searches", type=int, default=1000)
    arguments = parser.parse_args()
    tables = [table_of(setting, arguments.num_searches) for setting in settings()]
    inside = [row["inside"] for row in tables]
    print(json.dumps({"settings": tables, "inside, least and most": [min(inside), max(inside)]}))


if __name__ == "__main__":
    main()
