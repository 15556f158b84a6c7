"""The trials of a study as rows, and their order. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any

from pydantic import JsonValue

from search.stats.shrinkage import shrunken_means
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import Objective, SelectionRule
from spaces.tasks.catalogue import Catalogue
from trainables.scoring.scores import Scores, selecting_languages


class TrialState(StrEnum):
    """Whether a trial runs, was scored, or ended without a score."""

    RUNNING = "running"
    SCORED = "scored"
    FAILED = "failed"
    PRUNED = "pruned"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial of the record.

    `phase_keys` are the keys of its phases, intermediate first. `seconds` splits the trial's
    wall time as the driver saw it: `training`, `evaluation` (scores that were stored already count
    the time that they took then), `startup` (of a cold worker; zero on a warm one) and `total`,
    which includes everything else that the trial itself did. `gpu`, where a trial holds GPUs, are
    GPU-seconds, over all drivers that ran it.
    `duplicate_of` is the number of the equal trial whose score this one got. `num_reused` counts
    the phases that were in the store when it started; None where that is not known. `values` are
    those of the objectives that the study names, in its order. `largest_drop` is how far a language
    falls under its baseline, `sure_drop` how much of that is established (feasibility.py), and
    `is_feasible` whether that is allowed; None where the study sets no limit.
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
    values: Mapping[str, float] = field(default_factory=dict)
    largest_drop: float | None = None
    sure_drop: float | None = None
    is_feasible: bool | None = None

    @property
    def may_win(self) -> bool:
        """Whether the trial was scored to its end, and no language falls further than allowed."""
        is_scored = self.state is TrialState.SCORED and self.objective is not None
        return is_scored and self.is_feasible is not False

    def to_dict(self) -> dict[str, JsonValue]:
        """The row as JSON values, as the record stores it."""
        return {
            "number": self.number,
            "state": self.state.value,
            "params": dict(self.params),
            "plan": self.plan.to_dict(),
            "phase_keys": list(self.phase_keys),
            "objective": self.objective,
            "scores": self.scores.to_dict() if self.scores else None,
            "reason": self.reason,
            "duplicate_of": self.duplicate_of,
            "seconds": dict(self.seconds) if self.seconds is not None else None,
            "num_reused": self.num_reused,
            "values": dict(self.values),
            "largest_drop": self.largest_drop,
            "sure_drop": self.sure_drop,
            "is_feasible": self.is_feasible,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], catalogue: Catalogue) -> "TrialRow":
        """The inverse of `to_dict`, to the last bit. Raises Refusal for a task that the catalogue
        does not have."""
        scores = data["scores"]
        return cls(
            number=data["number"],
            state=TrialState(data["state"]),
            params=data["params"],
            plan=TrialPlan.from_dict(data["plan"], catalogue),
            phase_keys=tuple(data["phase_keys"]),
            objective=data["objective"],
            scores=Scores.from_dict(scores) if scores else None,
            reason=data["reason"],
            duplicate_of=data["duplicate_of"],
            seconds=data["seconds"],
            num_reused=data.get("num_reused"),
            values=data.get("values", {}),
            largest_drop=data.get("largest_drop"),
            sure_drop=data.get("sure_drop"),
            is_feasible=data.get("is_feasible"),
        )


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
    num_tokens: int = 0  # padding included; older records do not have it
    loss_fell: bool = True  # older records do not have it

    def to_dict(self) -> dict[str, JsonValue]:
        """The row as JSON values, as the record stores it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PhaseRow":
        """The inverse of `to_dict`."""
        return cls(**data)


def over_seeds(rows: Iterable[TrialRow]) -> dict[TrialPlan, list[TrialRow]]:
    """Plan with seed 0 -> its trials: several only where seeds are a dimension of the grid."""
    by_plan: dict[TrialPlan, list[TrialRow]] = {}
    for row in rows:
        by_plan.setdefault(row.plan.with_seed(0), []).append(row)
    return by_plan


