"""What a study found, computed from its record alone: the content of every form of the report."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from statistics import fmean, median
from typing import Any

from search.degradation.gaps import by_language_of_intermediate, degradation
from search.degradation.paired_scores import of_retrains, paired_scores_of
from search.degradation.pretraining_size import PRETRAINING, pretraining_sizes
from search.degradation.typology import Distances, distances
from search.planning.priors import Priors, hindsight
from search.record.reader import StudyRecord
from search.trials.gains import (
    BySeed,
    averages,
    collapsed_counts,
    gain_json,
    gain_table,
    mean_over_seeds,
    scores_by_seed,
    seed_gains,
    side_by_side,
    task_scores,
)
from search.trials.learning_rates import flat_intermediates, half_rates, learning_rates
from search.trials.ranking import (
    Baselines,
    TrialRow,
    TrialState,
    collapsed_targets,
    in_order,
    is_collapsed,
    paired_gain,
    ranked,
    transfer_gain,
)
from spaces.json_values import to_json
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.sections import SelectionRule
from spaces.task_catalog import TASKS
from trainables.scoring.scores import (
    Mark,
    Scores,
    objective,
    protocol_differences,
    selecting_languages,
)

Json = dict[str, Any]


def find(record: StudyRecord, *, force: bool = False) -> Json:
    """Everything the report shows, as JSON values; scores and gains in [0, 1].

    Raises Refusal where trials were scored under different protocols, unless `force` is set.
    """
    # Pruned trials are not ranked: they have scores of few rows.
    whole = [row for row in record.rows if row.state is not TrialState.PRUNED]
    scored = chain.from_iterable(row.scores.targets for row in whole if row.scores)
    different = {task: list(names) for task, names in protocol_differences(scored).items()}
    if different and not force:
        task, names = next(iter(different.items()))
        raise Refusal(
            f"trials of study {record.name!r} were scored differently on {task!r}: "
            f"{', '.join(names)}; their scores do not compare. --force reports them all the same"
        )
    baselines, order = Baselines.among(record.rows), ranked(record.rows)
    baseline = baselines.best
    trials = {row.number: _trial(row, baselines) for row in record.rows}
    evaluation = record.settings.evaluation
    return {
        "study": record.name,
        "state": record.state,
        "digest": record.digest,
        "selection": _selection(record),
        "baseline": trials[baseline.number] if baseline else None,
        "best": trials[order[0].number] if order else None,
        **_over_seeds(order, baseline),
        "ranked": [row.number for row in order],
        "objectives": list(evaluation.objectives),
        "pareto": [
            {name: trials[number][name] for name in ("number", "name", "values")}
            for number in record.summary.get("pareto", ())
        ],
        "max_drop": evaluation.max_drop,
        "trials": list(trials.values()),
        "verdicts": _verdicts(record, order[0] if order else None, baseline),
        "unscored_languages": _unscored(record),
        "intermediates": _intermediates(order, trials),
        "gains": gain_table(order, baseline),
        "degradation": _degradation(record, order),
        "priors": _priors(record),
        "learning_rates": learning_rates(order),
        "flat_intermediates": flat_intermediates(record.rows, record.phases),
        "half_rates": half_rates(record.rows, record.phases),
        "protocol": _protocols(whole),
        "protocol_differences": different,
        "overhead_seconds": _overhead(record.rows),
        "seconds": _seconds(record.rows),
        "phases": _phases(record),
        "retrains": of_retrains(record),
        "summary": dict(record.summary),
        "warnings": list(record.warnings),
    }


def _degradation(record: StudyRecord, order: Sequence[TrialRow]) -> Json:
    def lookup(source: str, languages: Sequence[str]) -> Distances:
        sizes = pretraining_sizes(record.rows[0].plan.encoder)
        return distances(source, languages) | {PRETRAINING: sizes}

    by_source = by_language_of_intermediate(order)
    return {
        **degradation(paired_scores_of(record), lookup=lookup),
        "intermediate_languages": by_source,
    }


def _priors(record: StudyRecord) -> Json | None:
    """The priors with what came of each option, as JSON values; None where nothing was ranked."""
    stored = record.summary.get("priors")
    found = hindsight(Priors.from_dict(stored) if stored else None, record.rows)
    return None if found is None else to_json(found)


def _trial(row: TrialRow, baselines: Baselines) -> Json:
    scores, plan = row.scores, row.plan
    targets = scores.targets if scores else ()
    return {
        "number": row.number,
        "name": str(plan),
        "state": row.state.value,
        "params": dict(row.params),
        "intermediate": _intermediate(plan),
        "label": _label(plan),
        "rates": {
            "intermediate": plan.intermediate.learning_rate if plan.intermediate else None,
            "target": sorted({t.phase.learning_rate for t in plan.targets if t.phase}),
        },
        "objective": row.objective,
        "values": dict(row.values),
        "largest_drop": row.largest_drop,
        "is_feasible": row.is_feasible,
        "zero_shot_mean": scores.zero_shot_mean if scores else None,
        "transfer_gap": scores.transfer_gap if scores else None,
        "transfer_gain": transfer_gain(row, baselines.of(row)),
        "paired_gain": paired_gain(row, baselines),
        "worst_language": list(scores.worst_language) if scores else None,
        "collapsed": is_collapsed(row),
        "collapsed_targets": list(collapsed_targets(row)),
        "marks": {t.task: t.mark.value for t in targets if t.mark is not Mark.NONE},
        "reason": row.reason,
        "duplicate_of": row.duplicate_of,
        "scores": {t.task: t.by_language for t in targets},
        "task_scores": task_scores(scores) if scores else {},
        "averages": averages(scores) if scores else {},
        "source_languages": {t.task: t.source_language for t in targets},
        "seconds": dict(row.seconds) if row.seconds else None,
    }


def _intermediate(plan: TrialPlan) -> str | None:
    return str(plan.intermediate.mixture) if plan.intermediate else None


def _label(plan: TrialPlan) -> str:
    return plan.intermediate.mixture.short if plan.intermediate else "baseline"


def _selection(record: StudyRecord) -> Json:
    """The rule, what the other rules would have chosen, and the targets that it leaves out."""
    evaluation = record.settings.evaluation
    rule, pivots = evaluation.selection, evaluation.pivot_languages
    rules = [r for r in SelectionRule if pivots or r is not SelectionRule.PIVOT_DEV]
    order = ranked(record.rows)
    # What another rule would have made of several objectives is not asked.
    able = [row for row in order if row.may_win and not row.values]
    choices = [(r, _chosen(able, r, pivots)) for r in rules if r is not rule]
    best = next(iter(order), None)
    shown = best.scores if best else None
    return {
        "rule": rule.value,
        "pivot_languages": list(pivots),
        "left_out": [
            target.task
            for target in (shown.objective_targets if shown else ())
            if not selecting_languages(target, rule, pivot_languages=pivots)
        ],
        "seen_test_rows": record.seen_test_rows(best) if best else {},
        "other_rules": [
            {
                "rule": other.value,
                "number": row.number,
                "name": str(row.plan),
                "zero_shot_mean": mean_over_seeds(scores_by_seed(order, row)),
            }
            for other, row in choices
            if row is not None
        ],
    }


def _chosen(
    rows: Sequence[TrialRow], rule: SelectionRule, pivots: Sequence[str]
) -> TrialRow | None:
    """What would stand first under another rule, over all seeds of a plan as everywhere."""

    def value(row: TrialRow) -> tuple[float, ...]:
        assert row.scores is not None
        return (objective(row.scores, rule, pivot_languages=pivots),)

    try:
        return next(iter(in_order([row for row in rows if row.scores], value)), None)
    except Refusal:  # no target has rows under this rule
        return None


def _over_seeds(order: Sequence[TrialRow], baseline: TrialRow | None) -> Json:
    """The best plan and the best baseline over all their seeds: zero-shot means (`best_mean`,
    `baseline_mean`), the language matrix of both, and the `gain` over the baseline of the best plan
    that has an intermediate phase."""
    best = scores_by_seed(order, order[0]) if order else {}
    other = scores_by_seed(order, baseline) if baseline else {}
    is_baseline = bool(order) and order[0].plan.is_baseline
    able = next((row for row in order if not row.plan.is_baseline), None)
    return {
        "best_mean": mean_over_seeds(best),
        "baseline_mean": mean_over_seeds(other),
        "gain": gain_json(seed_gains(scores_by_seed(order, able), other)) if able else None,
        "languages": _languages(best, {} if is_baseline else other),
    }


def _languages(best: BySeed, baseline: BySeed) -> list[Json]:
    """Cell by cell of the language matrix: the best plan beside the best baseline, if another;
    means over the seeds that both have."""
    if not best:
        return []
    mine, others = side_by_side(best, baseline) if baseline else (tuple(best.values()), ())
    other = _cell_means(others)
    means = _cell_means(mine)
    cells = []
    for target in mine[0].targets:
        for language in target.by_language:
            score, against = means[target.task, language], other.get((target.task, language))
            cells.append(
                {
                    "task": target.task,
                    "language": language,
                    "is_source": language == target.source_language,
                    "num_rows": target.num_rows.get(language),
                    "num_truncated": target.num_truncated.get(language, 0),
                    "best": score,
                    "baseline": against,
                    "difference": None if against is None else score - against,
                }
            )
    return cells


def _cell_means(scores: Sequence[Scores]) -> dict[tuple[str, str], float]:
    """(target, language) -> the mean of its main score."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for target in (target for one in scores for target in one.targets):
        for language, value in target.by_language.items():
            found[target.task, language].append(value)
    return {cell: fmean(values) for cell, values in found.items()}


