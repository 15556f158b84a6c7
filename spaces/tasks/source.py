"""Source: a task and a language that training rows come from."""

from dataclasses import dataclass

from spaces.languages import get_language
from spaces.refusal import Refusal, unknown
from spaces.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Source:
    """A task and a language that training rows come from. Raises Refusal for a task without
    training rows of its own, or a language that it does not have."""

    task: Task
    language: str

    def __post_init__(self) -> None:
        task = self.task
        if not task.trains:
            raise Refusal(f"task {task.name!r} is a {task.kind} task and has no training rows")
        if task.train_on is not None:
            raise Refusal(
                f"task {task.name!r} has no training rows of its own; use {task.train_on.name!r}"
            )
        if self.language not in task.languages:
            get_language(self.language)
            raise unknown(f"language of task {task.name!r}", self.language, task.languages)

    def __lt__(self, other: "Source") -> bool:
        """By name of the task, then by language."""
        return (self.task.name, self.language) < (other.task.name, other.language)

    def __str__(self) -> str:
        """The short form: `mnli` in the source language of the task, else `mnli@de`."""
        is_source_language = self.task.source_language == self.language
        return self.task.name if is_source_language else self.full_name

    @property
    def full_name(self) -> str:
        """The form that names the language always, as stored plans have it: `mnli@en`."""
        return f"{self.task.name}@{self.language}"
