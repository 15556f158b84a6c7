import dataclasses

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import MLQA_LANGUAGES, SPLITS, AnswerRules, Splits, Task, TaskKind

TASK = Task(
    name="tagged",
    kind=TaskKind.TAGGING,
    dataset="owner/name",
    config="tags.{name}",
    languages=("en", "zh", "kk"),
    metric="f1",
    chance=0.0,
    num_train_rows=10,
    labels=("A", "B"),
    single_split=("kk",),
)


def test_a_config_is_named_by_a_languages_fields() -> None:
    names = {
        "tags.{name}": "tags.Chinese",
        "tags.{code}": "tags.zh",
        "tags.{iso3}": "tags.cmn",
        "{flores}": "zho_Hans",
        "tags": "tags",
        None: None,
    }
    for pattern, name in names.items():
        assert dataclasses.replace(TASK, config=pattern).config_of("zh") == name


def test_both_halves_come_out_of_the_only_evaluation_split() -> None:
    assert [TASK.hub_split("zh", split) for split in SPLITS] == ["train", "validation", "test"]
    assert [TASK.hub_split("kk", split) for split in SPLITS] == ["train", "test", "test"]
    assert [TASK.is_cut("kk", split) for split in SPLITS] == [False, True, True]
    assert not any(TASK.is_cut("zh", split) for split in SPLITS)
    none = dataclasses.replace(TASK, splits=Splits(train=None))
    assert none.hub_split("en", "train") is None


def test_only_languages_of_the_task_have_a_single_split() -> None:
    with pytest.raises(Refusal, match="unknown language of 'tagged' 'de'"):
        dataclasses.replace(TASK, single_split=("de",))


def test_a_pair_without_an_order_is_a_pair() -> None:
    with pytest.raises(Refusal, match="is_symmetric needs the kind classification; got tag"):
        dataclasses.replace(TASK, is_symmetric=True)


@pytest.mark.parametrize("language", ["ru", "zh-Hant", "sv"])
def test_mlqas_rules_are_for_its_languages_alone(language: str) -> None:
    """Said when the task is made: a trial would learn of it after it has trained."""
    mlqa = SHIPPED.get("mlqa")
    assert mlqa.answer_rules is AnswerRules.MLQA
    assert set(mlqa.languages) == set(MLQA_LANGUAGES)
    more = (*mlqa.languages, language)
    dataclasses.replace(mlqa, languages=more, answer_rules=AnswerRules.SQUAD_V1)
    with pytest.raises(Refusal, match=rf"MLQA's rules.*, not for {language}; give"):
        dataclasses.replace(mlqa, languages=more)
