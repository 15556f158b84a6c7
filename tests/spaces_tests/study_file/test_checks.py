import json
from collections.abc import Callable
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.study_file.checks import (
    CheckedSettings,
    check,
    check_languages,
    check_names,
    check_objectives,
    check_pretraining,
    check_priors,
    check_resources,
    check_sampler,
    check_selection,
    check_warm_start,
    possible_objectives,
)
from spaces.study_file.sections import Objective
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED


def unchecked(content: dict[str, Any]) -> StudySettings:
    """Each section is as it may be; nothing is said of them together."""
    return StudySettings.model_validate_json(json.dumps(content))


def refusal(checked_by: Callable[[CheckedSettings], None], content: dict[str, Any]) -> str:
    """The same of the one check and of all of them."""
    with pytest.raises(Refusal) as refused:
        checked_by(unchecked(content))
    with pytest.raises(Refusal) as of_all:
        check(unchecked(content))
    assert str(of_all.value) == str(refused.value)
    return str(refused.value)


def test_names_are_those_of_tasks_languages_and_targets(tables) -> None:
    assert "unknown task 'nosuch'" in refusal(check_names, tables({"space.targets": ["nosuch"]}))
    assert "language 'xx'" in refusal(check_names, tables({"evaluation.languages": ["xx"]}))
    wrong = tables({"evaluation.objective": ["mnli"]})
    assert "unknown target of the study 'mnli'" in refusal(check_names, wrong)


def test_limits_in_gpu_hours_need_gpus(tables) -> None:
    changes = {"budget.max_gpu_hours": 2}
    assert "budget.max_gpu_hours is 2, but" in refusal(check_resources, tables(changes))
    check(unchecked(tables({**changes, "resources.gpus_per_worker": 1})))
    message = refusal(check_resources, tables({"resources.phase_store": "/shared"}))
    assert message.startswith("resources.phase_store is '/shared'")


def test_what_may_choose_between_trials_and_what_can_be_told_of_them(tables) -> None:
    settings = unchecked(tables({"evaluation.selection": "source_dev"}))
    assert settings.selecting_languages(SHIPPED.get("coh")) == ["en"]
    assert possible_objectives(settings) == [Objective.SOURCE_SCORE, Objective.HOURS]
    gpus = unchecked(tables({"resources.gpus_per_worker": 1}))
    assert len(gpus.selecting_languages(SHIPPED.get("coh"))) == 11
    assert possible_objectives(gpus) == list(Objective)


@pytest.mark.parametrize(
    ("sampler", "names", "message"),
    [
        ("random", ["a"], "study.warm_start with sampler 'random', which cannot learn from the"),
        ("nsga2", ["a"], "study.warm_start with sampler 'nsga2', which cannot learn from the tri"),
        (
            "tpe",
            ["tiny"],
            "study.warm_start is ['tiny']; expected names of studies other than 'tiny'",
        ),
        ("gp", ["a", "a"], "study.warm_start is ['a', 'a']; expected names of studies"),
    ],
)
def test_a_warm_start_that_cannot_be(tables, sampler: str, names: list[str], message: str) -> None:
    changed = {"study.name": "tiny", "study.sampler": sampler, "study.warm_start": names}
    assert refusal(check_warm_start, tables(changed)).startswith(message)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"study.sampler": "grid", "space.target_learning_rate": [1e-5]},
            "study.priors with sampler 'grid', whose order is fixed",
        ),
        ({"space.mixture": "shares"}, "study.priors ranks options, and there are none"),
        ({"space.intermediate": ["none"]}, "study.priors ranks options, and there are none"),
    ],
)
def test_priors_that_cannot_be(tables, keys: dict[str, Any], message: str) -> None:
    assert refusal(check_priors, tables({**keys, "study.priors": True})).startswith(message)
    assert StudySettings.parse(tables({"study.priors": True})).study.priors


