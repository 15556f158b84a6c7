"""Task: data, label set, kind and metric. Roles (intermediate, target) live in phases."""

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

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Splits:
    """What the hub calls our three splits; None where there are no rows with labels."""

    train: str | None = "train"
    validation: str | None = "validation"
    test: str | None = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task, in every language it has.

    `metric` is the main score, in [0, 1], and `chance` what guessing gets of it. `num_train_rows`
    counts the source language's rows, from which proportional mixtures are made. `train_on` names
    the task whose training rows and head this one uses (XQuAD trains on SQuAD).

    `dataset` is a name of the hub (or `pocket`), `config` the pattern of its configs, filled with
    a language's fields: `PAN-X.{code}`, `udpos.{name}`, `tatoeba.{iso3}`. `reader` names what
    brings its rows to examples. `single_split` lists the languages that have one evaluation split
    alone, `splits.test`: it is cut in halves by a hash of the row's parallel id.
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
    splits: Splits = Splits()
    single_split: tuple[str, ...] = ()

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
        for language in self.single_split:
            if language not in self.languages:
                raise unknown(f"language of {self.name!r}", language, self.languages)
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

    def config_of(self, language: str) -> str | None:
        """The hub's config with the language's rows; None where the data set has only one."""
        if self.config is None:
            return None
        known = get_language(language)
        fields = {"code": known.code, "name": known.name, "iso3": known.iso3}
        return self.config.format(**fields, flores=known.flores)

    def is_cut(self, language: str, split: str) -> bool:
        """Whether the split is one half of the hub's only evaluation split."""
        return language in self.single_split and split != "train"

    def hub_split(self, language: str, split: str) -> str | None:
        """The hub's split that the rows come out of; None where there are none."""
        name = "test" if self.is_cut(language, split) else split
        found: str | None = getattr(self.splits, name)
        return found
