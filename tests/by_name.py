"""Sources, mixtures and targets of shipped tasks, as tests name them."""

from collections.abc import Iterable, Mapping
from typing import Any

from spaces.mixture import Mixture
from spaces.phases import Phase, Target
from spaces.study_file.task_sections import RowsSection, TaskSection
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.origin import Origin
from spaces.tasks.source import Source
from spaces.tasks.task import Task, TaskKind


def source_of(text: str) -> Source:
    """The source written as `text`."""
    return SHIPPED.source(text)


def sources_of(texts: Iterable[str]) -> list[Source]:
    """The sources written as `texts`."""
    return [SHIPPED.source(text) for text in texts]


def mixture_of(weights: Mapping[str, float]) -> Mixture:
    """The mixture with these weights by source."""
    return Mixture.of((SHIPPED.source(text), weight) for text, weight in weights.items())


def target_of(name: str, phase: Phase | None) -> Target:
    """The target of this name."""
    return Target(task=SHIPPED.get(name), phase=phase)


def cell_of(name: str, language: str, split: str) -> tuple[Task, str, str]:
    """The task of this name with a language and a split, as `Rows` takes them."""
    return SHIPPED.get(name), language, split


def own_task(name: str, kind: TaskKind, rows: str, **keys: Any) -> Task:
    """A task of one's own, as a study file describes it."""
    if kind is TaskKind.CHOICE:
        keys.setdefault("chance", 1 / 4)
    return TaskSection(kind=kind, rows=rows, **keys).task(name, train_on=None, parts=())


def own_rows(rows: str, *languages: str, **keys: Any) -> Origin:
    """Rows in further languages, as a study file describes them."""
    return RowsSection(rows=rows, languages=languages, **keys).origin(languages)
