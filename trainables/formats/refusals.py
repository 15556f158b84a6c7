"""Checks of rows that several kinds share. Each raises RowError in one line: given, expected, how
to mend it."""

import unicodedata
from typing import Any

from spaces.refusal import shown, unknown
from spaces.tasks.task import Task
from trainables.formats.base import RowError


def refuse_other_type(example: Any, task: Task, expected: type[Any]) -> None:
    """Raises RowError for an example of another type."""
    if not isinstance(example, expected):
        raise RowError(
            task,
            str(getattr(example, "id", "?")),
            f"got a {type(example).__name__}, expected a {expected.__name__} for the kind "
            f"{task.kind}; correct the task's kind or its reader",
        )


def refuse_empty(text: str, task: Task, row: str, *, field: str) -> None:
    """Raises RowError for a field without text."""
    if not text.strip():
        raise RowError(task, row, f"{field} is empty, expected text; drop the row when loading")


def refuse_unknown_label(label: str, task: Task, row: str, *, field: str) -> None:
    """Raises RowError for a label that the task does not list."""
    if label not in task.labels:
        mend = f"Correct the task's labels, or map it: label_names = {{ {shown(label)} = LABEL }}"
        if _composed(label) in map(_composed, task.labels):
            mend = "The label differs only in its Unicode form (NFC or NFD); write both in one form"
        raise RowError(task, row, f"{unknown(field, label, task.labels)}. {mend}")


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