@pytest.mark.parametrize("sampler", ["gp", "nsga2"])
def test_samplers_that_are_not_for_shares(tables, sampler: str) -> None:
    """What only some trials have, as the shares, they would draw each for itself."""
    changed: dict[str, Any] = {"study.sampler": sampler}
    assert StudySettings.parse(tables(changed)).study.sampler == sampler
    assert refusal(check_sampler, tables({**changed, "space.mixture": "shares"})).startswith(
        f"study.sampler is '{sampler}', but space.mixture is 'shares'"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"evaluation.objectives": ["hours", "hours"]},
            "evaluation.objectives is hours, hours; expected each name once",
        ),
        (
            {"evaluation.objectives": ["zero_shot_mean", "hours"], "study.pruner": "median"},
            "study.pruner is 'median', but evaluation.objectives names zero_shot_mean, hours",
        ),
        (
            {"evaluation.objectives": ["zero_shot_mean", "gpu_hours"]},
            "evaluation.objectives names 'gpu_hours', but resources.gpus_per_worker is 0: these "
            "trials use no GPU; did you mean 'hours'? Or set gpus_per_worker",
        ),
        (
            {"evaluation.objectives": ["worst_language"], "evaluation.selection": "source_dev"},
            "evaluation.objectives names 'worst_language', but selection 'source_dev' allows no "
            "language of an objective target (coh, fact) that could measure it; possible here: "
            "source_score, hours",
        ),
        (
            {"evaluation.objectives": ["transfer_gap"], "evaluation.objective": ["retrieval"]},
            "evaluation.objectives names 'transfer_gap', but selection 'target_dev' allows no "
            "language of an objective target (retrieval) that could measure it; possible here: "
            "zero_shot_mean, worst_language, hours",
        ),
    ],
)
def test_objectives_that_cannot_be(tables, changes: dict[str, Any], message: str) -> None:
    assert refusal(check_objectives, tables(changes)).startswith(message)


def test_gpu_hours_are_an_objective_where_there_are_gpus(tables) -> None:
    changes = {"evaluation.objectives": ["gpu_hours"], "resources.gpus_per_worker": 1}
    result = StudySettings.parse(tables(changes))
    assert result.evaluation.objectives == (Objective.GPU_HOURS,)


def test_the_selection_rule_and_its_languages_belong_together(tables) -> None:
    pivots = {"evaluation.pivot_languages": ["de"]}
    assert "none for the other rules" in refusal(check_selection, tables(pivots))
    assert "expected languages there for pivot_dev" in refusal(
        check_selection, tables({"evaluation.selection": "pivot_dev"})
    )
    result = StudySettings.parse(tables({**pivots, "evaluation.selection": "pivot_dev"}))
    assert result.evaluation.pivot_languages == ("de",)


def test_a_rule_that_allows_no_language_is_refused(tables) -> None:
    message = refusal(
        check_languages,
        tables({"evaluation.selection": "source_dev", "evaluation.objective": ["retrieval"]}),
    )
    assert message.startswith("selection 'source_dev' allows no language")
    message = refusal(
        check_languages,
        tables(
            {
                "evaluation.selection": "pivot_dev",
                "evaluation.pivot_languages": ["de"],
                "evaluation.languages": ["ja"],
            }
        ),
    )
    assert message.startswith("selection 'pivot_dev' allows no language")


def test_a_target_without_a_zero_shot_language_is_refused(tables) -> None:
    message = refusal(check_languages, tables({"evaluation.languages": ["en"]}))
    assert "unknown language for target 'coh' in evaluation.languages 'en'" in message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"text": "mnli"}, "task 'mnli' is not a text task; expected one of text, flores"),
        ({"text": "floress"}, "Did you mean 'flores'"),
        ({"languages": ["xx"]}, "unknown language of 'flores' 'xx'"),
        (
            {"recipe": {"num_steps": 3, "batch_size": 8, "max_length": 128, "pooling": "first"}},
            "pretraining.recipe.pooling is set, but a new encoder is trained without a head",
        ),
        ({"num_heads": 3}, "pretraining.hidden_size is 32; expected a multiple of num_heads, 3"),
        (
            {"recipe": {"num_steps": 3, "batch_size": 8, "max_length": 32}},
            "training.intermediate.max_length is 64 tokens, but the encoder will have 32 positions",
        ),
    ],
)
def test_mistakes_in_pretraining(pretrained, keys: dict[str, Any], message: str) -> None:
    assert message in refusal(check_pretraining, pretrained(**keys))


def test_a_retrieval_layer_of_an_encoder_to_be_made(pretrained) -> None:
    content = pretrained()
    content["evaluation"] = {"retrieval_layer": 3}
    assert "retrieval_layer is 3, but the encoder will have 2 layers" in refusal(
        check_pretraining, content
    )


def test_an_encoder_and_its_making_belong_together(tables, pretrained) -> None:
    both = "sets encoder = 'pretrained' and has [pretraining]; other studies do neither"
    assert both in refusal(check_pretraining, tables({"study.encoder": "pretrained"}))
    assert both in refusal(
        check_pretraining, {**pretrained(), **tables({"study.encoder": "folder"})}
    )
