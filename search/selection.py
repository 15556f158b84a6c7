"""The trials of a study as rows, and which of them is best. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.sections import SelectionRule
from spaces.tasks import TASKS
from trainables.scores import Scores, selecting_languages


class TrialState(StrEnum):
    """How a trial stands, in the record."""

    RUNNING = "running"
    SCORED = "scored"
    FAILED = "failed"
    PRUNED = "pruned"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial of the record.

    `phase_keys` are the keys of its phases, intermediate first. `seconds` splits the trial's
    wall time as the driver saw it: `training`, `evaluation`, `startup` (of a cold worker; zero on
    a warm one) and `total`, which has everything else in it too. `gpu`, where a trial holds GPUs,
    are GPU-seconds, over all drivers that ran it.
    `duplicate_of` is the number of the equal trial whose score this one was told. `num_reused` of
    its phases were in the store as it started; None where that is not known.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    plan: TrialPlan
    phase_keys: tuple[str, ...]
    objective: float | None = None
    scores: Scores | None = None
    reason: str | None = None
    duplicate_of: int | None = None
    seconds: Mapping[str, float] | None = None
    num_reused: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """One trained phase of the record; trials that share it list its key."""

    key: str
    parent: str | None
    name: str
    learning_rate: float
    num_steps: int
    num_examples: int
    seconds: float
    dev_score: float | None
    retried: bool
    num_tokens: int = 0  # padding included; not known of older records


def over_seeds(rows: Iterable[TrialRow]) -> dict[TrialPlan, list[TrialRow]]:
    """Trials by plan, the seed aside: several only where seeds are a dimension of the grid."""
    found: dict[TrialPlan, list[TrialRow]] = {}
    for row in rows:
        found.setdefault(row.plan.with_seed(0), []).append(row)
    return found


def ranked(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """Scored trials, best objective first, the earlier one first among equals; collapsed last.

    Trials that differ in their seed alone stand together, in the order of their mean: the best of
    many seeds is luck.
    """
    scored = [row for row in rows if row.state is TrialState.SCORED and row.objective is not None]
    means: dict[TrialPlan, float] = {}
    for plan, members in over_seeds(r for r in scored if not is_collapsed(r)).items():
        means[plan] = fmean(row.objective for row in members if row.objective is not None)

    def order(row: TrialRow) -> tuple[bool, float, float, int]:
        assert row.objective is not None
        mean = means.get(row.plan.with_seed(0), row.objective)
        return (is_collapsed(row), -mean, -row.objective, row.number)

    return sorted(scored, key=order)


def best(rows: Sequence[TrialRow]) -> TrialRow:
    """The trial that `retrain` takes: the best one, baselines included."""
    order = ranked(rows)
    if not order:
        raise Refusal("the study has no scored trial yet: let `run` finish one first")
    return order[0]


def best_baseline(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The best trial without an intermediate phase; gains are measured against it."""
    return next(iter(ranked([row for row in rows if row.plan.is_baseline])), None)


def baseline_of(row: TrialRow, rows: Sequence[TrialRow]) -> TrialRow | None:
    """What a trial's gain is measured against: the best baseline, of the trial's own seed where it
    was trained with that too."""
    first = best_baseline(rows)
    if first is None or row.plan.seed is None:
        return first
    twin = first.plan.with_seed(row.plan.seed)
    own = (r for r in ranked([r for r in rows if r.plan == twin]) if not is_collapsed(r))
    return next(own, first)


def transfer_gain(row: TrialRow, baseline: TrialRow | None) -> float | None:
    """Zero-shot mean minus that of the best baseline of the study.

    None for a trial that was not scored to its end: a pruned one lacks targets.
    """
    if row.state is not TrialState.SCORED:
        return None
    if row.scores is None or baseline is None or baseline.scores is None:
        return None
    return row.scores.zero_shot_mean - baseline.scores.zero_shot_mean


def paired_gain(row: TrialRow, rows: Sequence[TrialRow]) -> float | None:
    """Zero-shot mean minus that of the baseline with the same target phases and seed, if any.

    None for a baseline, which has no other side, and against a collapsed one, which is no measure.
    """
    if row.plan.is_baseline:
        return None
    plan = row.plan.baseline()
    twin = next(iter(ranked([r for r in rows if r.plan == plan])), None)
    if twin is None or (twin.scores and twin.scores.is_collapsed):
        return None
    return transfer_gain(row, twin)


def seen_languages(
    row: TrialRow, rule: SelectionRule, *, pivot_languages: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Target -> the languages with one evaluation split of which the rows had a say: in the
    objective, or as validation rows that ended a phase early. Where such a split is not cut in
    halves, these are test rows that selection has seen."""
    seen: dict[str, set[str]] = {target.task: set() for target in row.plan.targets}
    for scored in row.scores.objective_targets if row.scores else ():
        seen[scored.task].update(selecting_languages(scored, rule, pivot_languages=pivot_languages))
    phases = [row.plan.intermediate, *(target.phase for target in row.plan.targets)]
    for phase in phases:
        for source in phase.mixture.sources if phase and phase.recipe.evaluate_every else ():
            seen.get(source.task, set()).add(source.language)
    single = {task: TASKS[task].single_split if task in TASKS else () for task in seen}
    found = {task: sorted(codes.intersection(single[task])) for task, codes in seen.items()}
    return {task: codes for task, codes in found.items() if codes}


def is_collapsed(row: TrialRow) -> bool:
    """Whether a scored trial is to be kept out of averages."""
    return row.scores is not None and row.scores.is_collapsed
