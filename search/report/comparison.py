"""compare: several studies side by side, by target, from their records alone. Pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from search.record.reader import StudyRecord
from search.report.findings import rule_of
from search.trials.gains import BySeed, by_seed, scores_by_seed, seed_gains
from search.trials.ranking import TrialRow, TrialState, best_baseline, ranked
from spaces.refusal import Refusal
from trainables.scoring.scores import Scores, TargetScores, protocol_differences

Json = dict[str, Any]


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
    for record in records:
        if not ranked(record.rows):
            raise Refusal(f"study {record.name!r} has no scored trial yet: let `run` finish one")
    mixed = _mixed(records)
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
    tasks = dict.fromkeys(task for record in records for task in _best_targets(record))
    return {
        "studies": [_study(record) for record in records],
        "targets": {task: _target(task, records, mixed.get(task, {})) for task in tasks},
    }


def _study(record: StudyRecord) -> Json:
    top, baseline = _shown(record)
    best, other = (scores_by_seed(record.rows, row) if row else {} for row in (top, baseline))
    gain = seed_gains(best, other)
    rule, pivots = rule_of(record)
    return {
        "study": record.name,
        "state": record.state,
        "digest": record.digest,
        "selection": " ".join((rule.value, *pivots)),
        "num_trials": sum(row.state is TrialState.SCORED for row in record.rows),
        "best": _named(top),
        "baseline": _named(baseline) if baseline else None,
        "objective": fmean(
            row.objective for row in by_seed(record.rows, top).values() if row.objective is not None
        ),
        "num_seeds": len(best),
        "best_mean": _mean(best),
        "baseline_mean": _mean(other),
        "gain": gain.interval.mean if gain else None,
        "num_collapsed": gain.num_collapsed if gain else 0,
    }


def _shown(record: StudyRecord) -> tuple[TrialRow, TrialRow | None]:
    """The best trial and the best baseline; of both, all seeds are shown."""
    order = ranked(record.rows)
    return order[0], best_baseline(order)


def _mean(scores: BySeed, task: str | None = None) -> float | None:
    """The zero-shot mean over seeds; of one target where it is named. None where there is none."""
    means = [
        one.zero_shot_mean if task is None else _targets(one)[task].zero_shot_mean
        for one in scores.values()
        if task is None or task in _targets(one)
    ]
    return fmean(means) if means else None


def _named(row: TrialRow) -> str:
    return f"trial {row.number}: {row.plan}"


def _target(task: str, records: Sequence[StudyRecord], mixed: Mapping[str, Any]) -> Json:
    """Study -> its zero-shot means of the target, and how the best one differs from the first
    study's; what a study does not score is None."""
    found: Json = {}
    for record in records:
        best, base = (
            _mean(scores_by_seed(record.rows, row), task) if row else None for row in _shown(record)
        )
        first = found[records[0].name]["best"] if found else best
        found[record.name] = {
            "best": best,
            "baseline": base,
            "gain": None if best is None or base is None else best - base,
            "difference": None if best is None or first is None else best - first,
            "mixed": {name: values[record.name] for name, values in mixed.items()}
            if best is not None
            else {},
        }
    return found


def _mixed(records: Sequence[StudyRecord]) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> field of the protocol that differs -> study -> its value there; the best baseline
    of a study, which its best trial stands beside, has a value of its own."""
    shown: dict[str, dict[str, TargetScores]] = {}
    for record in records:
        shown[record.name] = _best_targets(record)
        shown[f"{record.name} (baseline)"] = _baseline_targets(record)
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


def _best_targets(record: StudyRecord) -> dict[str, TargetScores]:
    return _targets(_shown(record)[0].scores)


def _baseline_targets(record: StudyRecord) -> dict[str, TargetScores]:
    baseline = _shown(record)[1]
    return _targets(baseline.scores) if baseline else {}


def _targets(scores: Scores | None) -> dict[str, TargetScores]:
    return {target.task: target for target in scores.targets} if scores else {}