def _unscored(record: StudyRecord) -> dict[str, list[str]]:
    """Task -> languages the study asked for that no trial has scores in (no rows to select by)."""
    asked = set(record.settings.evaluation.languages)
    scored: dict[str, set[str]] = defaultdict(set)
    for target in chain.from_iterable(row.scores.targets for row in record.rows if row.scores):
        scored[target.task].update(target.languages)
    missing = {}
    for task in scored:
        languages = TASKS[task].languages if task in TASKS else ()
        wanted = [code for code in languages if not asked or code in asked]
        missing[task] = [code for code in wanted if code not in scored[task]]
    return {task: languages for task, languages in missing.items() if languages}


def _intermediates(rows: Sequence[TrialRow], trials: Mapping[int, Json]) -> list[Json]:
    """Each intermediate over all its trials, best mean first. `collapsed` counts, by target, the
    trials of which this target's phase collapsed; `num_spoilt_pairs` are the paired gains that have
    such a target on a side."""
    groups: dict[str | None, list[TrialRow]] = defaultdict(list)
    for row in rows:
        if row.scores is not None:
            groups[_intermediate(row.plan)].append(row)
    baselines = Baselines.among(rows)
    found = []
    for name, members in groups.items():
        told = [trials[row.number] for row in members]
        means = [trial["zero_shot_mean"] for trial in told]
        paired = [row for row in members if trials[row.number]["paired_gain"] is not None]
        sides = [(row, baselines.twin_of(row)) for row in paired]
        found.append(
            {
                "intermediate": name,
                "label": told[0]["label"],
                "num_trials": len(means),
                "mean": fmean(means),
                "low": min(means),
                "high": max(means),
                "collapsed": collapsed_counts(row.scores for row in members if row.scores),
                "paired_gains": [trials[row.number]["paired_gain"] for row in paired],
                "num_spoilt_pairs": sum(
                    any(collapsed_targets(row) for row in pair if row) for pair in sides
                ),
            }
        )
    return sorted(found, key=lambda group: -group["mean"])


