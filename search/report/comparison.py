"""compare: several studies side by side, by target, from their records alone. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

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

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A study with its best trial and best baseline, and the scores of all seeds of both."""

    record: StudyRecord
    top: TrialRow
    baseline: TrialRow | None
    best: BySeed
    other: BySeed
    objective: float

    @classmethod
    def of(cls, record: StudyRecord) -> "_Shown":
        """Raises Refusal where nothing is scored yet. Pruned trials have scores of few rows: they
        are no seed of a plan."""
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


def compare(records: Sequence[StudyRecord], *, force: bool = False) -> Json:
    """Best trial and best baseline of every study, in all and by target, means over all their
    seeds, as JSON values; scores in [0, 1]. A difference is that of the best trial's zero-shot
    mean from the first study's.

    Raises Refusal: fewer than two studies, one twice, one without a scored trial, or scores of
    unlike protocols, unless `force` is set, which marks their targets as `mixed`.
    """
    names = [record.name for record in records]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise Refusal(f"compare {' '.join(names)}: expected two studies or more, each named once")
    studies = [_Shown.of(record) for record in records]
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
    return {
        "studies": [_study(study) for study in studies],
        "targets": {task: _target(task, studies, mixed.get(task, {})) for task in tasks},
    }


def _study(shown: _Shown) -> Json:
    record, gain = shown.record, seed_gains(shown.best, shown.other)
    evaluation = record.settings.evaluation
    return {
        "study": record.name,
        "state": record.state,
        "digest": record.digest,
        "selection": " ".join((evaluation.selection.value, *evaluation.pivot_languages)),
        "num_trials": sum(row.state is TrialState.SCORED for row in record.rows),
        "best": _named(shown.top),
        "baseline": _named(shown.baseline) if shown.baseline else None,
        "objective": shown.objective,
        "num_seeds": len(shown.best),
        "best_mean": mean_over_seeds(shown.best),
        "baseline_mean": mean_over_seeds(shown.other),
        "gain": gain.interval.mean if gain else None,
        "num_collapsed": gain.num_collapsed if gain else 0,
    }


def _named(row: TrialRow) -> str:
    return f"trial {row.number}: {row.plan}"


def _target(task: str, studies: Sequence[_Shown], mixed: Mapping[str, Any]) -> Json:
    """Study -> its zero-shot means of the target, and how the best one differs from the first
    study's; what a study does not score is None."""
    found: Json = {}
    for study in studies:
        name, best = study.record.name, mean_over_seeds(study.best, task)
        base = mean_over_seeds(study.other, task)
        first = found[studies[0].record.name]["best"] if found else best
        found[name] = {
            "best": best,
            "baseline": base,
            "gain": None if best is None or base is None else best - base,
            "difference": None if best is None or first is None else best - first,
            "mixed": {field: values[name] for field, values in mixed.items()}
            if best is not None
            else {},
        }
    return found


def _mixed(studies: Sequence[_Shown]) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> field of the protocol that differs -> study -> its value there; the best baseline
    of a study, which its best trial stands beside, has a value of its own."""
    shown: dict[str, dict[str, TargetScores]] = {}
    for each in studies:
        shown[each.record.name] = _targets(each.top)
        shown[f"{each.record.name} (baseline)"] = _targets(each.baseline)
    differences = protocol_differences(t for found in shown.values() for t in found.values())
    return {
        task: {
            name: {
                study: getattr(found[task].protocol, name)
                for study, found in shown.items()
                if task in found
            }
            for name in fields
        }
        for task, fields in differences.items()
    }


def _targets(row: TrialRow | None) -> dict[str, TargetScores]:
    return {target.task: target for target in row.scores.targets} if row and row.scores else {}
