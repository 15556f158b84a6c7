"""What a study found, computed from its record alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import fmean, median

from search.degradation.findings import Degradation
from search.degradation.gaps import degradation
from search.degradation.intermediate_sources import by_language_of_intermediate
from search.degradation.paired_scores import of_retrains, paired_scores_of
from search.degradation.pretraining_size import PRETRAINING, pretraining_sizes
from search.degradation.typology import Distances, distances
from search.findings.findings import (
    Findings,
    IntermediateSummary,
    LanguageCell,
    OtherRule,
    ParetoEntry,
    PhaseUse,
    Rates,
    Selection,
    TrialFinding,
    WorstLanguage,
)
from search.findings.study_summary import StudySummary
from search.planning.priors import hindsight
from search.record.reader import StudyRecord
from search.trials.gains import (
    BySeed,
    averages,
    collapsed_counts,
    gain_table,
    mean_over_seeds,
    scores_by_seed,
    seed_gains,
    side_by_side,
    task_scores,
)
from search.trials.language_verdicts import LanguageVerdict
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
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import SelectionRule
from trainables.scoring.scores import (
    Mark,
    Scores,
    ScoringProtocol,
    objective,
    protocol_differences,
    selecting_languages,
)


def find(record: StudyRecord, *, force: bool = False) -> Findings:
    """Everything that the report shows.

    Raises Refusal where trials were scored under different protocols, unless `force` is set, or
    where the stored summary cannot be read.
    """
    # Pruned trials are not ranked: they have scores of few rows.
    whole = [row for row in record.rows if row.state is not TrialState.PRUNED]
    differences = _differences(record, whole)
    if differences and not force:
        task, names = next(iter(differences.items()))
        raise Refusal(
            f"trials of study {record.name!r} were scored differently on {task!r}: "
            f"{', '.join(names)}; their scores do not compare. --force reports them all the same"
        )
    baselines, order = Baselines.among(record.rows), ranked(record.rows)
    baseline, best = baselines.best, next(iter(order), None)
    trials = {row.number: _trial(row, baselines) for row in record.rows}
    best_scores = scores_by_seed(order, best) if best else {}
    baseline_scores = scores_by_seed(order, baseline) if baseline else {}
    best_other = next((row for row in order if not row.plan.is_baseline), None)
    evaluation, summary = record.settings.evaluation, StudySummary.read(record.summary)
    return Findings(
        study=record.name,
        state=record.state,
        digest=record.digest,
        selection=_selection(record, order),
        baseline=trials[baseline.number] if baseline else None,
        best=trials[best.number] if best else None,
        best_mean=mean_over_seeds(best_scores),
        baseline_mean=mean_over_seeds(baseline_scores),
        gain=seed_gains(scores_by_seed(order, best_other), baseline_scores) if best_other else None,
        languages=_languages(
            best_scores, {} if best and best.plan.is_baseline else baseline_scores
        ),
        objective_targets=_objective_targets(best),
        ranked=tuple(row.number for row in order),
        objectives=evaluation.objectives,
        pareto=tuple(_pareto_entry(trials[number]) for number in summary.pareto),
        max_drop=evaluation.max_drop,
        trials=tuple(trials.values()),
        verdicts=_verdicts(summary, best, baseline),
        unscored_languages=_unscored(record),
        intermediates=_intermediates(order, trials),
        gains=gain_table(order, baseline),
        degradation=_degradation(record, order),
        priors=hindsight(summary.priors, record.rows),
        learning_rates=learning_rates(order),
        flat_intermediates=flat_intermediates(record.rows, record.phases),
        half_rates=half_rates(record.rows, record.phases),
        protocol=_protocols(whole),
        protocol_differences=differences,
        overhead_seconds=_overhead(record.rows),
        seconds=_seconds(record.rows),
        phases=_phases(record),
        retrains=of_retrains(record),
        summary=record.summary,
        warnings=tuple(record.warnings),
    )


def _objective_targets(best: TrialRow | None) -> tuple[str, ...]:
    targets = best.scores.objective_targets if best and best.scores else ()
    return tuple(target.task for target in targets)


def _differences(record: StudyRecord, rows: Sequence[TrialRow]) -> dict[str, list[str]]:
    """Task -> the fields of its protocol that differ between the trials."""
    targets = chain.from_iterable(row.scores.targets for row in rows if row.scores)
    return {task: list(names) for task, names in protocol_differences(targets).items()}


def _degradation(record: StudyRecord, order: Sequence[TrialRow]) -> Degradation:
    def lookup(source: str, languages: Sequence[str]) -> Distances:
        sizes = pretraining_sizes(record.rows[0].plan.encoder)
        return distances(source, languages) | {PRETRAINING: sizes}

    return degradation(
        paired_scores_of(record),
        lookup=lookup,
        intermediate_languages=by_language_of_intermediate(order),
    )


def _trial(row: TrialRow, baselines: Baselines) -> TrialFinding:
    scores, plan = row.scores, row.plan
    targets = scores.targets if scores else ()
    return TrialFinding(
        number=row.number,
        name=str(plan),
        state=row.state,
        params=row.params,
        intermediate=_intermediate(plan),
        label=plan.intermediate.mixture.short if plan.intermediate else "baseline",
        rates=Rates(
            intermediate=plan.intermediate.learning_rate if plan.intermediate else None,
            target=tuple(sorted({t.phase.learning_rate for t in plan.targets if t.phase})),
        ),
        objective=row.objective,
        values=row.values,
        largest_drop=row.largest_drop,
        is_feasible=row.is_feasible,
        zero_shot_mean=scores.zero_shot_mean if scores else None,
        transfer_gap=scores.transfer_gap if scores else None,
        transfer_gain=transfer_gain(row, baselines.of(row)),
        paired_gain=paired_gain(row, baselines),
        worst_language=WorstLanguage(*scores.worst_language) if scores else None,
        collapsed=is_collapsed(row),
        collapsed_targets=collapsed_targets(row),
        marks={t.task: t.mark for t in targets if t.mark is not Mark.NONE},
        reason=row.reason,
        duplicate_of=row.duplicate_of,
        scores={t.task: t.by_language for t in targets},
        task_scores=task_scores(scores) if scores else {},
        averages=averages(scores) if scores else {},
        source_languages={t.task: t.source_language for t in targets},
        seconds=row.seconds or None,
    )


def _intermediate(plan: TrialPlan) -> str | None:
    return str(plan.intermediate.mixture) if plan.intermediate else None


def _pareto_entry(trial: TrialFinding) -> ParetoEntry:
    return ParetoEntry(number=trial.number, name=trial.name, values=trial.values)


def _selection(record: StudyRecord, order: Sequence[TrialRow]) -> Selection:
    """The rule, what the other rules would have chosen, and the targets that it leaves out."""
    evaluation = record.settings.evaluation
    rule, pivots = evaluation.selection, evaluation.pivot_languages
    rules = [r for r in SelectionRule if pivots or r is not SelectionRule.PIVOT_DEV]
    # With several objectives, what another rule would choose is not asked.
    able = [row for row in order if row.may_win and not row.values]
    choices = [(other, _chosen(able, other, pivots)) for other in rules if other is not rule]
    best = next(iter(order), None)
    targets = best.scores.objective_targets if best and best.scores else ()
    return Selection(
        rule=rule,
        pivot_languages=pivots,
        left_out=tuple(
            target.task
            for target in targets
            if not selecting_languages(target, rule, pivot_languages=pivots)
        ),
        seen_test_rows=record.seen_test_rows(best) if best else {},
        other_rules=tuple(
            OtherRule(
                rule=other,
                number=row.number,
                name=str(row.plan),
                zero_shot_mean=mean_over_seeds(scores_by_seed(order, row)),
            )
            for other, row in choices
            if row is not None
        ),
    )


def _chosen(
    rows: Sequence[TrialRow], rule: SelectionRule, pivots: Sequence[str]
) -> TrialRow | None:
    """The trial that would be first under another rule, over all seeds of a plan."""

    def value(row: TrialRow) -> tuple[float, ...]:
        assert row.scores is not None
        return (objective(row.scores, rule, pivot_languages=pivots),)

    try:
        return next(iter(in_order([row for row in rows if row.scores], value)), None)
    except Refusal:  # no target has rows under this rule
        return None


def _languages(best: BySeed, baseline: BySeed) -> tuple[LanguageCell, ...]:
    """The best plan beside the best baseline, cell by cell; means over the seeds that both have.

    Args:
        baseline: empty where the best plan is the baseline.
    """
    if not best:
        return ()
    of_best, of_baseline = side_by_side(best, baseline) if baseline else (tuple(best.values()), ())
    means, baseline_means = _cell_means(of_best), _cell_means(of_baseline)
    cells = []
    for target in of_best[0].targets:
        for language in target.by_language:
            score = means[target.task, language]
            against = baseline_means.get((target.task, language))
            cells.append(
                LanguageCell(
                    task=target.task,
                    language=language,
                    is_source=language == target.source_language,
                    num_rows=target.num_rows.get(language),
                    num_truncated=target.num_truncated.get(language, 0),
                    best=score,
                    baseline=against,
                    difference=None if against is None else score - against,
                )
            )
    return tuple(cells)


def _cell_means(runs: Sequence[Scores]) -> dict[tuple[str, str], float]:
    """(target, language) -> the mean of its main score."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for target in (target for run in runs for target in run.targets):
        for language, value in target.by_language.items():
            values[target.task, language].append(value)
    return {cell: fmean(of_cell) for cell, of_cell in values.items()}


