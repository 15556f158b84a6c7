"""What a trial drops, against whom, and whether that is allowed."""

from dataclasses import replace
from typing import Any

import pytest

from search.feasibility import constraints, judge_all, judged, measure_of
from search.selection import best, best_baseline, ranked
from spaces.sections import EvaluationSection, Objective, SelectionRule
from trainables.scores import Mark, Scores

STRICT = EvaluationSection(max_drop=0.01)


def falling(scores: Scores, language: str, by: float) -> Scores:
    """`rel` falls by so much in one language."""
    rel = scores.targets[0]
    changed = {**rel.languages, language: {"accuracy": rel.by_language[language] - by}}
    return replace(scores, targets=(replace(rel, languages=changed), *scores.targets[1:]))


@pytest.fixture
def rows(planted: Any) -> list[Any]:
    """Baselines at 0.50 and 0.52; fact at the first one's rate, up in all languages but Turkish."""
    fact = planted.scored(2, 0.60, "fact", target_rate=1e-4)
    return [
        planted.scored(0, 0.50, None, target_rate=1e-4),
        planted.scored(1, 0.52, None, target_rate=2e-4),
        replace(fact, scores=falling(fact.scores, "tr", 0.13)),
        planted.scored(3, 0.53, "coh", target_rate=9e-4),
    ]


def test_drops_by_hand(rows: list[Any]) -> None:
    found = judge_all(rows, STRICT.model_dump(mode="json"))
    # Its twin has 0.40 in Turkish, it has 0.50 - 0.13; coh has no twin: 0.01 above the best one.
    assert [row.largest_drop for row in found] == pytest.approx([0.0, 0.0, 0.03, -0.01])
    assert [row.is_feasible for row in found] == [True, True, False, True]
    assert [row.number for row in ranked(rows)] == [2, 3, 1, 0]
    assert [row.number for row in ranked(found)] == [3, 1, 0, 2], "kept, but behind those allowed"
    assert best(found).number == 3
    assert best_baseline(found) == found[1]


def test_what_drops_just_so_much_is_allowed(rows: list[Any]) -> None:
    twin = replace(rows[2], scores=falling(rows[0].scores, "tr", 0.01))
    found = judge_all([rows[0], twin], STRICT.model_dump(mode="json"))[1]
    assert found.is_feasible
    assert constraints(found, STRICT) == {"max_drop": 0.0}


def test_a_language_that_does_not_select_may_fall(rows: list[Any]) -> None:
    rows[2] = replace(rows[2], scores=falling(rows[2].scores, "en", 0.5))
    german = EvaluationSection(
        selection=SelectionRule.PIVOT_DEV, pivot_languages=("de",), max_drop=0.01
    )
    found = judge_all(rows, german.model_dump(mode="json"))
    assert [row.is_feasible for row in found] == [True] * 4


def test_a_study_that_does_not_ask_changes_no_row(planted: Any) -> None:
    rows = planted.study_rows()
    assert judge_all(rows, {}) == rows
    assert judged(rows[3], [], EvaluationSection()) == rows[3]
    assert constraints(rows[3], EvaluationSection()) == {}


def test_without_a_baseline_nothing_is_known_and_the_sampler_goes_on(rows: list[Any]) -> None:
    row = judged(rows[2], [], STRICT)
    assert (row.largest_drop, row.is_feasible) == (None, None)
    assert constraints(row, STRICT) == {"max_drop": -0.01}


def test_a_collapsed_baseline_is_no_measure(planted: Any, rows: list[Any]) -> None:
    low = planted.scored(0, 0.1, None, target_rate=1e-4, mark=Mark.COLLAPSED)
    assert measure_of(low, STRICT) is None
    found = judge_all([low, *rows[1:]], STRICT.model_dump(mode="json"))
    # Against the best one then: 0.42 in Turkish.
    assert [row.largest_drop for row in found[:3]] == pytest.approx([0.42, 0.0, 0.05])


def test_only_scored_trials_are_judged(planted: Any) -> None:
    found = judge_all(planted.study_rows(), STRICT.model_dump(mode="json"))
    assert [row.is_feasible for row in found[5:]] == [None] * 4


def test_a_collapsed_trial_violates_what_a_sampler_holds_to(planted: Any) -> None:
    low = planted.scored(4, 0.3, "coh", mark=Mark.COLLAPSED)
    several = EvaluationSection(objectives=(Objective.ZERO_SHOT_MEAN, Objective.TRANSFER_GAP))
    assert constraints(low, several) == {"collapsed": 1.0}
    assert constraints(planted.scored(4, 0.3, "coh"), several) == {"collapsed": 0.0}
    assert constraints(low, STRICT)["max_drop"] > 0.9


def test_several_seeds_may_win_where_each_may(planted: Any) -> None:
    rows = [
        replace(planted.scored(n, level, "fact"), is_feasible=allowed, plan=plan.with_seed(seed))
        for n, (level, allowed, plan, seed) in enumerate(
            [
                (0.9, True, planted.plan("fact"), 1),
                (0.9, False, planted.plan("fact"), 2),
                (0.6, True, planted.plan("coh"), 1),
            ]
        )
    ]
    assert [row.number for row in ranked(rows)] == [2, 0, 1]
