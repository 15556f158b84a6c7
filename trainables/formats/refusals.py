"""Refusals that several kinds share: one line each, with what came, what was meant, how to mend."""

import difflib
from collections.abc import Sequence
from typing import Any

from spaces.tasks import Task
from trainables.formats.base import RowError

_MAX_NAMES = 8  # a supertagging task has over a thousand labels: a message shows a few


def refuse_other_type(example: Any, task: Task, expected: type[Any]) -> None:
    if not isinstance(example, expected):
        row = str(getattr(example, "id", "?"))
        raise RowError(
            task,
            row,
            f"a {type(example).__name__}, expected a {expected.__name__} as {task.kind} reads; "
            "mend the task's kind or what loads its rows",
        )


def refuse_empty(text: str, task: Task, row: str, *, field: str) -> None:
    if not text.strip():
        raise RowError(task, row, f"{field} is empty, expected text; drop the row when loading")


def refuse_unknown_label(label: str, task: Task, row: str, *, what: str) -> None:
    if label not in task.labels:
        raise RowError(
            task,
            row,
            f"{what} {label!r} is not one of {_some(task.labels)}.{_nearest(label, task.labels)} "
            "Mend the task's labels or map the row's when loading",
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown}, ... ({len(names)} in all)"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if not near:  # difflib sees case as difference: `O` for `o`, `Entailment`
        near = [one for one in known if one.lower() == name.lower()]
    return f" Did you mean {near[0]!r}?" if near else ""
