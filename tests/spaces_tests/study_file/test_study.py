import json
import os
from copy import deepcopy
from dataclasses import fields
from datetime import date, datetime, time
from math import inf, nan
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spaces.phases import Pooling, Recipe
from spaces.refusal import Refusal
from spaces.study_file.sections import (
    BudgetSection,
    EvaluationSection,
    LoraSection,
    MlmSection,
    PretrainingSection,
    ResourcesSection,
    SelectionRule,
    SpaceSection,
    StudySection,
    TrackingSection,
    TrainingSection,
)
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import parse_text, read_text, shipped_studies
from spaces.tasks.catalogue import SHIPPED

MINIMAL = """
[study]
name = "tiny"
encoder = "folder"
seed = 0

[space]
intermediate = ["none", "fact"]
intermediate_learning_rate = [1e-5]
target_learning_rate = { low = 1e-6, high = 1e-4 }
targets = ["coh"]

[training.intermediate]
num_steps = 4
batch_size = 2
max_length = 64

[training.target]
num_steps = 4
batch_size = 2
max_length = 64

[budget]
num_trials = 2
"""


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(Refusal) as refused:
        StudySettings.parse(content, file="my.toml")
    message = str(refused.value)
    assert message.startswith("my.toml: ")
    assert "\n" not in message
    assert "Value error" not in message
    return message.removeprefix("my.toml: ")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(MINIMAL)
    result = StudySettings.load(path)
    assert result.study.name == "tiny"
    assert result.evaluation.selection is SelectionRule.TARGET_DEV
    assert result.search_space().seeds == (0,)
    assert StudySettings.load(str(path)) == result


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_makes_a_space(name: str) -> None:
    result = StudySettings.load(name)
    space = result.search_space()
    assert all(space.decode(point) for point in space.first_points())
    assert result.budget.num_trials >= len(space.first_points())


def test_settings_survive_json(tables) -> None:
    result = StudySettings.parse(
        tables(
            {
                "space.target_learning_rate": {"low": 1e-6, "high": 1e-4},
                "evaluation.selection": "pivot_dev",
                "evaluation.pivot_languages": ["de"],
                "training.targets.coh": {"num_steps": 7},
                "budget.max_hours": 2,
            }
        )
    )
    again = StudySettings.parse(json.loads(result.model_dump_json()))
    assert again == result
    assert again.digest() == result.digest()
    assert again.search_space() == result.search_space()


def test_a_targets_table_says_what_differs(tables) -> None:
    result = StudySettings.parse(tables({"training.targets.coh": {"num_steps": 7}}))
    recipes = {task.name: recipe for task, recipe in result.search_space().targets}
    assert (recipes["coh"].num_steps, recipes["fact"].num_steps) == (7, 40)
    assert recipes["coh"].batch_size == recipes["fact"].batch_size


def test_every_length_is_named_by_its_key(tables) -> None:
    changes = {"training.targets.coh": {"max_length": 24}, "evaluation.retrieval_max_length": 48}
    settings = StudySettings.parse(tables(changes))
    assert {t.name: settings.max_length_of(t) for t in settings.targets} == {
        "coh": 24,
        "fact": 64,
        "retrieval": 48,
    }
    assert settings.lengths() == {
        "training.intermediate.max_length": 64,
        "training.targets.coh.max_length": 24,
        "training.target.max_length": 64,
        "evaluation.retrieval_max_length": 48,
    }


def test_whole_numbers_serve_as_numbers(tables) -> None:
    ints = StudySettings.parse(tables({"space.temperature": 2, "training.target.weight_decay": 0}))
    floats = StudySettings.parse(
        tables({"space.temperature": 2.0, "training.target.weight_decay": 0.0})
    )
    assert ints.digest() == floats.digest()
    recipe = ints.search_space().targets[0][1]
    assert json.dumps(recipe.weight_decay) == "0.0"  # or its phases would get keys of their own


def poolings(settings: StudySettings) -> set[Pooling]:
    training = settings.training
    singles = (*training.intermediates.values(), *training.targets.values())
    return {recipe.pooling for recipe in (training.intermediate, training.target, *singles)}


def test_the_encoder_decides_what_heads_read(tables, pretrained) -> None:
    single = {"training.targets.coh": {"num_steps": 7}}
    assert poolings(StudySettings.parse(tables(single))) == {Pooling.FIRST}
    for content in (tables({"study.encoder": "pocket"}), pretrained()):
        content["training"]["targets"] = {"coh": {"num_steps": 7}}
        assert poolings(StudySettings.parse(content)) == {Pooling.MEAN}
        content["training"]["target"]["pooling"] = "first"
        assert StudySettings.parse(content).training.targets["coh"].pooling is Pooling.FIRST
    own = tables({"training.targets.coh": {"pooling": "mean"}})
    assert StudySettings.parse(own).training.targets["coh"].pooling is Pooling.MEAN
    assert StudySettings.parse(own).training.target.pooling is Pooling.FIRST


