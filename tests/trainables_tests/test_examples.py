import dataclasses
import typing

import pytest

from spaces.tasks.task import TaskKind
from trainables import examples
from trainables.examples import PairExample
from trainables.formats.kinds import format_of_kind


@pytest.mark.parametrize("kind", TaskKind)
def test_every_kind_reads_one_form_of_row(kind: TaskKind) -> None:
    assert format_of_kind(kind).example_type in typing.get_args(examples.Example)


@pytest.mark.parametrize("task_format", typing.get_args(examples.Example))
def test_rows_are_frozen_and_have_an_id(task_format: type) -> None:
    assert "id" in {field.name for field in dataclasses.fields(task_format)}
    assert task_format.__dataclass_params__.frozen


def test_a_row_does_not_change() -> None:
    row = PairExample(id="1", text_a="a", text_b=None, label="x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.label = "y"  # type: ignore[misc]
