"""Catalogue: the tasks that a study may name. `SHIPPED` has those of this package."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from spaces.refusal import Refusal, unknown
from spaces.tasks.hub_tasks import INTERMEDIATE_TASKS, TEXT_TASKS
from spaces.tasks.origin import Origin
from spaces.tasks.pocket_tasks import POCKET_TASKS
from spaces.tasks.source import Source
from spaces.tasks.target_tasks import OTHER_TARGETS, XTREME_TASKS
from spaces.tasks.task import Task, TaskKind


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Tasks by name, in order: a value that a study carries. Raises Refusal for a name that two
    tasks have.

    Tasks that refer to other tasks (`train_on`, `parts`) refer to those of the same catalogue.
    """

    tasks: tuple[Task, ...] = field(repr=False)
    _by_name: Mapping[str, Task] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        given: dict[str, Task] = {}
        for task in self.tasks:
            if task.name in given:
                raise Refusal(
                    f"task {task.name!r} is defined twice; give one of the two another name"
                )
            given[task.name] = task
        linked = {name: _linked(task, given) for name, task in given.items()}
        object.__setattr__(self, "tasks", tuple(linked.values()))
        object.__setattr__(self, "_by_name", linked)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Task:
        """The task of this name. Raises Refusal for an unknown name."""
        if name not in self._by_name:
            raise unknown("task", name, self._by_name)
        return self._by_name[name]

    def text_task(self, name: str) -> Task:
        """The task of plain text with this name, to pretrain on or to mask beside other tasks.
        Raises Refusal for an unknown name or another kind."""
        task = self.get(name)
        if task.kind is not TaskKind.MLM:
            texts = [other.name for other in self if other.kind is TaskKind.MLM]
            raise Refusal(f"task {name!r} is not a text task; expected one of {', '.join(texts)}")
        return task

    def source(self, text: str) -> Source:
        """The source written as `text`: `mnli` or `mnli@de`. Raises Refusal for an unknown task or
        language, and for a task without training rows of its own."""
        name, _, language = text.partition("@")
        task = self.get(name)
        return Source(task, language or task.source_language)

    def with_tasks(self, tasks: Iterable[Task]) -> "Catalogue":
        """This catalogue and further tasks. Raises Refusal for a name that is taken."""
        return Catalogue((*self.tasks, *tasks))

    def with_rows(self, name: str, origin: Origin) -> "Catalogue":
        """This catalogue with rows of a task in further languages, or with other rows in its
        languages. Raises Refusal for an unknown task."""
        more = self.get(name).with_rows(origin)
        return Catalogue(tuple(more if task.name == name else task for task in self))


def _linked(task: Task, given: Mapping[str, Task]) -> Task:
    """The task, referring to the tasks that are `given` under the names of those it refers to."""
    if task.train_on is None and not task.parts:
        return task
    trained = task.train_on and _linked(given.get(task.train_on.name, task.train_on), given)
    parts = tuple(_linked(given.get(part.name, part), given) for part in task.parts)
    if (trained, parts) == (task.train_on, task.parts):
        return task
    return replace(task, train_on=trained, parts=parts)


SHIPPED = Catalogue(
    (*POCKET_TASKS, *INTERMEDIATE_TASKS, *XTREME_TASKS, *OTHER_TARGETS, *TEXT_TASKS)
)
