"""Sources, mixtures and targets of shipped tasks, as tests name them."""

from collections.abc import Iterable, Mapping

from spaces.mixture import Mixture
from spaces.phases import Phase, Target
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from spaces.tasks.task import Task


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