def test_a_record_without_pooling_means_the_mean(tables) -> None:
    recorded = StudySettings.parse(tables(), is_recorded=True)
    assert poolings(recorded) == {Pooling.MEAN}
    mean = {f"training.{role}.pooling": "mean" for role in ("intermediate", "target")}
    assert StudySettings.parse(tables(mean)) == recorded
    assert StudySettings.parse(tables(mean)).digest() == recorded.digest()
    new = StudySettings.parse(tables())
    assert new.digest() != recorded.digest()
    assert StudySettings.parse(json.loads(new.model_dump_json()), is_recorded=True) == new


def test_an_unknown_pooling(tables) -> None:
    with pytest.raises(Refusal, match=r"training\.target\.pooling.*'frist'.*first"):
        StudySettings.parse(tables({"training.target.pooling": "frist"}))


def test_the_digest_is_of_what_decides_results(tables) -> None:
    digest = StudySettings.parse(tables()).digest()
    for same in ({"budget.num_trials": 9}, {"resources.num_workers": 2}, {"tracking.keep_best": 1}):
        assert StudySettings.parse(tables(same)).digest() == digest
    assert StudySettings.parse(tables({"resources.phase_store": "s3://x-y"})).digest() == digest
    for other in ({"study.seed": 1}, {"space.cap": 5}, {"evaluation.max_rows": 5}):
        assert StudySettings.parse(tables(other)).digest() != digest


