"""Forecasts how long a study takes, from the measured times of its steps and of its scoring. Pure.

The plans are drawn as `sampler = "random"` would draw them. A sampler that learns returns to the
same options, shares more stages and so takes less time.
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
from spaces.study_file.study import StudySettings

MAX_DRAWS = 50  # draws for each trial of the budget, after which the space counts as exhausted
# Up to so many kinds of stages are distinguished by their tasks. If there are more, stages are
# distinguished by the kinds of their tasks only.
MAX_KINDS = 12

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class StageKind:
    """A set of stages that are assumed to cost the same per step.

    They have the same recipe and the same tasks or, if there are many, tasks of the same kinds.
    """

    name: str
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """The measured times of a kind of stage.

    Attributes:
        steps: seconds of each measured step.
        dev: seconds of scoring the validation rows once; 0 if they are not scored.
        around: seconds before the first step and after the last step, in which the weights are
            copied and written.
    """

    steps: tuple[float, ...]
    dev: float
    around: float

    def seconds(self, recipe: Recipe, *, off: float = 0.0) -> float:
        """Return the seconds of a whole stage that does not stop early.

        Args:
            recipe: recipe of the stage.
            off: every step is slower by so many standard deviations of a step (faster if negative),
                but never faster than the fastest measured step.
        """
        spread = stdev(self.steps) if len(self.steps) > 1 else 0.0
        step = max(min(self.steps), fmean(self.steps) + off * spread)
        num_dev = recipe.num_steps // recipe.evaluate_every if recipe.evaluate_every else 0
        return recipe.num_steps * step + num_dev * self.dev + self.around


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The time and disk space that all trials of the budget take.

    Attributes:
        num_trials: trials of the budget, or fewer if the space has fewer plans.
        num_phases: phases of all trials.
        num_stages: phases that are trained, since equal phases are trained once.
        seconds: elapsed time with `max_concurrent_trials` trials at a time.
        low: elapsed time if every step is one standard deviation faster.
        high: elapsed time if every step is one standard deviation slower.
        training_seconds: time of training, summed over all stages.
        evaluation_seconds: time of scoring, summed over all trials.
        saved_seconds: time that is saved because equal stages are trained once.
        gpu_hours: GPU hours of training and scoring; None without GPUs.
        disk_bytes: size of the phase store.
        max_concurrent_trials: trials that run at the same time.
    """

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
    """Draws the params of a trial at random; has the methods of an Optuna trial that a space
    calls."""

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
    """Return as many different plans as the budget has trials; the first ones are the first points
    that the study tries."""
    space, rng = settings.search_space(), random.Random(settings.study.seed)
    num_trials = settings.budget.num_trials
    plans = dict.fromkeys(space.decode(point) for point in space.first_points()[:num_trials])
    for _ in range(MAX_DRAWS * num_trials):
        if len(plans) >= num_trials or space.is_grid:
            break
        draw = RandomDraw(rng)
        space.suggest(draw)
        plans[space.decode(draw.params)] = None
    return list(plans)


def kinds_of(plans: Iterable[TrialPlan]) -> dict[StageKind, Phase]:
    """Return kind of stage -> its first stage. Kinds are distinguished by tasks, or by kinds of
    tasks if there would be more than MAX_KINDS."""
    phases = [path[-1] for plan in plans for path in stage_paths(plan)]
    by_tasks = _first(phases, by_kind=False)
    return by_tasks if len(by_tasks) <= MAX_KINDS else _first(phases, by_kind=True)


def kind_of(phase: Phase, kinds: Mapping[StageKind, object]) -> StageKind:
    """Return which of these kinds a stage belongs to."""
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
    """Forecast the time and disk space that the plans take together.

    Args:
        settings: settings of the study.
        plans: plans in the order in which they are tried.
        costs: measured times of each kind of stage.
        evaluation: target -> seconds that scoring it takes in one trial.
        startup: seconds until a worker is ready for its first trial.
        phase_bytes: size of one stage in the phase store.
        max_concurrent: trials that run at the same time.
    """

    def clock(off: float) -> float:
        return startup + _elapsed(
            [
                sum(_stage_seconds(path[-1], costs, settings, off) for path in new)
                + sum(evaluation[target.task.name] for target in plan.targets)
                for plan, new in _new_stages(plans)
            ],
            max_concurrent,
        )

    paths = [path for plan in plans for path in stage_paths(plan)]
    training = fsum(_stage_seconds(path[-1], costs, settings, 0.0) for path in set(paths))
    without_tree = fsum(_stage_seconds(path[-1], costs, settings, 0.0) for path in paths)
    scoring = sum(evaluation[target.task.name] for plan in plans for target in plan.targets)
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
    """Return the seconds of one stage; the workers of a trial are assumed to share them without
    loss."""
    seconds = costs[kind_of(phase, costs)].seconds(phase.recipe, off=off)
    return seconds / settings.resources.num_workers


def _new_stages(
    plans: Sequence[TrialPlan],
) -> Iterable[tuple[TrialPlan, list[tuple[Phase, ...]]]]:
    """Yield each plan with the stages that no earlier plan trains."""
    trained: set[tuple[Phase, ...]] = set()
    for plan in plans:
        new = [path for path in dict.fromkeys(stage_paths(plan)) if path not in trained]
        trained.update(new)
        yield plan, new


def _elapsed(seconds: Sequence[float], max_concurrent: int) -> float:
    """Return the time until the last trial ends, if each starts as soon as a slot is free."""
    slots = [0.0] * max_concurrent  # when each slot becomes free
    for length in seconds:
        heapq.heapreplace(slots, slots[0] + length)
    return max(slots)


def _first(phases: Iterable[Phase], *, by_kind: bool) -> dict[StageKind, Phase]:
    first: dict[StageKind, Phase] = {}
    for phase in phases:
        name = _kinds(phase) if by_kind else _tasks(phase)
        first.setdefault(StageKind(name, phase.recipe), phase)
    return first


def _tasks(phase: Phase) -> str:
    return "+".join(dict.fromkeys(str(source) for source in phase.mixture.sources))


def _kinds(phase: Phase) -> str:
    kinds = {source.task.kind.value for source in phase.mixture.sources}
    return f"any {' and '.join(sorted(kinds))}"


def _logarithmic(rng: random.Random, low: float, high: float) -> float:
    return exp(rng.uniform(log(low), log(high)))
