"""The best plans beside the best baseline."""

from dataclasses import replace
from typing import Any

import pytest

from search.findings.find import find
from search.findings.findings import ParetoEntry
from search.glance.plans import num_plans, plan_rows, plans_of
from search.trials.ranking import TrialRow
from spaces.study_file.sections import Objective


def of_seed(row: TrialRow, seed: int) -> TrialRow:
    return replace(row, plan=row.plan.with_seed(seed), params={**row.params, "seed": seed})


def test_the_three_best_and_the_baseline(planted: Any) -> None:
    rows = tuple(planted.scored(n, 0.5 + n / 100, "fact", rate=n * 1e-4) for n in range(1, 6))
    shown = plan_rows(find(planted.record_of((planted.scored(0, 0.5, None), *rows))))
    assert [row.trial for row in shown] == [5, 4, 3, 0]
    assert [row.gain for row in shown] == [pytest.approx(g) for g in (0.05, 0.04, 0.03)] + [None]
    assert shown[0].worst == ("rel", "tr", pytest.approx(0.45))
    assert [str(row.rates) for row in shown[2:]] == ["3e-4 → 1e-4", "1e-4"]


def test_a_baseline_among_the_best_is_there_once(planted: Any) -> None:
    shown = plan_rows(find(planted.record_of(planted.study_rows()[:3])))
    assert [(row.trial, row.label) for row in shown] == [
        (2, "fact"),
        (1, "baseline"),
        (0, "baseline"),
    ]
    assert plan_rows(find(planted.record_of(()))) == ()


def test_seeds_of_a_plan_are_one_row_with_their_mean(planted: Any) -> None:
    base = [of_seed(planted.scored(n, 0.5, None), n) for n in range(2)]
    fact = [of_seed(planted.scored(2 + n, level, "fact"), n) for n, level in ((0, 0.6), (1, 0.7))]
    findings = find(planted.record_of((*base, *fact)))
    first, second = plan_rows(findings)
    assert (first.trial, first.num_seeds, second.num_seeds) == (3, 2, 2)
    assert first.zero_shot_mean == pytest.approx(0.65)
    assert first.gain == pytest.approx(0.15)
    assert num_plans(findings) == (1, 1)
    assert [[trial.number for trial in plan] for plan in plans_of(findings.ranked_trials)] == [
        [3, 2],
        [0, 1],
    ]


def test_several_objectives_show_the_pareto_set(planted: Any) -> None:
    findings = replace(
        find(planted.record_of(planted.study_rows())),
        objectives=(Objective.WORST_LANGUAGE, Objective.HOURS),
        pareto=(ParetoEntry(number=2, name="fact", values={}),),
    )
    assert [row.trial for row in plan_rows(findings)] == [2, 1]