def _unscored(record: StudyRecord) -> dict[str, list[str]]:
    """Task -> languages the study asks for in which no trial has scores (no rows to select by)."""
    asked = set(record.settings.evaluation.languages)
    scored: dict[str, set[str]] = defaultdict(set)
    for target in chain.from_iterable(row.scores.targets for row in record.rows if row.scores):
        scored[target.task].update(target.languages)
    known = {target.task.name: target.task for row in record.rows for target in row.plan.targets}
    missing = {}
    for task in scored:
        languages = known[task].languages if task in known else ()
        wanted = [code for code in languages if not asked or code in asked]
        missing[task] = [code for code in wanted if code not in scored[task]]
    return {task: languages for task, languages in missing.items() if languages}


def _intermediates(
    rows: Sequence[TrialRow], trials: Mapping[int, TrialFinding]
) -> tuple[IntermediateSummary, ...]:
    """Each intermediate over all its trials, best mean first."""
    groups: dict[str | None, list[TrialRow]] = defaultdict(list)
    for row in rows:
        if row.scores is not None:
            groups[_intermediate(row.plan)].append(row)
    baselines = Baselines.among(rows)
    summaries = []
    for name, members in groups.items():
        means = [row.scores.zero_shot_mean for row in members if row.scores]
        gains = {row.number: trials[row.number].paired_gain for row in members}
        pairs = [(row, baselines.twin_of(row)) for row in members if gains[row.number] is not None]
        summaries.append(
            IntermediateSummary(
                intermediate=name,
                label=trials[members[0].number].label,
                num_trials=len(members),
                mean=fmean(means),
                low=min(means),
                high=max(means),
                collapsed=collapsed_counts(row.scores for row in members if row.scores),
                paired_gains=tuple(gain for gain in gains.values() if gain is not None),
                num_spoilt_pairs=sum(
                    any(collapsed_targets(row) for row in pair if row) for pair in pairs
                ),
            )
        )
    return tuple(sorted(summaries, key=lambda summary: -summary.mean))


def _protocols(rows: Sequence[TrialRow]) -> dict[str, ScoringProtocol]:
    protocols: dict[str, ScoringProtocol] = {}
    for target in chain.from_iterable(row.scores.targets for row in rows if row.scores):
        protocols.setdefault(target.task, target.protocol)
    return protocols


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


def _phases(record: StudyRecord) -> PhaseUse:
    """How often scored trials used phases, and how few had to be trained for it."""
    used = [set(row.phase_keys) for row in record.rows if row.state is TrialState.SCORED]
    num_used = sum(len(keys) for keys in used)
    return PhaseUse(
        trained=len(record.phases), used=num_used, reused=num_used - len(set().union(*used))
    )


def _verdicts(
    summary: StudySummary, best: TrialRow | None, baseline: TrialRow | None
) -> tuple[LanguageVerdict, ...]:
    """By language, as judged when the study ended; none where another trial is the best now."""
    judged = summary.verdicts
    if judged is None or best is None or baseline is None:
        return ()
    is_same = (judged.trial, judged.baseline) == (best.number, baseline.number)
    return judged.languages if is_same else ()
