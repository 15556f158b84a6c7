"""Task: data, label set, kind and metric. A task is one entry of TASKS; roles live in phases."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from spaces.languages import get_language
from spaces.refusal import Refusal, unknown


class TaskKind(StrEnum):
    """What decides the format, the head and the metric."""

    CLASSIFICATION = "classification"
    CHOICE = "choice"
    SPAN = "span"
    TAGGING = "tagging"
    RETRIEVAL = "retrieval"
    MLM = "mlm"


METRICS: Mapping[TaskKind, tuple[str, ...]] = MappingProxyType(
    {
        TaskKind.CLASSIFICATION: ("accuracy",),
        TaskKind.CHOICE: ("accuracy",),
        TaskKind.SPAN: ("f1", "exact_match"),
        TaskKind.TAGGING: ("f1", "accuracy"),
        TaskKind.RETRIEVAL: ("accuracy",),
        TaskKind.MLM: ("accuracy",),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task, in every language it has.

    `metric` is the main score, in [0, 1], and `chance` what guessing gets of it. `num_train_rows`
    counts the source language's rows, from which proportional mixtures are made. `train_on` names
    the task whose training rows and head this one uses (XNLI trains on MNLI). `single_split` marks
    a task with one evaluation split, which is cut in halves by a hash of the row's parallel id.
    """

    name: str
    kind: TaskKind
    dataset: str
    languages: tuple[str, ...]
    metric: str
    chance: float
    num_train_rows: int
    labels: tuple[str, ...] = ()
    source_language: str = "en"
    train_on: str | None = None
    single_split: bool = False

    def __post_init__(self) -> None:
        # Names go into parameter names, file names and module names of heads.
        if not re.fullmatch("[a-z][a-z0-9_-]*", self.name):
            raise Refusal(f"task name {self.name!r}: expected small letters, digits, _ and -")
        if self.metric not in METRICS[self.kind]:
            raise unknown(f"metric of {self.name!r}", self.metric, METRICS[self.kind])
        for language in self.languages:
            get_language(language)
        if self.trains and self.source_language not in self.languages:
            raise unknown(f"source language of {self.name!r}", self.source_language, self.languages)
        needs_labels = self.kind in (TaskKind.CLASSIFICATION, TaskKind.TAGGING)
        if needs_labels != bool(self.labels) or len(set(self.labels)) != len(self.labels):
            raise Refusal(
                f"task {self.name!r}: labels {self.labels!r} do not fit the kind {self.kind}; "
                "classification and tagging list theirs, each once, the other kinds have none"
            )

    @property
    def zero_shot_languages(self) -> tuple[str, ...]:
        return tuple(language for language in self.languages if language != self.source_language)

    @property
    def trains(self) -> bool:
        """Retrieval trains nothing: it scores the encoder it is given."""
        return self.kind is not TaskKind.RETRIEVAL

    @property
    def training_task(self) -> str:
        return self.train_on or self.name


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
        language = language or task.source_language
        if language not in task.languages:
            raise unknown(f"language of task {name!r}", language, task.languages)
        return cls(name, language)

    def __str__(self) -> str:
        english = get_task(self.task).source_language == self.language
        return self.task if english else f"{self.task}@{self.language}"


POCKET_LANGUAGES = ("en", "de", "es", "fr", "ru", "tr", "fi", "ar", "hi", "ja", "zh", "sw")

POCKET_POS = ("ADP", "CCONJ", "NOUN", "NUM", "PROPN", "PUNCT")
POCKET_NER = (
    "O",
    *(f"{place}-{kind}" for kind in ("DATE", "LANG", "LOC", "MONEY", "QUANTITY") for place in "BI"),
)


def _pocket(
    name: str,
    kind: TaskKind,
    *,
    chance: float,
    num_train_rows: int,
    labels: tuple[str, ...] = (),
) -> Task:
    """An entry of the embedded benchmark: 12 languages, the main metric of its kind."""
    trains = kind is not TaskKind.RETRIEVAL
    return Task(
        name=name,
        kind=kind,
        dataset="pocket",
        languages=POCKET_LANGUAGES if trains else POCKET_LANGUAGES[1:],
        metric=METRICS[kind][0],
        chance=chance,
        num_train_rows=num_train_rows,
        labels=labels,
    )


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            _pocket("pos", TaskKind.TAGGING, chance=0.0, num_train_rows=1000, labels=POCKET_POS),
            _pocket("ner", TaskKind.TAGGING, chance=0.0, num_train_rows=1000, labels=POCKET_NER),
            _pocket("kind", TaskKind.CHOICE, chance=1 / 4, num_train_rows=1000),
            _pocket("fact", TaskKind.CHOICE, chance=1 / 4, num_train_rows=1000),
            _pocket("seq", TaskKind.CHOICE, chance=1 / 4, num_train_rows=1000),
            _pocket(
                "rel",
                TaskKind.CLASSIFICATION,
                chance=1 / 3,
                num_train_rows=2000,
                labels=("follows", "wrong", "unrelated"),
            ),
            _pocket(
                "coh",
                TaskKind.CLASSIFICATION,
                chance=1 / 2,
                num_train_rows=2000,
                labels=("incoherent", "coherent"),
            ),
            _pocket("qakind", TaskKind.SPAN, chance=0.0, num_train_rows=2000),
            _pocket("retrieval", TaskKind.RETRIEVAL, chance=1 / 200, num_train_rows=0),
            _pocket("text", TaskKind.MLM, chance=0.0, num_train_rows=1000),
        )
    }
)


def get_task(name: str) -> Task:
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