def ranked(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Scored trials, best objective first, the earlier one first among equals; then those that may
    not win, then those that learned nothing. With several objectives the first one counts, and the
    next one among equals.

    Trials that differ in their seed alone are ranked together, by their mean over all seeds,
    collapsed ones included: the best of many seeds is luck. Where plans have unequal numbers of
    seeds, their means are shrunk first. A plan may win where each of its trials may.
    """
    return in_order(rows, _merit)


def in_order(
    rows: Iterable[TrialRow], merit: Callable[[TrialRow], tuple[float, ...]]
) -> list[TrialRow]:
    """The order of `ranked` by another merit: more is better, the next number decides among
    equals."""
    scored = [row for row in rows if row.state is TrialState.SCORED and row.objective is not None]
    groups = over_seeds(scored)
    means = _means(groups, merit)
    seedless = {row.number: plan for plan, members in groups.items() for row in members}

    def order(row: TrialRow) -> tuple[Any, ...]:
        plan = seedless[row.number]
        members, own = groups[plan], merit(row)
        num_lost = sum(map(is_collapsed, members))
        is_barred = any(member.is_feasible is False for member in members)
        return (
            2 * num_lost > len(members),
            is_barred,
            [-mean for mean in means[plan]],
            -len(members),
            [-value for value in own],
            row.number,
        )

    return sorted(scored, key=order)


def _means(
    groups: Mapping[TrialPlan, Sequence[TrialRow]], merit: Callable[[TrialRow], tuple[float, ...]]
) -> dict[TrialPlan, list[float]]:
    """Plan -> the mean merit over its seeds, number by number."""
    merits = {plan: [merit(row) for row in members] for plan, members in groups.items()}
    found: dict[TrialPlan, list[float]] = {plan: [] for plan in groups}
    for place in range(max((len(seeds[0]) for seeds in merits.values()), default=0)):
        able = [plan for plan, seeds in merits.items() if len(seeds[0]) > place]
        columns = [[values[place] for values in merits[plan]] for plan in able]
        is_even = len({len(column) for column in columns}) == 1
        means = [fmean(column) for column in columns] if is_even else shrunken_means(columns)
        for plan, mean in zip(able, means, strict=True):
            found[plan].append(mean)
    return found


def _merit(row: TrialRow) -> tuple[float, ...]:
    """The merit of a trial, more is better."""
    signs = [-1 if Objective(name).is_minimised else 1 for name in row.values]
    values = [sign * value for sign, value in zip(signs, row.values.values(), strict=True)]
    return tuple(values) or _objective_alone(row)


def _objective_alone(row: TrialRow) -> tuple[float, ...]:
    assert row.objective is not None
    return (row.objective,)


def best(rows: Sequence[TrialRow]) -> TrialRow:
    """The trial that `retrain` takes: the best one, baselines included. Raises Refusal without a
    scored trial."""
    order = ranked(rows)
    if not order:
        raise Refusal("the study has no scored trial yet: let `run` finish one first")
    return order[0]


def better_of(best: TrialRow | None, row: TrialRow) -> TrialRow | None:
    """The best trial so far once another one has ended: the one with the higher objective, the
    earlier one if equal. A trial that may not win leaves it as it is. Seeds are not averaged:
    while the search runs, a plan may lack some of its seeds."""
    if not row.may_win or row.objective is None:
        return best
    if best is None or best.objective is None or row.objective > best.objective:
        return row
    return best


def best_baseline(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The trial without an intermediate phase that has the best scores, whatever the study's
    objectives are: gains are measured against it. None without a scored one."""
    baselines = [row for row in rows if row.plan.is_baseline]
    return next(iter(in_order(baselines, _objective_alone)), None)


@dataclass(frozen=True, slots=True)
class Baselines:
    """The baselines of a study. `by_plan` has the scored ones, the best first."""

    best: TrialRow | None
    by_plan: Mapping[TrialPlan, Sequence[TrialRow]]

    @classmethod
    def among(cls, rows: Sequence[TrialRow]) -> "Baselines":
        baselines = [row for row in rows if row.plan.is_baseline]
        by_plan: dict[TrialPlan, list[TrialRow]] = {}
        for row in baselines:
            by_plan.setdefault(row.plan, []).append(row)
        return cls(best_baseline(baselines), {k: ranked(v) for k, v in by_plan.items()})

    def of(self, row: TrialRow) -> TrialRow | None:
        """The best baseline, with the trial's own seed where it was trained with that too."""
        if self.best is None or row.plan.seed is None:
            return self.best
        twins = self.by_plan.get(self.best.plan.with_seed(row.plan.seed), ())
        return next(iter(twins), self.best)

    def twin_of(self, row: TrialRow) -> TrialRow | None:
        """The baseline with the same target phases and seed, if any."""
        return next(iter(self.by_plan.get(row.plan.baseline(), ())), None)


def transfer_gain(row: TrialRow, baseline: TrialRow | None) -> float | None:
    """Zero-shot mean minus that of the best baseline of the study.

    None for a trial that was not scored to its end: a pruned one lacks targets.
    """
    if row.state is not TrialState.SCORED:
        return None
    if row.scores is None or baseline is None or baseline.scores is None:
        return None
    return row.scores.zero_shot_mean - baseline.scores.zero_shot_mean


def paired_gain(row: TrialRow, baselines: Baselines) -> float | None:
    """Zero-shot mean minus that of the baseline with the same target phases and seed, if any.

    None for a baseline. A baseline that collapsed counts, as it does in every mean: part of the
    gain may be that the trial does not collapse.
    """
    return None if row.plan.is_baseline else transfer_gain(row, baselines.twin_of(row))


def seen_languages(
    row: TrialRow, rule: SelectionRule, *, pivot_languages: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Target -> the languages with a single evaluation split whose rows affected the selection: in
    the objective, or as validation rows that ended a phase early (SQuAD's, from which XQuAD's were
    drawn). Where such a split is not cut in halves, selection has seen these test rows."""
    seen: dict[str, set[str]] = {target.task.name: set() for target in row.plan.targets}
    for scored in row.scores.objective_targets if row.scores else ():
        seen[scored.task].update(selecting_languages(scored, rule, pivot_languages=pivot_languages))
    phases = [row.plan.intermediate, *(target.phase for target in row.plan.targets)]
    early = [phase for phase in phases if phase and phase.recipe.evaluate_every]
    sources = {source for phase in early for source in phase.mixture.sources}
    for source in sources:
        for task in seen.keys() & {source.task.name, *source.task.holds}:
            seen[task].add(source.language)
    single = {target.task.name: target.task.single_split for target in row.plan.targets}
    both = {task: sorted(codes.intersection(single[task])) for task, codes in seen.items()}
    return {task: codes for task, codes in both.items() if codes}


def is_collapsed(row: TrialRow) -> bool:
    """Whether a scored trial learned nothing: every objective target collapsed."""
    return row.scores is not None and row.scores.is_collapsed


def collapsed_targets(row: TrialRow) -> tuple[str, ...]:
    """The objective targets that collapsed."""
    return row.scores.collapsed if row.scores else ()
