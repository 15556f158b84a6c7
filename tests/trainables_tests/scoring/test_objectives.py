from dataclasses import replace
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.study_file.sections import EvaluationSection, Objective, SelectionRule
from tests.scored import COH, FACT, RETRIEVAL
from trainables.scoring.objectives import objective_values, selecting_scores
from trainables.scoring.scores import Scores, objective

COST = {"hours": 1.5, "num_gpus": 4}
OF_SCORES = (
    Objective.ZERO_SHOT_MEAN,
    Objective.WORST_LANGUAGE,
    Objective.TRANSFER_GAP,
    Objective.SOURCE_SCORE,
)


SCORES = Scores(targets=(COH, FACT, RETRIEVAL), of_interest=("coh", "fact"))


def evaluation(*names: Objective, rule: str = "target_dev", **more: Any) -> EvaluationSection:
    return EvaluationSection(selection=SelectionRule(rule), objectives=names, **more)


@pytest.mark.parametrize(
    ("scores", "rule", "pivots", "by_hand"),
    [
        # means of 0.6 and 0.3; the lowest of all; 0.9 - 0.6 and 0.7 - 0.3; 0.9 and 0.7
        (SCORES, "target_dev", (), (0.45, 0.1, 0.35, 0.8)),
        # German alone may select: 0.8 and 0.5
        (SCORES, "pivot_dev", ("de",), (0.65, 0.5, 0.15, 0.8)),
        # Swahili: only coh has it; English is a pivot, but no zero-shot language
        (SCORES, "pivot_dev", ("en", "sw"), (0.4, 0.4, 0.5, 0.8)),
        # retrieval has no source language: it is in the mean, not in the gap
        (replace(SCORES, of_interest=()), "target_dev", (), (0.4, 0.1, 0.35, 0.8)),
    ],
)
def test_values_by_hand(scores: Scores, rule: str, pivots: tuple[str, ...], by_hand) -> None:
    wanted = evaluation(*OF_SCORES, rule=rule, pivot_languages=pivots)
    result = objective_values(scores, wanted, **COST)
    assert list(result) == [name.value for name in OF_SCORES]
    assert tuple(result.values()) == pytest.approx(by_hand)


def test_the_zero_shot_mean_is_what_one_objective_is() -> None:
    result = objective_values(SCORES, evaluation(Objective.ZERO_SHOT_MEAN), **COST)
    assert result == {"zero_shot_mean": objective(SCORES, SelectionRule.TARGET_DEV)}


def test_costs_are_those_given_in_the_order_asked_for() -> None:
    wanted = evaluation(Objective.GPU_HOURS, Objective.HOURS, rule="source_dev")
    assert list(objective_values(SCORES, wanted, **COST).items()) == [
        ("gpu_hours", 6.0),
        ("hours", 1.5),
    ]


def test_a_study_that_names_none_has_no_values() -> None:
    assert objective_values(SCORES, evaluation(), **COST) == {}


@pytest.mark.parametrize("name", OF_SCORES[:3])
def test_languages_that_may_not_select_are_not_looked_at(name: Objective) -> None:
    with pytest.raises(Refusal, match=f"{name.value}.*source_dev"):
        objective_values(SCORES, evaluation(name, rule="source_dev"), **COST)


def test_scores_that_select_by_task_and_language() -> None:
    assert selecting_scores(SCORES, evaluation()) == {
        "coh de": 0.8,
        "coh ja": 0.6,
        "coh sw": 0.4,
        "fact de": 0.5,
        "fact ja": 0.1,
    }
    english = selecting_scores(SCORES, evaluation(rule="source_dev"))
    assert english == {"coh en": 0.9, "fact en": 0.7}
