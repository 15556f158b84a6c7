"""TASKS: every task there is, one entry each. Sources: where training rows come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spaces.hub_tasks import INTERMEDIATE_TASKS, TEXT_TASKS, XTREME_TASKS
from spaces.pocket_tasks import POCKET_TASKS
from spaces.refusal import Refusal, unknown
from spaces.task import METRICS, SPLITS, Splits, Task, TaskKind

__all__ = [
    "METRICS",
    "SPLITS",
    "TASKS",
    "Source",
    "Splits",
    "Task",
    "TaskKind",
    "get_task",
    "text_task",
]


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where training rows come from: a task in a language, written `mnli` or `mnli@de`."""

    task: str
    language: str

    @classmethod
    def parse(cls, text: str) -> "Source":
        name, _, language = text.partition("@")
        task = get_task(name)
        if not task.trains:
            raise Refusal(f"task {name!r} is a {task.kind} task and has no training rows")
        if task.train_on:
            raise Refusal(f"task {name!r} has no training rows of its own: name {task.train_on!r}")
        language = language or task.source_language
        if language not in task.languages:
            raise unknown(f"language of task {name!r}", language, task.languages)
        return cls(name, language)

    def __str__(self) -> str:
        english = get_task(self.task).source_language == self.language
        return self.task if english else f"{self.task}@{self.language}"


TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (*POCKET_TASKS, *INTERMEDIATE_TASKS, *XTREME_TASKS, *TEXT_TASKS)}
)


def get_task(name: str) -> Task:
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]


def text_task(name: str) -> Task:
    """A task of plain text, to pretrain on or to mask beside other tasks."""
    if name in TASKS and TASKS[name].kind is not TaskKind.MLM:
        texts = [task.name for task in TASKS.values() if task.kind is TaskKind.MLM]
        raise Refusal(f"task {name!r} is no text task; those are {', '.join(texts)}")
    return get_task(name)
