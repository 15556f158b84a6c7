"""The best plans of a study beside the best baseline, means over their seeds. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from search.findings.findings import Findings, Rates, TrialFinding, WorstLanguage

MAX_PLANS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One plan: its best trial, and the means over its seeds. Scores in [0, 1]."""

    trial: int
    label: str
    rates: Rates
    num_seeds: int
    zero_shot_mean: float
    gain: float | None
    """Over the best baseline; None for a baseline, or without one."""
    gap: float | None
    worst: WorstLanguage | None
    values: Mapping[str, float]
    """Objective -> its value; empty where the study names no objectives."""


def plan_rows(findings: Findings) -> tuple[PlanRow, ...]:
    """The three best plans (of the Pareto set, where there are several objectives), then the best
    baseline, unless it is one of them."""
    plans = plans_of(findings.ranked_trials)
    wanted = [entry.number for entry in findings.pareto]
    if len(findings.objectives) > 1 and wanted:
        by_number = {trial.number: plan for plan in plans for trial in plan}
        best = [by_number[number] for number in wanted if number in by_number]
    else:
        best = plans
    shown = list({id(plan): plan for plan in best}.values())[:MAX_PLANS]
    if findings.baseline is not None:
        of_baseline = next(plan for plan in plans if findings.baseline in plan)
        shown += [of_baseline] if of_baseline not in shown else []
    return tuple(_row(plan, findings.baseline_mean) for plan in shown)


def plans_of(trials: Iterable[TrialFinding]) -> list[Sequence[TrialFinding]]:
    """Trials that differ in their seed alone, together; in the order of the first of each."""
    plans: dict[tuple[str, ...], list[TrialFinding]] = {}
    for trial in trials:
        params = (f"{name}={value}" for name, value in trial.params.items() if name != "seed")
        plans.setdefault((trial.name, str(trial.intermediate), *sorted(params)), []).append(trial)
    return list(plans.values())


def num_plans(findings: Findings) -> tuple[int, int]:
    """How many plans with an intermediate phase are scored, and how many baselines."""
    plans = plans_of(findings.ranked_trials)
    num = sum(1 for plan in plans if plan[0].intermediate is not None)
    return num, len(plans) - num


def _row(plan: Sequence[TrialFinding], baseline: float | None) -> PlanRow:
    best = plan[0]
    level = _mean(trial.zero_shot_mean for trial in plan) or 0.0
    is_compared = best.intermediate is not None and baseline is not None
    worst = [trial.worst_language for trial in plan if trial.worst_language is not None]
    return PlanRow(
        trial=best.number,
        label=best.label,
        rates=best.rates,
        num_seeds=len(plan),
        zero_shot_mean=level,
        gain=level - baseline if is_compared and baseline is not None else None,
        gap=_mean(trial.transfer_gap for trial in plan),
        worst=min(worst, key=lambda cell: cell.score) if worst else None,
        values={
            name: fmean(trial.values[name] for trial in plan if name in trial.values)
            for name in best.values
        },
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
