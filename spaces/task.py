"""Task: data, label set, kind and metric. Roles (intermediate, target) live in phases."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from spaces.languages import get_language
from spaces.origin import Layout, Origin, Splits
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
        TaskKind.SPAN: ("f1", "exact_match", "qa_score"),
        TaskKind.TAGGING: ("f1", "accuracy"),
        TaskKind.RETRIEVAL: ("accuracy", "f1"),  # f1 is that of pairs mined from whole corpora
        TaskKind.MLM: ("accuracy",),
    }
)

SPLITS = ("train", "validation", "test")


class AnswerRules(StrEnum):
    """How answers of a SPAN task are decoded and compared."""

    SQUAD_V1 = "squad_v1"  # every question has an answer; English normalisation
    SQUAD_V2 = "squad_v2"  # as v1, and a question may be left unanswered
    MLQA = "mlqa"  # every question has one; the normalisation of the answer's language


# The languages that MLQA's script has rules for (facebookresearch/MLQA, mlqa_evaluation_v1.py).
MLQA_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task, in every language it has.

    `metric` is the main score, in [0, 1], and `chance` what guessing gets of it. `num_train_rows`
    counts the source language's rows, from which proportional mixtures are made. `train_on` names
    the task whose training rows and head this one uses (XQuAD trains on SQuAD).

    `dataset`, `config`, `revision`, `splits` and `layout` are those of an `Origin`; `elsewhere`
    holds the origins of languages whose rows lie somewhere else (MNLI's translations). A task that
    has `parts` has their rows, one after the other, under one head; `includes` names tasks whose
    training rows are among its own (SQuAD 2.0 has those of 1.1). `reader` names what brings
    its rows to examples; without one they have the columns of the task's kind. `single_split`
    lists the languages that have one evaluation split alone, `splits.test`: it is cut in halves by
    a hash of what rows share (a paragraph, a text), unless a study takes it whole. `holds` names
    other tasks some of whose rows to score are among its validation rows (SQuAD: XQuAD). Of a pair
    that `is_symmetric` the order says nothing: (a, b) and (b, a) are one row. `train_rows` counts
    those of further languages, where they are not as many as the source language's. `num_dev_rows`
    is about how many there are to score in a language, before a single split is cut: for estimates
    alone.
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
    config: str | None = None
    revision: str | None = None
    reader: str = ""
    splits: Splits = Splits()  # noqa: RUF009, it is frozen
    single_split: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    is_symmetric: bool = False
    layout: Layout = Layout.HUB
    elsewhere: tuple[Origin, ...] = ()
    parts: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    answer_rules: AnswerRules = AnswerRules.SQUAD_V1
    train_rows: Mapping[str, int] = field(default_factory=dict, hash=False)
    num_dev_rows: int | None = None

    def __post_init__(self) -> None:
        # Names go into parameter names, file names and module names of heads.
        if not re.fullmatch("[a-z][a-z0-9_-]*", self.name):
            raise Refusal(f"task name {self.name!r}: expected small letters, digits, _ and -")
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
        placed = [language for origin in self.elsewhere for language in origin.languages]
        for language in (*self.single_split, *placed):
            if language not in self.languages:
                raise unknown(f"language of {self.name!r}", language, self.languages)
        if self.is_symmetric and self.kind is not TaskKind.CLASSIFICATION:
            raise Refusal(
                f"task {self.name!r}: a pair without an order is for the kind "
                f"{TaskKind.CLASSIFICATION}, not {self.kind}"
            )
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

    @property
    def contents(self) -> frozenset[str]:
        """The tasks whose training rows a phase on this one sees."""
        return frozenset((self.name, *self.parts, *self.includes))

    def origin_of(self, language: str) -> Origin:
        """Where the language's rows lie; the last of `elsewhere` that names it counts."""
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
        """The task with the rows of further languages, or other rows of those it has."""
        languages = dict.fromkeys((*self.languages, *origin.languages))
        return replace(self, languages=tuple(languages), elsewhere=(*self.elsewhere, origin))

    def num_rows_in(self, language: str) -> int:
        """Rows to train on in a language: what proportional mixtures are made from."""
        return self.train_rows.get(language, self.num_train_rows)

    def config_of(self, language: str) -> str | None:
        """The hub's config with the language's rows; None where the data set has only one."""
        return self.origin_of(language).config_of(language)

    def is_cut(self, language: str, split: str) -> bool:
        """Whether the split comes out of the language's only evaluation split."""
        return language in self.single_split and split != "train"

    def hub_split(self, language: str, split: str) -> str | None:
        """The split that the rows come out of, as it is called where they are; several are joined
        by `+`; None where there are none."""
        name = "test" if self.is_cut(language, split) else split
        return "+".join(self.origin_of(language).names_of(name)) or None
