"""Several studies side by side, by target, from their records alone: what `compare` shows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import JsonValue

from search.record.reader import StudyRecord
from search.trials.gains import (
    BySeed,
    by_seed,
    mean_over_seeds,
    scores_by_seed,
    seed_gains,
)
from search.trials.ranking import TrialRow, TrialState, best_baseline, ranked
from spaces.refusal import Refusal
from trainables.scoring.scores import TargetScores, protocol_differences


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStudy:
    """One study: its best trial and best baseline, means over all their seeds."""

    study: str
    """The name of the study."""
    state: str
    """`finished`, or `running` until the driver closed it."""
    digest: str
    """The digest of the settings that decide results."""
    selection: str
    """The selection rule, and its pivot languages."""
    num_trials: int
    """How many trials were scored."""
    best: str
    """The best trial: its number, and its plan in words."""
    baseline: str | None
    """The best baseline: its number, and its plan in words; null without a scored one."""
    objective: float
    """The mean objective of the best plan over its seeds, in the objective's unit."""
    num_seeds: int
    """How many seeds of the best plan were scored."""
    best_mean: float | None
    """The zero-shot mean of the best plan, in [0, 1]."""
    baseline_mean: float | None
    """The zero-shot mean of the best baseline, in [0, 1]."""
    gain: float | None
    """The best plan's zero-shot mean minus the baseline's, in [-1, 1], over the seeds that both
    have."""
    num_collapsed: int
    """How many runs of both sides collapsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTarget:
    """One target in one study; scores are null where the study does not have the target."""

    best: float | None
    """The best plan's zero-shot mean on the target, in [0, 1]."""
    baseline: float | None
    """The best baseline's zero-shot mean on the target, in [0, 1]."""
    gain: float | None
    """`best` minus `baseline`, in [-1, 1]."""
    difference: float | None
    """`best` minus that of the first study, in [-1, 1]."""
    mixed: Mapping[str, JsonValue]
    """Field of the protocol that differs between the studies -> its value here. Only with
    `--force`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The JSON object of `compare --json`: several studies side by side."""

    studies: tuple[ComparedStudy, ...]
    """The studies, in the order of the command."""
    targets: Mapping[str, Mapping[str, ComparedTarget]]
    """Target -> study -> its scores."""


@dataclass(frozen=True, slots=True)
class _BestOfStudy:
    """A study with its best trial and best baseline, and the scores of all seeds of both."""

    record: StudyRecord
    top: TrialRow
    baseline: TrialRow | None
    best: BySeed
    other: BySeed
    objective: float

    @classmethod
    def of(cls, record: StudyRecord) -> "_BestOfStudy":
        """Raises Refusal where nothing is scored yet. Pruned trials do not count as seeds of a
        plan: they have scores of few rows."""
        order = ranked(record.rows)
        if not order:
            raise Refusal(f"study {record.name!r} has no scored trial yet: let `run` finish one")
        seeds, baseline = by_seed(order, order[0]).values(), best_baseline(order)
        return cls(
            record,
            order[0],
            baseline,
            scores_by_seed(order, order[0]),
            scores_by_seed(order, baseline) if baseline else {},
            fmean(row.objective for row in seeds if row.objective is not None),
        )


def compare(records: Sequence[StudyRecord], *, force: bool = False) -> Comparison:
    """The best trial and best baseline of every study, overall and by target, means over all their
    seeds.

    Raises Refusal: fewer than two studies, a study named twice, a study without a scored trial, or
    scores of different protocols, unless `force` is set, which marks their targets as `mixed`.
    """
    names = [record.name for record in records]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise Refusal(f"compare {' '.join(names)}: expected two studies or more, each named once")
    studies = [_BestOfStudy.of(record) for record in records]
    mixed = _mixed(studies)
    for task, fields in mixed.items():
        if not force:
            name, values = next(iter(fields.items()))
            (first, known), *others = values.items()
            other, value = next(pair for pair in others if pair[1] != known)
            raise Refusal(
                f"target {task!r} was scored differently: {name} is {known!r} in study {first} and "
                f"{value!r} in study {other}; such scores do not compare. --force shows them all "
                "the same"
            )
    tasks = dict.fromkeys(task for study in studies for task in _targets(study.top))
    return Comparison(
        studies=tuple(_study(study) for study in studies),
        targets={task: _target(task, studies, mixed.get(task, {})) for task in tasks},
    )


def _study(shown: _BestOfStudy) -> ComparedStudy:
    record, gain = shown.record, seed_gains(shown.best, shown.other)
    evaluation = record.settings.evaluation
    return ComparedStudy(
        study=record.name,
        state=record.state,
        digest=record.digest,
        selection=" ".join((evaluation.selection.value, *evaluation.pivot_languages)),
        num_trials=sum(row.state is TrialState.SCORED for row in record.rows),
        best=_named(shown.top),
        baseline=_named(shown.baseline) if shown.baseline else None,
        objective=shown.objective,
        num_seeds=len(shown.best),
        best_mean=mean_over_seeds(shown.best),
        baseline_mean=mean_over_seeds(shown.other),
        gain=gain.mean if gain else None,
        num_collapsed=gain.num_collapsed if gain else 0,
    )


def _named(row: TrialRow) -> str:
    return f"trial {row.number}: {row.plan}"


def _target(
    task: str,
    studies: Sequence[_BestOfStudy],
    mixed: Mapping[str, Mapping[str, JsonValue]],
) -> dict[str, ComparedTarget]:
    """Study -> its zero-shot means of the target."""
    first = mean_over_seeds(studies[0].best, task)
    by_study = {}
    for study in studies:
        name, best = study.record.name, mean_over_seeds(study.best, task)
        baseline = mean_over_seeds(study.other, task)
        by_study[name] = ComparedTarget(
            best=best,
            baseline=baseline,
            gain=None if best is None or baseline is None else best - baseline,
            difference=None if best is None or first is None else best - first,
            mixed={} if best is None else {field: values[name] for field, values in mixed.items()},
        )
    return by_study


def _mixed(studies: Sequence[_BestOfStudy]) -> dict[str, dict[str, dict[str, JsonValue]]]:
    """Task -> field of the protocol that differs -> study -> its value there. The best baseline of
    a study has a value of its own, under `NAME (baseline)`."""
    shown: dict[str, dict[str, TargetScores]] = {}
    for study in studies:
        shown[study.record.name] = _targets(study.top)
        shown[f"{study.record.name} (baseline)"] = _targets(study.baseline)
    differences = protocol_differences(t for by_task in shown.values() for t in by_task.values())
    return {
        task: {
            name: {
                whose: getattr(by_task[task].protocol, name)
                for whose, by_task in shown.items()
                if task in by_task
            }
            for name in fields
        }
        for task, fields in differences.items()
    }


def _targets(row: TrialRow | None) -> dict[str, TargetScores]:
    return {target.task: target for target in row.scores.targets} if row and row.scores else {}
