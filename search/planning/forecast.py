"""How long a study would take, from what its kinds of stages take a step and its targets to score.
Pure.

The plans are drawn as `sampler = "random"` would draw them: one that learns comes back to the same
options, shares more stages and so takes less.
"""

import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from statistics import fmean, stdev
from typing import TypeVar

from search.planning.plan import stage_paths
from spaces.phases import Phase, Recipe, TrialPlan
from spaces.study import StudySettings
from spaces.task_catalog import get_task

MAX_DRAWS = 50  # for every trial of the budget: then the space is taken to be exhausted
MAX_KINDS = 12  # kinds of stages that are told apart by their tasks; more, by the kinds of these

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class StageKind:
    """Stages that are taken to cost the same a step: those of the same tasks (or, where there are
    many, of tasks of the same kinds) and of the same recipe."""

    name: str
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """Seconds of each measured step, of one scoring of the validation rows (0: none are scored),
    and of what comes before the first step and after the last: the weights copied and written."""

    steps: tuple[float, ...]
    dev: float
    around: float

    def seconds(self, recipe: Recipe, *, off: float = 0.0) -> float:
        """Of a whole stage that does not stop early; `off` standard deviations of a step slower
        in every step, or faster, but never faster than the fastest one."""
        spread = stdev(self.steps) if len(self.steps) > 1 else 0.0
        step = max(min(self.steps), fmean(self.steps) + off * spread)
        num_dev = recipe.num_steps // recipe.evaluate_every if recipe.evaluate_every else 0
        return recipe.num_steps * step + num_dev * self.dev + self.around


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of all trials of the budget. `seconds` are by the clock with so many trials side by side, the
    others of work: `saved_seconds` what equal stages would take that are trained once. `low` and
    `high` hold where every step is one standard deviation faster or slower."""

    num_trials: int
    num_phases: int
    num_stages: int
    seconds: float
    low: float
    high: float
    training_seconds: float
    evaluation_seconds: float
    saved_seconds: float
    gpu_hours: float | None
    disk_bytes: int
    max_concurrent_trials: int


class RandomDraw:
    """Values of a trial's params at random: the part of an Optuna trial that a space needs."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.params: dict[str, object] = {}

    def suggest_categorical(self, name: str, choices: Sequence[_Value]) -> _Value:
        chosen = self._rng.choice(choices)
        self.params[name] = chosen
        return chosen

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        drawn = _logarithmic(self._rng, low, high) if log else self._rng.uniform(low, high)
        self.params[name] = drawn
        return drawn


def drawn_plans(settings: StudySettings) -> list[TrialPlan]:
    """As many different plans as the budget has trials, the first ones as the study tries them."""
    space, rng = settings.search_space(), random.Random(settings.study.seed)
    wanted = settings.budget.num_trials
    plans = dict.fromkeys(space.decode(point) for point in space.first_points()[:wanted])
    for _ in range(MAX_DRAWS * wanted):
        if len(plans) >= wanted or space.is_grid:
            break
        draw = RandomDraw(rng)
        space.suggest(draw)
        plans[space.decode(draw.params)] = None
    return list(plans)


def kinds_of(plans: Iterable[TrialPlan]) -> dict[StageKind, Phase]:
    """Kind of stage -> the first stage of it; by tasks, unless these are too many."""
    phases = [path[-1] for plan in plans for path in stage_paths(plan)]
    by_tasks = _first(phases, by_kind=False)
    return by_tasks if len(by_tasks) <= MAX_KINDS else _first(phases, by_kind=True)


def kind_of(phase: Phase, kinds: Mapping[StageKind, object]) -> StageKind:
    """The one of these kinds that a stage is of."""
    named = StageKind(_tasks(phase), phase.recipe)
    return named if named in kinds else StageKind(_kinds(phase), phase.recipe)


def forecast(
    settings: StudySettings,
    plans: Sequence[TrialPlan],
    costs: Mapping[StageKind, StageCost],
    evaluation: Mapping[str, float],
    *,
    startup: float,
    phase_bytes: int,
    max_concurrent: int,
) -> Forecast:
    """What the plans take together.

    Args:
        evaluation: seconds that scoring each target takes in one trial.
        startup: seconds until a worker is ready for its first trial.
        phase_bytes: of one stage in the phase store.
    """

    def clock(off: float) -> float:
        return startup + _elapsed(
            [
                sum(_stage_seconds(path[-1], costs, settings, off) for path in new)
                + sum(evaluation[target.task] for target in plan.targets)
                for plan, new in _new_stages(plans)
            ],
            max_concurrent,
        )

    paths = [path for plan in plans for path in stage_paths(plan)]
    training = fsum(_stage_seconds(path[-1], costs, settings, 0.0) for path in set(paths))
    without_tree = fsum(_stage_seconds(path[-1], costs, settings, 0.0) for path in paths)
    scoring = sum(evaluation[target.task] for plan in plans for target in plan.targets)
    gpus = settings.resources.num_gpus
    return Forecast(
        num_trials=len(plans),
        num_phases=len(paths),
        num_stages=len(set(paths)),
        seconds=clock(0.0),
        low=clock(-1.0),
        high=clock(1.0),
        training_seconds=training,
        evaluation_seconds=scoring,
        saved_seconds=without_tree - training,
        gpu_hours=(training + scoring) * gpus / 3600 if gpus else None,
        disk_bytes=phase_bytes * len(set(paths)),
        max_concurrent_trials=max_concurrent,
    )


def _stage_seconds(
    phase: Phase, costs: Mapping[StageKind, StageCost], settings: StudySettings, off: float
) -> float:
    """Workers share the steps, and are taken to do so without loss."""
    found = costs[kind_of(phase, costs)].seconds(phase.recipe, off=off)
    return found / settings.resources.num_workers


def _new_stages(
    plans: Sequence[TrialPlan],
) -> Iterable[tuple[TrialPlan, list[tuple[Phase, ...]]]]:
    """Each plan with the stages that no plan before it trains."""
    there: set[tuple[Phase, ...]] = set()
    for plan in plans:
        new = [path for path in dict.fromkeys(stage_paths(plan)) if path not in there]
        there.update(new)
        yield plan, new


def _elapsed(seconds: Sequence[float], max_concurrent: int) -> float:
    """Until the last trial ends, where each begins as soon as a place is free."""
    places = [0.0] * max_concurrent
    for length in seconds:
        heapq.heapreplace(places, places[0] + length)
    return max(places)


def _first(phases: Iterable[Phase], *, by_kind: bool) -> dict[StageKind, Phase]:
    found: dict[StageKind, Phase] = {}
    for phase in phases:
        name = _kinds(phase) if by_kind else _tasks(phase)
        found.setdefault(StageKind(name, phase.recipe), phase)
    return found


def _tasks(phase: Phase) -> str:
    return "+".join(dict.fromkeys(str(source) for source in phase.mixture.sources))


def _kinds(phase: Phase) -> str:
    kinds = {get_task(source.task).kind.value for source in phase.mixture.sources}
    return f"any {' and '.join(sorted(kinds))}"


def _logarithmic(rng: random.Random, low: float, high: float) -> float:
    return exp(rng.uniform(log(low), log(high)))