def test_a_key_at_its_default_changes_no_digest(tables) -> None:
    """So that a study goes on after the program learned a new key."""
    digest = StudySettings.parse(tables()).digest()
    recorded = StudySettings.parse(tables(), is_recorded=True)
    assert recorded.digest() == "a7f49407f60dcae6"
    assert StudySettings.parse(tables({"evaluation.halves": True})).digest() == digest
    assert StudySettings.parse(tables({"study.priors": False})).digest() == digest
    assert StudySettings.parse(tables({"evaluation.halves": False})).digest() != digest


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("resources.phase_store", "/shared", "resources.phase_store is '/shared'; expected s3://"),
        ("bugdet", {}, "unknown section 'bugdet'. Did you mean 'budget'?"),
        ("study.sed", 0, "unknown key in [study] 'sed'. Did you mean 'seed'?"),
        (
            "training.intermediate.num_step",
            3,
            "unknown key in [training.intermediate] 'num_step'. Did you mean 'num_steps'?",
        ),
        (
            "training.targets.coh",
            {"batchsize": 3},
            "unknown key in [training.targets.coh] 'batchsize'. Did you mean 'batch_size'?",
        ),
        (
            "space.target_learning_rate",
            {"low": 1e-6, "hihg": 1e-4, "high": 1e-4},
            "unknown key in [space.target_learning_rate] 'hihg'. Did you mean 'high'? "
            "Known: high, low",
        ),
        ("training.targets.cohh", {}, "unknown task 'cohh'. Did you mean 'coh'?"),
        ("training.targets.rel", {}, "unknown target of the study 'rel'"),
        ("space.targets", ["cho"], "unknown task 'cho'. Did you mean 'coh'?"),
        ("space.intermediate", ["fact@xx"], "unknown language 'xx'"),
        ("evaluation.languages", ["xx"], "unknown language 'xx'"),
        ("evaluation.objective", ["rel"], "unknown target of the study 'rel'"),
        ("space.points", [{"intermediat": "fact"}], "point 1: the parameters"),
        (
            "space.points",
            [{"intermediate": "none", "target.learning_rate": 1e-3, "x": 1}],
            "point 1: unknown parameter of intermediate 'none' 'x'",
        ),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_one(tables, key, value, message: str) -> None:
    assert message in refusal(tables({key: value}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("budget", None, "budget is missing"),
        ("training.target.num_steps", None, "training.target.num_steps is missing"),
        ("study.seed", None, "study.seed is missing"),
        ("study", 3, "study is 3; expected a table"),
        ("training.target", [], "training.target is []; expected a table"),
        ("training.targets.coh", 1, "training.targets.coh is 1; expected a table"),
        ("study.seed", 1.5, "study.seed is 1.5; expected a whole number"),
        ("study.seed", -1, "study.seed is -1; expected 0 or more"),
        ("study.encoder", 3, "study.encoder is 3; expected text in quotes"),
        (
            "study.sampler",
            "tp",
            "study.sampler is 'tp'; expected 'tpe', 'random', 'grid', 'gp' or 'nsga2'",
        ),
        ("budget.num_trials", 0, "budget.num_trials is 0; expected a number above 0"),
        ("budget.num_trials", True, "budget.num_trials is True; expected a whole number"),
        ("budget.num_trials", "4", "budget.num_trials is '4'; expected a whole number"),
        ("budget.max_hours", float("inf"), "budget.max_hours is inf; expected a finite number"),
        (
            "budget.max_gpu_hours",
            3,
            "budget.max_gpu_hours is 3, but resources.gpus_per_worker is 0: these trials use no "
            "GPU; set max_hours instead, or gpus_per_worker",
        ),
        ("space.temperature", 0, "space.temperature is 0; expected a number above 0"),
        ("space.temperature", float("nan"), "space.temperature is nan; expected a finite number"),
        ("space.intermediate", "fact", "space.intermediate is 'fact'; expected a list"),
        ("space.intermediate", [], "space.intermediate is []; expected at least one entry"),
        ("space.intermediate", ["fact", 2], "space.intermediate.1 is 2; expected text in quotes"),
        (
            "training.target.num_steps",
            "4",
            "training.target.num_steps is '4'; expected a whole number",
        ),
        (
            "training.target.max_length",
            4,
            "training.target: max_length must be 8 tokens or more; got 4",
        ),
        (
            "training.targets.coh",
            {"patience": 2},
            "training.targets.coh: patience counts evaluations",
        ),
        (
            "evaluation.selection",
            "dev",
            "evaluation.selection is 'dev'; expected 'target_dev', 'source_dev' or 'pivot_dev'",
        ),
        (
            "space.points",
            [{"intermediate": [1]}],
            "space.points.0.intermediate is [1]; expected text in quotes or a number",
        ),
        ("space.points", {"intermediate": "none"}, "space.points is a table; expected a list"),
        (
            "space.intermediate",
            ["x" * 500, 3],
            "space.intermediate.1 is 3; expected text in quotes",
        ),
        (
            "evaluation.objectives",
            ["zero_shot_meen"],
            "evaluation.objectives.0 is 'zero_shot_meen'; expected 'zero_shot_mean', "
            "'worst_language', 'transfer_gap', 'source_score', 'hours' or 'gpu_hours'",
        ),
        ("evaluation.max_drop", -0.1, "evaluation.max_drop is -0.1; expected 0 or more"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(tables, key, value, message: str) -> None:
    assert refusal(tables({key: value})).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1e-5, " is 1e-05; expected a list of learning rates, or a table with low and high"),
        ("1e-5", " is '1e-5'; expected a list of learning rates, or a table with low and high"),
        ([], " is []; expected at least one entry"),
        (["1e-5"], ".0 is '1e-5'; expected a number"),
        ([1e-5, 1], ".1 is 1; expected a number below 1"),
        ([0], ".0 is 0; expected a number above 0"),
        ({"low": 1e-5}, ".high is missing"),
        ({"low": "a", "high": 1e-5}, ".low is 'a'; expected a number"),
        ({"low": 1e-5, "high": 2}, ".high is 2; expected a number below 1"),
    ],
)
def test_learning_rates_are_a_list_or_a_range(tables, value, message: str) -> None:
    for key in ("space.intermediate_learning_rate", "space.target_learning_rate"):
        assert refusal(tables({key: value})) == key + message


def test_objectives_are_part_of_what_a_study_is(tables) -> None:
    digests = [
        StudySettings.parse(tables({"evaluation.objectives": names})).digest()
        for names in ([], ["worst_language"], ["zero_shot_mean", "hours"])
    ]
    dropped = StudySettings.parse(tables({"evaluation.max_drop": 0.01})).digest()
    assert len({*digests, dropped}) == 4
    assert digests[0] == StudySettings.parse(tables()).digest()


def test_a_range_upside_down_and_a_grid_with_twins_are_refused(tables) -> None:
    key = "space.target_learning_rate"
    assert "needs 0 < low < high < 1" in refusal(tables({key: {"low": 1e-4, "high": 1e-5}}))
    assert "lists 1e-05 more than once" in refusal(tables({key: [1e-5, 1e-5]}))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "a b", "x\n", "x" * 65, "%(x)s", "é"])
