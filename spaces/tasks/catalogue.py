"""TASKS: the catalogue of all tasks. Source: a task and a language that training rows come from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spaces.languages import get_language
from spaces.refusal import Refusal, unknown
from spaces.tasks.hub_tasks import INTERMEDIATE_TASKS, TEXT_TASKS
from spaces.tasks.origin import Layout, Origin, Splits
from spaces.tasks.own_tasks import OWN_ROWS, OWN_TASKS
from spaces.tasks.pocket_tasks import POCKET_TASKS
from spaces.tasks.target_tasks import OTHER_TARGETS, XTREME_TASKS
from spaces.tasks.task import METRICS, SPLITS, AnswerRules, Task, TaskKind

__all__ = [
    "METRICS",
    "SPLITS",
    "TASKS",
    "AnswerRules",
    "Layout",
    "Origin",
    "Source",
    "Splits",
    "Task",
    "TaskKind",
    "get_task",
    "text_task",
]


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A task and a language that training rows come from, written `mnli` or `mnli@de`."""

    task: str
    language: str

    @classmethod
    def parse(cls, text: str) -> "Source":
        """The source written as `text`. Raises Refusal for a task without training rows or an
        unknown language."""
        name, _, language = text.partition("@")
        task = get_task(name)
        if not task.trains:
            raise Refusal(f"task {name!r} is a {task.kind} task and has no training rows")
        if task.train_on:
            raise Refusal(f"task {name!r} has no training rows of its own; use {task.train_on!r}")
        language = language or task.source_language
        if language not in task.languages:
            get_language(language)
            raise unknown(f"language of task {name!r}", language, task.languages)
        return cls(name, language)

    def __str__(self) -> str:
        """The short form: `mnli` in the source language of the task, else `mnli@de`."""
        is_source_language = get_task(self.task).source_language == self.language
        return self.task if is_source_language else f"{self.task}@{self.language}"


def tabulate(tasks: Iterable[Task], own_rows: Mapping[str, Origin]) -> Mapping[str, Task]:
    """The catalogue by task name; `own_rows` adds rows to its tasks. Raises Refusal for a name that
    is used twice or unknown."""
    table: dict[str, Task] = {}
    for task in tasks:
        if task.name in table:
            raise Refusal(f"task {task.name!r} is defined twice; give one of the two another name")
        table[task.name] = task
    for name, origin in own_rows.items():
        if name not in table:
            raise unknown("task in OWN_ROWS", name, table)
        table[name] = table[name].with_rows(origin)
    return MappingProxyType(table)


TASKS: Mapping[str, Task] = tabulate(
    (
        *POCKET_TASKS,
        *INTERMEDIATE_TASKS,
        *XTREME_TASKS,
        *OTHER_TARGETS,
        *TEXT_TASKS,
        *OWN_TASKS,
    ),
    OWN_ROWS,
)


def get_task(name: str) -> Task:
    """The task of this name. Raises Refusal for an unknown name."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]


def text_task(name: str) -> Task:
    """The task of plain text with this name, to pretrain on or to mask beside other tasks. Raises
    Refusal for an unknown name or another kind."""
    if name in TASKS and TASKS[name].kind is not TaskKind.MLM:
        texts = [task.name for task in TASKS.values() if task.kind is TaskKind.MLM]
        raise Refusal(f"task {name!r} is not a text task; expected one of {', '.join(texts)}")
    return get_task(name)
