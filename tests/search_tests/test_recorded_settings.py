"""Settings as records have them: of this version, of older ones, and of a study that has begun."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from search.recorded_settings import RecordedSettings, describing
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import EvaluationSection, SelectionRule
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED


def test_settings_of_this_version_are_read_whole(settings_of: Callable[..., StudySettings]) -> None:
    settings = settings_of(evaluation={"selection": "source_dev", "halves": False})
    recorded = RecordedSettings.parse(settings.model_dump(mode="json"))
    assert recorded.evaluation == settings.evaluation
    assert recorded.resources == settings.resources
    assert recorded.budget == settings.budget
    assert recorded.whole() == settings


def test_keys_of_another_version_are_left_out_and_missing_ones_have_their_defaults() -> None:
    content: dict[str, Any] = {
        "evaluation": {"selection": "source_dev", "folds": 5},
        "resources": {"gpus_per_worker": 2, "gpu_kind": "old"},
        "budget": {"num_trials": 4, "max_days": 1.0},
        "notes": {},
    }
    recorded = RecordedSettings.parse(content)
    assert recorded.evaluation == EvaluationSection(selection=SelectionRule.SOURCE_DEV)
    assert recorded.resources.num_gpus == 2
    assert recorded.budget is not None
    assert recorded.budget.num_trials == 4
    assert recorded.content == content


def test_a_study_that_has_just_begun_has_defaults_and_cannot_be_retrained() -> None:
    recorded = RecordedSettings.parse({})
    assert recorded == RecordedSettings()
    assert (recorded.evaluation, recorded.budget) == (EvaluationSection(), None)
    with pytest.raises(Refusal, match=r"^the record of study 'a' has no settings yet"):
        recorded.whole(where="the record of study 'a'")


def test_a_value_that_this_version_does_not_know_is_refused_by_its_name() -> None:
    content: dict[str, Any] = {"evaluation": {"selection": "best_guess"}}
    with pytest.raises(Refusal, match=r"^the record of study 'a': selection .*'target_dev'"):
        RecordedSettings.parse(content, where="the record of study 'a'")


def test_a_report_reads_settings_that_a_retrain_refuses() -> None:
    recorded = RecordedSettings.parse({"evaluation": {"halves": False}})
    assert not recorded.evaluation.halves
    with pytest.raises(Refusal):
        recorded.whole()


def test_a_record_has_the_tasks_of_its_study(settings_of: Callable[..., StudySettings]) -> None:
    task = {"kind": "tagging", "languages": ["en", "sv"], "labels": ["N", "V"], "rows": "rows"}
    rows = {"languages": ["sv"], "rows": "more"}
    settings = settings_of(tasks={"mine": task}, rows={"qqp": [rows]})
    recorded = RecordedSettings.parse(settings.model_dump(mode="json"))
    assert recorded.catalogue == settings.catalogue
    later = settings.model_dump(mode="json")
    later["tasks"]["mine"]["shade"] = "of a later version"
    assert RecordedSettings.parse(later).catalogue == settings.catalogue
    assert RecordedSettings.parse({}).catalogue is SHIPPED


def test_a_record_of_a_task_in_the_code_is_refused(planted: Any) -> None:
    """What an earlier version recorded of a clone with a task of its own."""
    text = json.dumps(planted.plan("fact").to_dict()).replace("fact", "mine")
    with pytest.raises(Refusal) as caught, describing("the record of study 'old'"):
        TrialPlan.from_dict(json.loads(text), SHIPPED)
    assert str(caught.value).startswith("the record of study 'old': unknown task 'mine'")
    assert "write the task into the study file as [tasks.NAME] with kind," in str(caught.value)
    assert "\n" not in str(caught.value)