def test_a_hostile_name_is_refused(tables, name: str) -> None:
    assert "study.name is" in refusal(tables({"study.name": name}))


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ({}, {"coh": ["de", "es"], "retrieval": ["de", "es"]}),
        ({"selection": "source_dev"}, {"coh": ["en"], "retrieval": []}),
        (
            {"selection": "pivot_dev", "pivot_languages": ["es"]},
            {"coh": ["es"], "retrieval": ["es"]},
        ),
    ],
)
def test_the_languages_of_a_target_that_may_choose(
    tables, evaluation: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    wanted = {"languages": ["de", "es"], **evaluation}
    settings = StudySettings.parse(tables({"evaluation": wanted}))
    assert {task: settings.selecting_languages(SHIPPED.get(task)) for task in expected} == expected


def test_languages_are_those_asked_for_and_the_source(tables) -> None:
    result = StudySettings.parse(tables({"evaluation.languages": ["sw", "ja"]}))
    assert result.languages_of(SHIPPED.get("coh")) == ("en", "ja", "sw")
    assert result.languages_of(SHIPPED.get("retrieval")) == ("ja", "sw")
    assert len(StudySettings.parse(tables()).languages_of(SHIPPED.get("coh"))) == 12


def test_retrieval_enters_the_objective_by_name_alone(tables) -> None:
    assert StudySettings.parse(tables()).objective_targets == ("coh", "fact")
    named = tables({"evaluation.objective": ["retrieval", "coh"]})
    assert StudySettings.parse(named).objective_targets == ("retrieval", "coh")
    alone = StudySettings.parse(tables({"space.targets": ["retrieval"]}))
    assert alone.objective_targets == ("retrieval",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[study\nname = 1", "it is not TOML (Expected"),
        (b"[study]\nname = \xff", "it is not UTF-8 (invalid start byte at byte 15)"),
        (b"a = 1\na = 2\n", "(at line 2, column 6)"),
        (b"a = " + b"[" * 100_000, "it is not TOML that can be read"),
        (b"a = " + b"9" * 5000, "cannot be read"),
        (b"a = 1 # " + b"x" * 10_000_000, "it has more than 1,000,000 bytes"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content, message: str) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refusal) as refused:
        StudySettings.load(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "name of a shipped study" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b"\xef\xbb\xbf[study]\nname = 'mine'\n")
    assert parse_text(read_text(str(path)), str(path)) == {"study": {"name": "mine"}}


def test_a_folder_is_no_study_file(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="Is a directory"):
        StudySettings.load(tmp_path)


def test_devices_pipes_and_endless_names_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    with patch("spaces.files.WAIT_SECONDS", 0.01):
        for path, message in (
            ("/dev/zero", "it has more than 1,000,000 bytes"),
            (str(pipe), "nothing was written into it"),
            ("/dev/null", "study is missing"),
            ("/dev/no\0such", "embedded null byte"),
            ("x" * 5000 + ".toml", "File name too long"),
            ("x/" * 5000, "File name too long"),
            ("x" * 5000, "unknown study"),
        ):
            with pytest.raises(Refusal) as refused:
                StudySettings.load(path)
            assert message in str(refused.value)
            assert "\n" not in str(refused.value)
            assert len(str(refused.value)) < 3100


def test_an_unknown_shipped_name_is_refused() -> None:
    with pytest.raises(Refusal, match="unknown study 'nosuch'"):
        StudySettings.load("nosuch")


def keys_of(kind: Any) -> list[str]:
    return (
        list(kind.model_fields) if hasattr(kind, "model_fields") else [f.name for f in fields(kind)]
    )


def every_key() -> list[str]:
    """Every key of a study file, and every table."""
    sections = {
        "study": StudySection,
        "space": SpaceSection,
        "space.mlm": MlmSection,
        "space.lora": LoraSection,
        "pretraining": PretrainingSection,
        "pretraining.recipe": Recipe,
        "training": TrainingSection,
        "training.intermediate": Recipe,
        "training.intermediates.fact": Recipe,
        "training.target": Recipe,
        "training.targets.coh": Recipe,
        "evaluation": EvaluationSection,
        "resources": ResourcesSection,
        "tracking": TrackingSection,
        "budget": BudgetSection,
    }
    keys = [f"{name}.{key}" for name, kind in sections.items() for key in keys_of(kind)]
    return sorted({*sections, *keys, "nosuch", "study.nosuch"})


WORDS = st.sampled_from(
    [
        *(
            "",
            " ",
            "no",
            "null",
            "fact",
            "rel+fact",
            "fact+fact",
            "fact@",
            "fact@de",
            "all",
            "none",
        ),
        *("+", "de", "deu", "zh-Hant", "German", "coh", "hours", "proportional", "target", "../x"),
        *("/", "s3://", "s3://b/p", "http://[", "sqlite:///", "pocket", "pretrained"),
        *("x" * 5000, "a\nb"),
    ]
)
NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 8, 2**32 - 1, 2**32, 2**64, 10**400, 0.5, 1e-3, 1e-320, 1e308, inf, nan, -0.0]
)
scalars = (
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS | NUMBERS
) | st.sampled_from([date(2020, 2, 1), datetime(2020, 2, 1, 3, 4), time(5, 6)])
# What TOML can say: no null.
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | scalars.map(lambda value: [value, value])
        | st.dictionaries(
            st.sampled_from(["low", "high", "num_steps"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=5,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=600, deadline=None
)
@given(st.sampled_from(every_key()), values, st.booleans())
def test_whatever_stands_there_is_taken_or_refused_in_a_line(
    pretrained, key: str, value: Any, has_all: bool
) -> None:
    content = deepcopy(pretrained())  # the fixture's tables are shared
    content = content if has_all else pretrained_less(content)
    *path, last = key.split(".")
    table = content
    for part in path:
        table = table.setdefault(part, {})
    table[last] = value
    reported = ""
    try:
        taken = StudySettings.parse(content)
        taken.search_space().first_points()
        assert StudySettings.parse(json.loads(taken.model_dump_json())) == taken
    except Refusal as refused:
        reported = str(refused)
    assert "\n" not in reported
    assert len(reported) < 3100
    assert "Input should" not in reported


def pretrained_less(content: dict[str, Any]) -> dict[str, Any]:
    """The tables of a study on an encoder that exists, with masking and adapters."""
    del content["pretraining"]
    content["study"]["encoder"] = "folder"
    content["space"] |= {"mlm": {"text": "flores"}, "lora": {"ranks": [4]}}
    return content


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("study.name", date(2020, 2, 1), "study.name is the date or time 2020-02-01"),
        ("study.seed", 2**32, "study.seed is too large a number"),
        ("study.encoder", " ", "study.encoder is ' ', a blank text"),
        ("study.encoder", "x" * 1001, "study.encoder has 1,001 characters"),
        ("study.revision", "a\x1bb", "a control character"),
        ("space.num_baselines", 1001, "space.num_baselines is 1001; expected 1000 or less"),
        ("study.priors", "yes", "study.priors is 'yes'; expected true or false"),
        ("space.points", [[[[]]]], "space.points.0 is [[[]]]; expected a table"),
    ],
)
def test_what_no_key_takes(tables, key: str, value: Any, message: str) -> None:
    assert message in refusal(tables({key: value}))


def test_tables_that_are_nested_too_deeply(tables) -> None:
    for depth in (150, 250, 900, 5000):
        deep: Any = []
        for _ in range(depth):
            deep = [deep]
        assert len(refusal(tables({"space.points": deep}))) < 400


def test_where_rows_are_read_decides_no_result(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(MINIMAL)
    by_hub = StudySettings.load(path)
    assert by_hub.study.data_root is None
    path.write_text(MINIMAL.replace("[study]", '[study]\ndata_root = "rows"'))
    by_root = StudySettings.load(path)
    assert by_root.study.data_root == str(tmp_path.resolve() / "rows")
    assert by_root.digest() == by_hub.digest()
    assert by_hub.with_data_root(tmp_path / "rows") == by_root
    assert by_root.with_data_root(None) == by_root


def test_where_the_encoder_lies_decides_no_result(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(MINIMAL)
    by_name = StudySettings.load(path)
    path.write_text(MINIMAL.replace("[study]", '[study]\nencoder_folder = "mine"'))
    by_folder = StudySettings.load(path)
    assert by_folder.study.encoder_folder == str(tmp_path.resolve() / "mine")
    assert by_folder.study.encoder == by_name.study.encoder
    assert by_folder.digest() == by_name.digest()
    assert by_name.with_encoder(tmp_path / "mine") == by_folder
    assert by_folder.with_encoder(None) == by_folder


def test_a_study_may_make_its_encoder(pretrained) -> None:
    result = StudySettings.parse(pretrained())
    assert result.pretraining is not None
    assert result.pretraining.recipe.num_steps == 3
    other = StudySettings.parse(pretrained(seed=1))
    assert other.digest() != result.digest()
    assert StudySettings.parse(json.loads(result.model_dump_json())) == result


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"recipe": {"num_step": 3}}, "unknown key in [pretraining.recipe] 'num_step'"),
        ({"pairshare": 0.5}, "Did you mean 'pair_share'"),
    ],
)
def test_keys_of_pretraining_are_known_ones(pretrained, keys: dict[str, Any], message: str) -> None:
    assert message in refusal(pretrained(**keys))
