"""What a study would run, counted by hand on a small grid."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from search.planning.plan import check_study, metric_conventions, plan_study, stage_paths
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import shipped_studies
from spaces.tasks.catalogue import SHIPPED

Settings = Callable[..., StudySettings]


def test_counts_of_a_small_grid(settings_of: Settings) -> None:
    """None and three mixtures, two rates each, two target rates; one target trains."""
    settings = settings_of()
    plan = plan_study(settings)
    assert plan.num_plans == 2 + 3 * 2 * 2
    assert plan.num_phases == 2 * 1 + 12 * 2, "a baseline has one phase, the others two"
    assert plan.num_stages == 2 + 6 + 12, "baselines, stems, and two targets from each stem"
    intermediate, target = 20 * 16, 60 * 16
    assert plan.examples == 6 * intermediate + 14 * target
    assert plan.examples_without_tree == 12 * intermediate + 14 * target
    assert dict(plan.stages) == {
        "none": 2,
        **{
            f"{name} at {rate}": 2
            for name in ("fact", "coh", "coh:0.50+fact:0.50")
            for rate in ("0.001", "0.002")
        },
    }
    assert [len(first.pairs) for first in plan.first] == [2, 2]
    assert plan.num_trials == 6
    assert (plan.errors, plan.warnings) == ((), ())


def test_targets_that_share_a_phase_are_one_stage(settings_of: Settings) -> None:
    space = settings_of().search_space()
    plan = space.decode(space.grid_points()[0])
    assert len(stage_paths(plan)) == 1, "retrieval trains nothing"


def test_it_is_json(settings_of: Settings) -> None:
    content = plan_study(settings_of()).to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["num_stages"] == 20
    assert content["first"][0]["intermediate"] is None


@pytest.mark.parametrize(
    "keys",
    [
        {"intermediate_learning_rate": {"low": 1e-5, "high": 1e-3}},
        {"mixture": "shares", "intermediate": ["none", "fact", "coh"]},
    ],
)
def test_an_endless_space_is_not_counted(keys: dict[str, object], settings_of: Settings) -> None:
    plan = plan_study(settings_of(space=keys))
    counts = (plan.num_plans, plan.num_phases, plan.num_stages, plan.examples)
    assert counts == (None, None, None, None)
    assert plan.stages == ()
    assert len(plan.first) == 2


def test_warnings(settings_of: Settings) -> None:
    (again,) = plan_study(settings_of(space={"intermediate": ["none", "rel"]})).warnings
    assert "comes from a second pass over the same data" in again
    (more,) = plan_study(settings_of(budget={"num_trials": 15})).warnings
    assert "15 trials, but the space has only 14 plans" in more
    (less,) = plan_study(settings_of(budget={"num_trials": 1})).warnings
    assert "fewer than the 2 points that are tried first" in less
    few = settings_of(study={"priors": True}, budget={"num_trials": 3})
    (first,) = plan_study(few).warnings
    assert "fewer than the 4 points that are tried first" in first


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        ("mnli", "xnli", "which intermediate mnli contains too"),
        ("anliplus", "xnli", "which intermediate anliplus contains too"),
        ("squad2", "xquad", "which intermediate squad2 contains too"),
        ("anliplus+mnli", "xnli", "which intermediate anliplus and mnli contain too"),
        ("udpos", "udpos", "which intermediate udpos contains too"),
    ],
)
def test_sources_with_the_rows_of_a_target_are_named(
    source: str, target: str, named: str, settings_of: Settings
) -> None:
    space = {"intermediate": ["none", source, "csqa"], "targets": [target]}
    plan = plan_study(settings_of(space=space, evaluation={"languages": ["de"]}))
    (warning,) = [line for line in plan.warnings if "second pass over the same data" in line]
    trains_on = SHIPPED.get(target).training_task.name
    assert warning.startswith(f"target {target!r} trains on the rows of {trains_on!r}, {named}")


@pytest.mark.parametrize(
    ("source", "target", "languages", "is_named"),
    [
        ("udpos@af", "udpos", ["de", "af"], True),
        ("mnli@de", "xnli", ["de", "sw"], True),
        ("mnli@de", "xnli", ["sw"], False),
        ("panx@de", "udpos", ["de"], False),
    ],
)
def test_labelled_rows_in_a_zero_shot_language_are_named(
    source: str, target: str, languages: list[str], is_named: bool, settings_of: Settings
) -> None:
    space = {"intermediate": ["none", source], "targets": [target]}
    plan = plan_study(settings_of(space=space, evaluation={"languages": languages}))
    found = [line for line in plan.warnings if "is not zero-shot" in line]
    language = source.partition("@")[2]
    named = f"intermediate {source} has labelled rows in {language} for target {target!r}"
    assert [line.startswith(named) for line in found] == ([True] if is_named else [])
    assert not [line for line in plan.warnings if "second pass" in line]


def test_main_scores_that_others_call_the_same_and_are_not(settings_of: Settings) -> None:
    space = {"intermediate": ["none", "csqa"], "targets": ["udpos", "panx", "buccpairs"]}
    plan = plan_study(settings_of(space=space, evaluation={"languages": ["de"]}))
    of_tags, of_pairs = (line for line in plan.warnings if "the F1" in line)
    assert of_tags.startswith(
        "the F1 of target 'udpos' is computed by seqeval's rules on tags without "
    )
    assert of_tags.endswith("which cuts a tag's first letter, as `f1_seqeval`")
    assert of_pairs.startswith(
        "the accuracy of target 'buccpairs' is measured among the gold pairs"
    )
    assert not [line for line in plan.warnings if "panx" in line]
    spans = replace(SHIPPED.get("panx"), metric="accuracy")
    (of_words,) = metric_conventions(spans)
    assert "scored by the accuracy of its tags" in of_words


def test_errors_stop_a_run(settings_of: Settings) -> None:
    settings = settings_of(
        evaluation={
            "languages": ["de", "es"],
            "selection": "source_dev",
            "objective": ["rel", "retrieval"],
        }
    )
    plan = plan_study(settings)
    assert len(plan.errors) == 1
    assert "'retrieval' has no rows in its source language" in plan.errors[0]
    with pytest.raises(Refusal, match="study 'tiny': target 'retrieval'"):
        check_study(settings)
    check_study(settings_of())


def test_pivots_that_a_target_lacks(settings_of: Settings) -> None:
    settings = settings_of(
        evaluation={
            "languages": ["de"],
            "selection": "pivot_dev",
            "pivot_languages": ["en"],
            "objective": ["rel", "retrieval"],
        }
    )
    (error,) = plan_study(settings).errors
    assert "'retrieval' has none of the pivot languages" in error


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_can_be_planned(name: str) -> None:
    plan = plan_study(StudySettings.load(name))
    assert plan.errors == ()
    assert plan.first
    assert json.dumps(plan.to_dict())


def test_a_head_must_fit_the_task_it_was_trained_for() -> None:
    """Labels in another order: the head's numbers would mean other names."""
    xnli = SHIPPED.get("xnli")
    with pytest.raises(Refusal, match=r"cannot use rows of 'mnli'.* same labels in the same order"):
        replace(xnli, labels=xnli.labels[::-1])
