"""Task: the data, label set, kind and metric of one task. Its role (intermediate, target) belongs
to phases."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypedDict

from spaces.languages import get_language
from spaces.refusal import Refusal, unknown
from spaces.tasks.origin import Layout, Origin, Splits


class TaskKind(StrEnum):
    """The kind of a task; it decides the format, the head and the metric."""

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
        TaskKind.SPAN: ("f1", "exact_match", "qa_score"),
        TaskKind.TAGGING: ("f1", "accuracy"),
        TaskKind.RETRIEVAL: ("accuracy", "f1"),  # f1: of pairs mined from whole corpora
        TaskKind.MLM: ("accuracy",),
    }
)

SPLITS = ("train", "validation", "test")


class AnswerRules(StrEnum):
    """How answers of a SPAN task are decoded and compared."""

    SQUAD_V1 = "squad_v1"  # every question has an answer; English normalisation
    SQUAD_V2 = "squad_v2"  # like v1, but a question may have no answer
    MLQA = "mlqa"  # every question has an answer; normalisation by its language


# The languages that MLQA's script has rules for (facebookresearch/MLQA, mlqa_evaluation_v1.py).
MLQA_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")


class TaskFields(TypedDict, total=False):
    """The fields of `Task` that an entry of the catalogue may set by keyword."""

    labels: tuple[str, ...]
    train_on: "Task | None"
    reader: str
    splits: Splits
    single_split: tuple[str, ...]
    holds: tuple[str, ...]
    is_symmetric: bool
    layout: Layout
    elsewhere: tuple[Origin, ...]
    parts: "tuple[Task, ...]"
    includes: tuple[str, ...]
    answer_rules: AnswerRules
    train_rows: Mapping[str, int]
    num_dev_rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task, in every language that it has.

    `dataset`, `config`, `revision`, `splits` and `layout` are the fields of an `Origin`.

    Attributes:
        metric: the main score, in [0, 1].
        chance: the main score of guessing.
        num_train_rows: training rows in the source language; proportional mixtures use it.
        train_rows: training rows in languages that have another number of them.
        num_dev_rows: evaluation rows in a language, before a single split is cut; for estimates
            alone.
        train_on: the task whose training rows and head this task uses (XQuAD trains on SQuAD);
            None: its own.
        reader: the reader that turns its rows into examples; "": rows have the columns of the kind.
        single_split: languages that have one evaluation split alone, `splits.test`. It is cut in
            halves by a hash of what rows share (a paragraph, a text), unless a study takes it
            whole.
        holds: names of other tasks whose evaluation rows are in part among its validation rows
            (SQuAD: XQuAD).
        is_symmetric: the order of a pair has no meaning: (a, b) and (b, a) are the same row.
        elsewhere: the origins of languages whose rows lie elsewhere (the translations of MNLI).
        parts: tasks whose rows are this task's rows, one after the other, under one head.
        includes: names of tasks whose training rows are among its own (SQuAD 2.0 includes SQuAD
            1.1).
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
    train_on: "Task | None" = None
    config: str | None = None
    revision: str | None = None
    reader: str = ""
    splits: Splits = Splits()  # noqa: RUF009, it is frozen
    single_split: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    is_symmetric: bool = False
    layout: Layout = Layout.HUB
    elsewhere: tuple[Origin, ...] = ()
    parts: "tuple[Task, ...]" = ()
    includes: tuple[str, ...] = ()
    answer_rules: AnswerRules = AnswerRules.SQUAD_V1
    train_rows: Mapping[str, int] = field(default_factory=dict, hash=False)
    num_dev_rows: int | None = None

    def __post_init__(self) -> None:
        # A plain dict, because tasks are sent between processes, and a mapping proxy cannot be.
        object.__setattr__(self, "train_rows", dict(self.train_rows))
        # Names become part of parameter names, file names and module names of heads.
        if not re.fullmatch("[a-z][a-z0-9_-]*", self.name):
            raise Refusal(f"task name {self.name!r}: expected lower-case letters, digits, _ and -")
        if self.metric not in METRICS[self.kind]:
            raise unknown(f"metric of {self.name!r}", self.metric, METRICS[self.kind])
        for language in (*self.languages, *self.train_rows):
            get_language(language)
        ruleless = [code for code in self.languages if code not in MLQA_LANGUAGES]
        if self.answer_rules is AnswerRules.MLQA and ruleless:
            raise Refusal(
                f"task {self.name!r} compares answers by MLQA's rules, which exist for "
                f"{', '.join(MLQA_LANGUAGES)}, not for {', '.join(ruleless)}; give these rows to a "
                "task with answer_rules squad_v1"
            )
        needs_source = self.trains and self.train_on is None
        if needs_source and self.source_language not in self.languages:
            raise unknown(f"source language of {self.name!r}", self.source_language, self.languages)
        elsewhere = [language for origin in self.elsewhere for language in origin.languages]
        for language in (*self.single_split, *elsewhere):
            if language not in self.languages:
                raise unknown(f"language of {self.name!r}", language, self.languages)
        if self.is_symmetric and self.kind is not TaskKind.CLASSIFICATION:
            raise Refusal(
                f"task {self.name!r}: is_symmetric needs the kind {TaskKind.CLASSIFICATION}; got "
                f"{self.kind}"
            )
        needs_labels = self.kind in (TaskKind.CLASSIFICATION, TaskKind.TAGGING)
        if needs_labels != bool(self.labels) or len(set(self.labels)) != len(self.labels):
            raise Refusal(
                f"task {self.name!r}: labels {self.labels!r} do not fit the kind {self.kind}; "
                "classification and tagging need labels, each once; other kinds have none"
            )
        self._check_others()

    def _check_others(self) -> None:
        """Check that the tasks that it refers to have training rows, or rows, of their own."""
        trained = self.train_on
        if trained is not None and (trained.train_on or not trained.trains):
            raise Refusal(
                f"task {self.name!r} trains on {trained.name!r}, which has no training rows of its "
                "own; name a task that has some"
            )
        for other in (*self.parts, *([trained] if trained else [])):
            if (other.kind, other.labels) != (self.kind, self.labels):
                raise Refusal(
                    f"task {self.name!r} cannot use rows of {other.name!r}: it needs a task of the "
                    "same kind, with the same labels in the same order"
                )

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    @property
    def zero_shot_languages(self) -> tuple[str, ...]:
        """Every language except the source language."""
        return tuple(language for language in self.languages if language != self.source_language)

    @property
    def trains(self) -> bool:
        """Whether the task trains anything. Retrieval does not: it scores the encoder that it
        gets."""
        return self.kind is not TaskKind.RETRIEVAL

    @property
    def training_task(self) -> "Task":
        """The task whose training rows and head this task uses."""
        return self.train_on or self

    @property
    def contents(self) -> frozenset[str]:
        """The tasks whose training rows a phase on this task sees."""
        return frozenset((self.name, *(part.name for part in self.parts), *self.includes))

    def origin_of(self, language: str) -> Origin:
        """Where the rows of the language lie: the last entry of `elsewhere` that lists it, else the
        task's origin."""
        for origin in reversed(self.elsewhere):
            if language in origin.languages:
                return replace(origin, reader=origin.reader or self.reader)
        return Origin(
            dataset=self.dataset,
            languages=self.languages,
            config=self.config,
            revision=self.revision,
            reader=self.reader,
            splits=self.splits,
            layout=self.layout,
        )

    def with_rows(self, origin: Origin) -> "Task":
        """The task with rows in further languages, or with other rows in its languages."""
        languages = dict.fromkeys((*self.languages, *origin.languages))
        return replace(self, languages=tuple(languages), elsewhere=(*self.elsewhere, origin))

    def num_rows_in(self, language: str) -> int:
        """Training rows in a language; proportional mixtures are computed from them."""
        return self.train_rows.get(language, self.num_train_rows)

    def config_of(self, language: str) -> str | None:
        """The hub's config that has the rows of the language; None where the data set has only
        one."""
        return self.origin_of(language).config_of(language)

    def is_cut(self, language: str, split: str) -> bool:
        """Whether the split is cut from the only evaluation split of the language."""
        return language in self.single_split and split != "train"

    def hub_split(self, language: str, split: str) -> str | None:
        """The data set's name for the split that the rows come from, several joined by `+`; None
        where it has no such rows."""
        name = "test" if self.is_cut(language, split) else split
        return "+".join(self.origin_of(language).names_of(name)) or None
