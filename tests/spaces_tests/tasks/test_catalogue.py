import dataclasses
import re

import pytest
from torch import nn

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import METRICS, Task, TaskKind

TASK = Task(
    name="pairs",
    kind=TaskKind.CLASSIFICATION,
    dataset="none",
    languages=("en", "de"),
    metric="accuracy",
    chance=1 / 2,
    num_train_rows=10,
    labels=("no", "yes"),
)


@pytest.mark.parametrize("name", [task.name for task in SHIPPED])
def test_every_entry_of_the_table_is_whole(name: str) -> None:
    task = SHIPPED.get(name)
    assert task.name == name
    assert task.metric in METRICS[task.kind]
    assert 0 <= task.chance < 1
    assert len(set(task.languages)) == len(task.languages)
    assert task.source_language not in task.zero_shot_languages
    assert task.trains == (task.num_train_rows > 0)
    trained = task.training_task
    assert trained.kind is task.kind
    assert trained.labels == task.labels
    if task.kind is TaskKind.CLASSIFICATION:
        assert task.chance >= 1 / len(task.labels)


@pytest.mark.parametrize("name", [task.name for task in SHIPPED])
def test_every_name_can_name_a_head_a_file_and_a_parameter(name: str) -> None:
    assert re.fullmatch("[a-z][a-z0-9_-]*", name)
    assert name not in ("none", "all", "mixture")
    nn.ModuleDict({name: nn.Identity()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a.b"}, "task name 'a.b'"),
        ({"name": "../x"}, "task name '../x'"),
        ({"name": "a+b"}, "task name 'a+b'"),
        ({"metric": "f1"}, "unknown metric of 'pairs' 'f1'"),
        ({"languages": ("en", "xx")}, "unknown language 'xx'"),
        ({"single_split": ("en", "fr")}, "unknown language of 'pairs' 'fr'"),
        ({"source_language": "fr"}, "unknown source language of 'pairs' 'fr'"),
        ({"labels": ()}, "labels () do not fit the kind classification"),
        ({"labels": ("a", "a")}, "do not fit"),
        ({"kind": TaskKind.CHOICE}, "do not fit the kind choice"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(change: dict, message: str) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        dataclasses.replace(TASK, **change)


def test_retrieval_trains_nothing_and_may_lack_its_source_language() -> None:
    task = dataclasses.replace(
        TASK, kind=TaskKind.RETRIEVAL, labels=(), languages=("de",), num_train_rows=0
    )
    assert not task.trains
    assert task.zero_shot_languages == ("de",)
