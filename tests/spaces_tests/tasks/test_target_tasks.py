import pytest

from spaces.languages import LANGUAGES
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.origin import Layout
from spaces.tasks.target_tasks import (
    OTHER_TARGETS,
    PANX_TRAIN,
    TYDIQA_TRAIN,
    UDPOS_TRAIN,
    XTREME_TASKS,
)
from spaces.tasks.task import AnswerRules, TaskKind

XTREME = {
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "pawsx": "de en es fr ja ko zh",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl "
    "tr ur vi yo zh",
    "panx": "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl "
    "pt ru sw ta te th tl tr ur vi yo zh",
    "xquad": "ar de el en es hi ru th tr vi zh",
    "mlqa": "ar de en es hi vi zh",
    "tydiqa": "ar bn en fi id ko ru sw te",
    "bucc": "de fr ru zh",
    "tatoeba": "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru "
    "sw ta te th tl tr ur vi zh",
}


def test_xtremes_targets_have_exactly_its_languages() -> None:
    assert {task.name: " ".join(task.languages) for task in XTREME_TASKS} == XTREME
    forty = {code for task in XTREME_TASKS for code in task.languages}
    assert len(forty) == 40


def test_targets_that_share_training_rows_train_on_one_task() -> None:
    result = {t.name: t.train_on.name for t in (*XTREME_TASKS, *OTHER_TARGETS) if t.train_on}
    assert result == {"xnli": "mnli", "xquad": "squad", "mlqa": "squad", "xcopa": "cosmosqa"}
    assert SHIPPED.get("xnli").labels == SHIPPED.get("mnli").labels


def test_whose_validation_rows_have_those_of_another_task() -> None:
    """They are cut in the same halves, so that no half of one has test rows of the other."""
    result = {task.name: task.holds for task in SHIPPED if task.holds}
    assert result == {"squad": ("squad2", "xquad"), "squad2": ("squad", "xquad")}
    assert all(SHIPPED.get(name).is_cut("en", "validation") for name in (*result, "xquad"))


def test_the_order_of_a_paraphrase_says_nothing() -> None:
    assert {task.name for task in SHIPPED if task.is_symmetric} == {"qqp", "pawsx"}


def test_pairs_of_bucc_are_retrieved_under_another_name_than_mined() -> None:
    mined, pairs = SHIPPED.get("bucc"), SHIPPED.get("buccpairs")
    assert (mined.metric, pairs.metric) == ("f1", "accuracy")
    assert mined.layout is Layout.BUCC
    assert [mined.hub_split("de", split) for split in ("validation", "test")] == [
        "sample",
        "training",
    ]
    assert pairs.config_of("zh") == "bucc18.zh"


def test_only_mlqa_is_scored_by_its_own_rules() -> None:
    spans = [task for task in SHIPPED if task.kind is TaskKind.SPAN]
    rules = {task.name: task.answer_rules for task in spans}
    assert rules.pop("mlqa") is AnswerRules.MLQA
    assert rules.pop("squad2") is AnswerRules.SQUAD_V2
    assert set(rules.values()) == {AnswerRules.SQUAD_V1}


def test_a_language_with_fewer_rows_has_its_own_count() -> None:
    assert SHIPPED.get("panx").num_rows_in("jv") == 100
    assert SHIPPED.get("panx").num_rows_in("de") == 20_000
    assert SHIPPED.get("tydiqa").num_rows_in("ar") == 14_805
    assert SHIPPED.get("tydiqa").num_train_rows + sum(TYDIQA_TRAIN.values()) == 49_881
    assert set(UDPOS_TRAIN) == set(SHIPPED.get("udpos").languages) - {"en", "th", "tl", "yo"}
    assert set(PANX_TRAIN) <= set(SHIPPED.get("panx").languages)


@pytest.mark.parametrize("name", ["xnli", "xcopa"])
def test_every_language_has_its_own_config(name: str) -> None:
    task = SHIPPED.get(name)
    assert [task.config_of(code) for code in task.languages] == list(task.languages)
    assert set(task.languages) <= set(LANGUAGES)
