"""Scores: the results of a trial by target and language, with what their mean is over.

Pure values. The scores of every target carry the protocol that decides what they compare with.
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
from spaces.study_file.sections import SelectionRule


class Mark(StrEnum):
    """A warning about a target's scores."""

    NONE = ""
    COLLAPSED = "collapsed"  # one label whatever the gold label is, or a loss that did not fall
    NO_SIGNAL = "no signal"  # at chance in the source language for another reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringProtocol:
    """What two scores must share to be comparable, except `revision`: rows of one digest are
    comparable wherever they were read."""

    task: str
    """The target."""
    metric: str
    """The main metric."""
    split: str
    """The split whose rows were scored."""
    selection: str
    """The selection rule of the study."""
    data: str
    """The digest of the scored rows."""
    labels: str
    """The digest of the label names in their order."""
    rows: int
    """The limit of rows per language; 0 is all of them."""
    layer: int | None
    """The layer that sentence vectors come from; null for a target without them."""
    pooling: str | None
    """How sentence vectors are pooled; null for a target without them."""
    max_length: int
    """How many tokens of a row are read at most."""
    training_version: int
    """The version of training and scoring; it is raised when the same phase would get other weights
    or scores."""
    cut: str = ""
    """How a single evaluation split was cut; empty where there was nothing to cut."""
    revision: str = ""
    """The commit of the hub's data set, recorded only."""
    scoring_version: int = 1
    """The version of the metric (`Format.scoring_version`); older records do not have it."""
    direction: str = ""
    """`to_english` where each text of the other language looks for its English partner; empty for
    the direction of XTREME and for a target without directions."""
    text_prefix: str = ""
    """The text that stands before every row; empty without one."""

    @property
    def digest(self) -> str:
        """A hash of everything that makes scores comparable: 16 hexadecimal digits."""
        content = {k: v for k, v in asdict(self).items() if k != "revision"}
        # So that digests from before these fields are found again.
        for name, default in (("scoring_version", 1), ("direction", ""), ("text_prefix", "")):
            if content[name] == default:
                del content[name]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: "ScoringProtocol") -> list[str]:
        """The names of the fields that differ; empty where scores are comparable."""
        names = [f.name for f in fields(self) if f.name != "revision"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScores:
    """One target in all its languages: language -> metric name -> value in [0, 1].

    `main` names the main metric. `num_truncated` rows lost tokens to `max_length`. `fertility` is
    tokens per word or per character (fertility.py). The source language may have no scores
    (retrieval against English has none for English); then source and gap are None. Raises Refusal
    without a zero-shot language.
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
        """The main score of every language, the source language first."""
        order = sorted(self.languages, key=lambda code: (code != self.source_language, code))
        return {language: self.languages[language][self.main] for language in order}

    @property
    def source(self) -> float | None:
        """The main score in the source language; None without one."""
        return self.by_language.get(self.source_language)

    @property
    def zero_shot(self) -> dict[str, float]:
        """The main score of every zero-shot language."""
        return {k: v for k, v in self.by_language.items() if k != self.source_language}

    @property
    def zero_shot_mean(self) -> float:
        """The mean main score over the zero-shot languages."""
        return _mean(list(self.zero_shot.values()))

    @property
    def transfer_gap(self) -> float | None:
        """The source score minus the zero-shot mean; lower is better. None without a source
        score."""
        return None if self.source is None else self.source - self.zero_shot_mean

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TargetScores":
        protocol = ScoringProtocol(**data["protocol"])
        return cls(**{**data, "protocol": protocol, "mark": Mark(data["mark"])})


Differences = dict[str, dict[str, tuple[Any, Any]]]


def protocol_differences(targets: Iterable[TargetScores]) -> Differences:
    """Task -> each field of the protocol that differs between its scores -> two of its values: the
    first one, and the first that differs."""
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
    """All targets of a trial, in the order of the plan. `of_interest` names the objective
    targets."""

    targets: tuple[TargetScores, ...]
    of_interest: tuple[str, ...] = field(default=())

    @property
    def objective_targets(self) -> tuple[TargetScores, ...]:
        """The objective targets that are scored already (a rung has not all of them)."""
        return tuple(t for t in self.targets if not self.of_interest or t.task in self.of_interest)

    @property
    def zero_shot_mean(self) -> float:
        """The mean zero-shot mean over the objective targets."""
        return _mean([target.zero_shot_mean for target in self.objective_targets])

    @property
    def transfer_gap(self) -> float | None:
        """The mean transfer gap over the objective targets that have one; None where none has."""
        gaps = [t.transfer_gap for t in self.objective_targets if t.transfer_gap is not None]
        return _mean(gaps) if gaps else None

    @property
    def worst_language(self) -> tuple[str, str, float]:
        """(target, language, score) of the lowest zero-shot score of the objective targets."""
        cells = ((t.task, k, v) for t in self.objective_targets for k, v in t.zero_shot.items())
        return min(cells, key=lambda cell: cell[2])

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The objective targets that collapsed. Each phase collapses by itself, so the other
        targets keep their scores and still count."""
        return tuple(t.task for t in self.objective_targets if t.mark is Mark.COLLAPSED)

    @property
    def is_collapsed(self) -> bool:
        """Whether every objective target collapsed, so that the trial learned nothing."""
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
    """The value that the sampler learns from, in [0, 1]; used by sampler, report and retrain alike.

    It is the mean over the objective targets of their main score, averaged over the languages that
    the rule allows. A target without such a language is left out (retrieval under source_dev).
    Raises Refusal where no target has one.
    """
    means = []
    for target in scores.objective_targets:
        allowed = selecting_languages(target, rule, pivot_languages=pivot_languages)
        if allowed:
            means.append(_mean([target.by_language[language] for language in allowed]))
    if not means:
        raise Refusal(
            f"no target has rows in a language that the selection rule {rule.value!r} allows; "
            "choose another rule or other languages"
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
    """The mean of XTREME's score over all languages of a task that were scored, including the
    source language: (F1 + exact match) / 2 for question answering, else the main score. Source:
    google-research/xtreme, evaluate.py."""
    metrics = list(target.languages.values())
    counted = "qa_score" if all("qa_score" in values for values in metrics) else target.main
    return _mean([values[counted] for values in metrics])


def xtreme_averages(task_scores: Mapping[str, float]) -> dict[str, float]:
    """The means over XTREME's tasks by name: `all` nine, `without_retrieval`, and the four groups
    of `XTREME_GROUPS`. A mean is left out where one of its tasks has no score.

    Source: google-research/xtreme, evaluate.py. Pair retrieval (`buccpairs`) does not replace
    BUCC's mining.
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
