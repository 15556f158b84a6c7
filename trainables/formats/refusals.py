"""Refusals that several kinds share: one line each, with what came, what was meant, how to mend."""

from typing import Any

from spaces.refusal import unknown
from spaces.task_catalog import Task
from trainables.formats.base import RowError


def refuse_other_type(example: Any, task: Task, expected: type[Any]) -> None:
    if not isinstance(example, expected):
        raise RowError(
            task,
            str(getattr(example, "id", "?")),
            f"a {type(example).__name__}, expected a {expected.__name__} as {task.kind} reads; "
            "mend the task's kind or what loads its rows",
        )


def refuse_empty(text: str, task: Task, row: str, *, field: str) -> None:
    if not text.strip():
        raise RowError(task, row, f"{field} is empty, expected text; drop the row when loading")


def refuse_unknown_label(label: str, task: Task, row: str, *, what: str) -> None:
    if label not in task.labels:
        mend = "Mend the task's labels, or map the row's when loading"
        raise RowError(task, row, f"{unknown(what, label, task.labels)}. {mend}")
