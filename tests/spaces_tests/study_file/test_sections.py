"""Sections alone: what they say when a file says nothing. Whole files are test_study.py's."""

import pytest
from pydantic import ValidationError

from spaces.phases import Recipe
from spaces.study_file.sections import (
    EvaluationSection,
    Precision,
    PretrainingSection,
    ResourcesSection,
    SelectionRule,
)


def test_defaults() -> None:
    evaluation, resources = EvaluationSection(), ResourcesSection()
    assert evaluation.selection is SelectionRule.TARGET_DEV
    assert (evaluation.max_rows, evaluation.languages) == (None, ())
    assert (resources.num_workers, resources.gpus_per_worker) == (1, 0)


@pytest.mark.parametrize(
    ("rule", "scored", "pivots", "expected"),
    [
        (SelectionRule.TARGET_DEV, ["tr", "en", "de"], [], ["tr", "de"]),
        (SelectionRule.TARGET_DEV, ["en"], [], []),
        (SelectionRule.SOURCE_DEV, ["tr", "en", "de"], [], ["en"]),
        (SelectionRule.SOURCE_DEV, ["tr", "de"], [], []),  # retrieval against English
        (SelectionRule.PIVOT_DEV, ["tr", "en", "de"], ["de", "tr"], ["tr", "de"]),
        (SelectionRule.PIVOT_DEV, ["tr", "en"], ["de", "en"], ["en"]),
    ],
)
def test_the_languages_whose_rows_may_choose(
    rule: SelectionRule, scored: list[str], pivots: list[str], expected: list[str]
) -> None:
    assert rule.languages(scored, source="en", pivots=pivots) == expected


def test_a_target_is_scored_at_the_length_it_was_trained_at() -> None:
    evaluation = EvaluationSection(retrieval_max_length=48)
    assert evaluation.max_length_of(Recipe(num_steps=1, batch_size=1, max_length=32)) == 32
    assert evaluation.max_length_of(None) == 48


def test_gpus_compute_in_bf16_unless_it_is_said_otherwise() -> None:
    """Of the settings alone: who asks may have no GPU."""
    wanted = ({}, {"gpus_per_worker": 1}, {"gpus_per_worker": 1, "precision": Precision.FP32})
    result = [ResourcesSection(**keys).computes_in for keys in wanted]  # type: ignore[arg-type]
    assert result == [Precision.FP32, Precision.BF16, Precision.FP32]
    with pytest.raises(ValidationError, match="on CPUs only fp32"):
        ResourcesSection(precision=Precision.BF16)


def test_sections_are_frozen_and_strict() -> None:
    with pytest.raises(ValidationError):
        EvaluationSection().max_rows = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        ResourcesSection(num_workers="2")  # type: ignore[arg-type]


@pytest.mark.parametrize("pair_share", [-0.1, 1.1, float("nan")])
def test_pair_share_is_a_share(pair_share: float) -> None:
    with pytest.raises(ValidationError, match="pair_share"):
        PretrainingSection(
            text="flores",
            pair_share=pair_share,
            max_vocabulary=500,
            hidden_size=32,
            num_layers=1,
            num_heads=1,
            feed_forward_size=8,
            learning_rate=1e-3,
            recipe=Recipe(num_steps=1, batch_size=1, max_length=8),
        )