def _protocols(rows: Sequence[TrialRow]) -> Json:
    found: Json = {}
    for target in chain.from_iterable(row.scores.targets for row in rows if row.scores):
        found.setdefault(target.task, asdict(target.protocol))
    return found


def _overhead(rows: Sequence[TrialRow]) -> float | None:
    """Median seconds of a warm trial that were neither training nor evaluation."""
    spent = [row.seconds for row in rows if row.seconds and row.state is TrialState.SCORED]
    warm = [seconds for seconds in spent if not seconds.get("startup")]
    rest = [s["total"] - s.get("training", 0.0) - s.get("evaluation", 0.0) for s in warm]
    return median(rest) if rest else None


def _seconds(rows: Sequence[TrialRow]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for row in rows:
        for name, seconds in (row.seconds or {}).items():
            total[name] += seconds
    return dict(total)


def _phases(record: StudyRecord) -> dict[str, int]:
    """How often phases were used by scored trials, and how few had to be trained for it."""
    scored = [row for row in record.rows if row.state is TrialState.SCORED]
    used = [set(row.phase_keys) for row in scored]
    different = set().union(*used)
    num_used = sum(len(keys) for keys in used)
    return {
        "trained": len(record.phases),
        "used": num_used,
        "reused": num_used - len(different),
    }


def _verdicts(record: StudyRecord, best: TrialRow | None, baseline: TrialRow | None) -> list[Json]:
    """By language, as they were judged when the study ended; none where another trial is the best
    now."""
    judged = record.summary.get("verdicts")
    if not judged or best is None or baseline is None:
        return []
    same = (judged["trial"], judged["baseline"]) == (best.number, baseline.number)
    return list(judged["languages"]) if same else []
