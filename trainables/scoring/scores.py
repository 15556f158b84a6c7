"""Scores: what a trial got, per target and language, knowing what they are the mean of.

Pure values. Every target's scores carry the protocol that makes them comparable with others.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from math import fsum
from types import MappingProxyType
from typing import Any

from spaces.refusal import Refusal
from spaces.sections import SelectionRule


class Mark(StrEnum):
    """What a reader has to know before believing a target's scores."""

    NONE = ""
    COLLAPSED = "collapsed"  # one label whatever the gold one is, or a loss that did not fall
    NO_SIGNAL = "no signal"  # otherwise at chance in the source language


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringProtocol:
    """What two scores must share to be comparable.

    `data` is the digest of the scored rows, `labels` of the label names in order; `layer` and
    `pooling` are retrieval's; `rows` says how many rows a language gave at most (0: all). `cut`
    says how a single evaluation split was cut. `scoring_version` is that of the metric
    (`Format.scoring_version`); older records do not have it. `revision`, the commit of the hub's
    data set, is a record: rows of the same digest are comparable wherever they were read.
    """

    task: str
    metric: str
    split: str
    selection: str
    data: str
    labels: str
    rows: int
    layer: int | None
    pooling: str | None
    max_length: int
    training_version: int
    cut: str = ""
    revision: str = ""
    scoring_version: int = 1

    @property
    def digest(self) -> str:
        """Of everything that makes scores comparable."""
        content = {k: v for k, v in asdict(self).items() if k != "revision"}
        if self.scoring_version == 1:  # so that digests from before this field are found again
            del content["scoring_version"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: "ScoringProtocol") -> list[str]:
        """Names of the fields that differ; empty means comparable."""
        names = [f.name for f in fields(self) if f.name != "revision"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScores:
    """One target in all its languages: language -> metric name -> value in [0, 1].

    `main` names the main metric; `num_truncated` of the rows lost tokens to `max_length`;
    `fertility` is how many tokens a word took, or a character (fertility.py).
    `source_language` may be without scores (retrieval against English has none for English); then
    source and gap are None.
    """

    task: str
    main: str
    source_language: str
    chance: float
    languages: Mapping[str, Mapping[str, float]]
    num_rows: Mapping[str, int]
    protocol: ScoringProtocol
    mark: Mark = Mark.NONE
    num_truncated: Mapping[str, int] = field(default_factory=dict)
    fertility: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(language != self.source_language for language in self.languages):
            raise Refusal(f"target {self.task!r} was scored in no zero-shot language")

    @property
    def by_language(self) -> dict[str, float]:
        """The main score of every language, source first."""
        order = sorted(self.languages, key=lambda code: (code != self.source_language, code))
        return {language: self.languages[language][self.main] for language in order}

    @property
    def source(self) -> float | None:
        return self.by_language.get(self.source_language)

    @property
    def zero_shot(self) -> dict[str, float]:
        return {k: v for k, v in self.by_language.items() if k != self.source_language}

    @property
    def zero_shot_mean(self) -> float:
        return _mean(list(self.zero_shot.values()))

    @property
    def transfer_gap(self) -> float | None:
        """What is lost by leaving the source language; lower is better."""
        return None if self.source is None else self.source - self.zero_shot_mean

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TargetScores":
        protocol = ScoringProtocol(**data["protocol"])
        return cls(**{**data, "protocol": protocol, "mark": Mark(data["mark"])})


Differences = dict[str, dict[str, tuple[Any, Any]]]


def protocol_differences(targets: Iterable[TargetScores]) -> Differences:
    """Task -> field of the protocol that is not the same in all its scores -> two of its values:
    the first one, and the first other."""
    first: dict[str, ScoringProtocol] = {}
    different: Differences = {}
    for target in targets:
        known = first.setdefault(target.task, target.protocol)
        for name in known.differences(target.protocol):
            values = (getattr(known, name), getattr(target.protocol, name))
            different.setdefault(target.task, {}).setdefault(name, values)
    return {task: dict(sorted(names.items())) for task, names in different.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All targets of a trial, in the order of the plan; `of_interest` are the objective targets."""

    targets: tuple[TargetScores, ...]
    of_interest: tuple[str, ...] = field(default=())

    @property
    def objective_targets(self) -> tuple[TargetScores, ...]:
        """Those of interest that are there already (a rung has not all of them)."""
        return tuple(t for t in self.targets if not self.of_interest or t.task in self.of_interest)

    @property
    def zero_shot_mean(self) -> float:
        """Mean over the objective targets of their zero-shot means."""
        return _mean([target.zero_shot_mean for target in self.objective_targets])

    @property
    def transfer_gap(self) -> float | None:
        """Mean over the objective targets that have one; None if none has."""
        gaps = [t.transfer_gap for t in self.objective_targets if t.transfer_gap is not None]
        return _mean(gaps) if gaps else None

    @property
    def worst_language(self) -> tuple[str, str, float]:
        """(target, language, score) of the lowest zero-shot score of the objective targets."""
        cells = ((t.task, k, v) for t in self.objective_targets for k, v in t.zero_shot.items())
        return min(cells, key=lambda cell: cell[2])

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The objective targets that collapsed. Each one's phase did so by itself: the others keep
        their scores and their say."""
        return tuple(t.task for t in self.objective_targets if t.mark is Mark.COLLAPSED)

    @property
    def is_collapsed(self) -> bool:
        """Whether every objective target collapsed: then nothing was learned."""
        return len(self.collapsed) == len(self.objective_targets)

    def to_dict(self) -> dict[str, Any]:
        return {
            "targets": [target.to_dict() for target in self.targets],
            "of_interest": list(self.of_interest),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scores":
        targets = tuple(TargetScores.from_dict(target) for target in data["targets"])
        return cls(targets=targets, of_interest=tuple(data["of_interest"]))


def objective(scores: Scores, rule: SelectionRule, *, pivot_languages: Sequence[str] = ()) -> float:
    """What the sampler learns from, in [0, 1]; used by sampler, report and retrain alike.

    The mean over the objective targets of the main score, averaged over the languages that the
    rule allows. A target without any of them does not enter (retrieval under source_dev).
    """
    means = []
    for target in scores.objective_targets:
        allowed = selecting_languages(target, rule, pivot_languages=pivot_languages)
        if allowed:
            means.append(_mean([target.by_language[language] for language in allowed]))
    if not means:
        raise Refusal(
            f"no target has rows in a language that the selection rule {rule.value} allows"
        )
    return _mean(means)


def selecting_languages(
    target: TargetScores, rule: SelectionRule, *, pivot_languages: Sequence[str]
) -> list[str]:
    """The scored languages whose rows may choose between trials."""
    return rule.languages(target.by_language, source=target.source_language, pivots=pivot_languages)


XTREME_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "classification": ("xnli", "pawsx"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc", "tatoeba"),
    }
)


def task_score(target: TargetScores) -> float:
    """The mean over a task's languages, the source language among them, of what XTREME counts:
    (F1 + exact match) / 2 of question answering, else the main score. Source: google-research/
    xtreme, evaluate.py. Where the source language was not scored, of the others."""
    metrics = list(target.languages.values())
    counted = "qa_score" if all("qa_score" in found for found in metrics) else target.main
    return _mean([found[counted] for found in metrics])


def xtreme_averages(task_scores: Mapping[str, float]) -> dict[str, float]:
    """Means over XTREME's tasks by what they are over, as far as all their tasks are there:
    `all` nine, `without_retrieval`, and the four groups of `XTREME_GROUPS`.

    Source: google-research/xtreme, evaluate.py: an average that lacks a task is not given. Pair
    retrieval (`buccpairs`) does not stand in for BUCC's mining.
    """
    groups = dict(XTREME_GROUPS)
    everything = [task for tasks in groups.values() for task in tasks]
    rest = [task for task in everything if task not in groups["retrieval"]]
    averages = {"all": everything, "without_retrieval": rest, **groups}
    return {
        name: _mean([task_scores[task] for task in tasks])
        for name, tasks in averages.items()
        if task_scores.keys() >= set(tasks)
    }


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
