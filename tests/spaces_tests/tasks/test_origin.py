import dataclasses

from spaces.tasks.origin import Layout, Origin, Splits
from spaces.tasks.task import Task, TaskKind

ORIGIN = Origin(dataset="owner/name", languages=("zh",), config="tags.{name}", revision="r")
TASK = Task(
    name="tagged",
    kind=TaskKind.TAGGING,
    dataset="owner/other",
    languages=("en", "zh"),
    metric="f1",
    chance=0.0,
    num_train_rows=10,
    labels=("A", "B"),
    reader="udpos",
    elsewhere=(ORIGIN,),
)


def test_several_splits_are_read_as_one() -> None:
    splits = Splits(train="train_r1+train_r2", validation="dev", test=None)
    origin = dataclasses.replace(ORIGIN, splits=splits)
    assert origin.names_of("train") == ("train_r1", "train_r2")
    assert origin.names_of("validation") == ("dev",)
    assert origin.names_of("test") == ()
    task = dataclasses.replace(TASK, elsewhere=(origin,))
    assert task.hub_split("zh", "train") == "train_r1+train_r2"
    assert task.hub_split("zh", "test") is None


def test_a_language_may_have_its_rows_elsewhere() -> None:
    assert TASK.origin_of("zh").dataset == "owner/name"
    assert TASK.config_of("zh") == "tags.Chinese"
    assert TASK.origin_of("zh").reader == "udpos"  # the task's, where it names none
    assert TASK.origin_of("en").dataset == "owner/other"
    assert TASK.config_of("en") is None


def test_rows_of_ones_own_add_languages_and_come_first() -> None:
    mine = Origin(dataset="/rows", languages=("zh", "sw"), layout=Layout.ROWS)
    task = TASK.with_rows(mine)
    assert task.languages == ("en", "zh", "sw")
    assert task.origin_of("zh").dataset == task.origin_of("sw").dataset == "/rows"
    assert TASK.languages == ("en", "zh")


def test_a_config_by_language_where_no_pattern_gives_it() -> None:
    origin = dataclasses.replace(ORIGIN, config=None, configs=(("de", "deu_Latn"),))
    assert origin.config_of("de") == "deu_Latn"
    assert origin.config_of("zh") is None
    assert dataclasses.replace(origin, config="{code}").config_of("zh") == "zh"
