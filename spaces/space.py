"""SearchSpace: what may vary. `suggest` names the ranges, `decode` makes the plan; side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe, Target, TrialPlan
from spaces.refusal import Refusal, unknown
from spaces.tasks import Source, get_task

NONE, ALL, MIXED = "none", "all", "mixture"


class Suggest(Protocol):
    """The part of an Optuna trial that a space needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True, slots=True)
class Grid:
    """Learning rates to choose from: equal values make equal phases, which are trained once."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise Refusal(f"a learning-rate grid needs values, each once; got {self.values}")
        if not all(0 < value < 1 for value in self.values):
            raise Refusal(f"learning rates must lie between 0 and 1; got {self.values}")

    def __contains__(self, rate: Any) -> bool:
        return rate in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"

    def suggest(self, trial: Suggest, name: str) -> None:
        trial.suggest_categorical(name, self.values)

    def spread(self, count: int) -> tuple[float, ...]:
        """Every value: a grid is tried whole, whatever `count` says."""
        return self.values


@dataclass(frozen=True, slots=True)
class Range:
    """A continuous, logarithmic range of learning rates."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < 1:
            given = f"low {self.low}, high {self.high}"
            raise Refusal(f"a learning-rate range needs 0 < low < high < 1; got {given}")

    def __contains__(self, rate: Any) -> bool:
        return isinstance(rate, float) and self.low <= rate <= self.high

    def __str__(self) -> str:
        return f"a number from {self.low} to {self.high}"

    def suggest(self, trial: Suggest, name: str) -> None:
        trial.suggest_float(name, self.low, self.high, log=True)

    def spread(self, count: int) -> tuple[float, ...]:
        """`count` values in the middles of equal parts of the logarithmic range."""
        span = math.log(self.high / self.low)
        return tuple(self.low * math.exp(span * (i + 0.5) / count) for i in range(count))


UNIFORM = Range(1e-6, 1 - 1e-6)  # of each source's number behind the shares


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """All trial plans of a study.

    `intermediate` lists the options: `none`, a source (`mnli`, `mnli@de`), several joined by `+`,
    or `all` (every source that any option names), mixed in proportion to their rows. Where
    `mixture` is `shares` it lists sources, and a trial draws a point of their simplex instead.
    """

    encoder: str
    seed: int
    mixture: Literal["choice", "shares"]
    intermediate: tuple[str, ...]
    temperature: float
    cap: int | None
    intermediate_learning_rate: Grid | Range
    target_learning_rate: Grid | Range
    intermediate_recipe: Recipe
    targets: tuple[tuple[str, Recipe], ...]
    points: tuple[Mapping[str, Any], ...]
    num_baselines: int

    def __post_init__(self) -> None:
        if len(set(self.intermediate)) != len(self.intermediate) or not self.sources:
            raise Refusal(
                f"intermediate lists options, each once, one source at least; "
                f"got {list(self.intermediate)}"
            )
        if self.mixture == "shares" and any("+" in o or o == ALL for o in self.intermediate):
            raise Refusal("with mixture = 'shares' intermediate lists plain sources (and none)")
        for number, point in enumerate(self.points, start=1):
            try:
                self._check_point(point)
            except Refusal as error:
                raise Refusal(f"point {number}: {error}") from error
        for point in self.first_points():
            self.decode(point)

    @property
    def sources(self) -> tuple[str, ...]:
        parts = [p for o in self.intermediate if o not in (NONE, ALL) for p in o.split("+")]
        for part in parts:
            Source.parse(part)
        return tuple(dict.fromkeys(parts))

    @property
    def options(self) -> tuple[str, ...]:
        """What `intermediate` may be; the baseline is always among them."""
        drawn = (MIXED,) if self.mixture == "shares" else self.intermediate
        return tuple(dict.fromkeys((NONE, *drawn)))

    def suggest(self, trial: Suggest) -> None:
        """Name every parameter of one trial and its range."""
        option = trial.suggest_categorical("intermediate", self.options)
        if option != NONE:
            self.intermediate_learning_rate.suggest(trial, "intermediate.learning_rate")
        if option == MIXED:
            for source in self.sources:
                trial.suggest_float(f"mix.{source}", UNIFORM.low, UNIFORM.high)
        if self.has_target_phases:
            self.target_learning_rate.suggest(trial, "target.learning_rate")

    def decode(self, params: Mapping[str, Any]) -> TrialPlan:
        """The plan that the suggested parameters mean; refuses what is incomplete or foreign."""
        option = self._option(params)
        intermediate = None
        if option != NONE:
            intermediate = Phase(
                mixture=self._mixture(option, params),
                learning_rate=_read(params, "intermediate.learning_rate"),
                seed=self.seed,
                recipe=self.intermediate_recipe,
            )
        targets = tuple(self._target(task, recipe, params) for task, recipe in self.targets)
        return TrialPlan(encoder=self.encoder, intermediate=intermediate, targets=targets)

    def first_points(self) -> list[dict[str, Any]]:
        """What every study tries first: the baselines, then the points of the study file."""
        baselines: list[dict[str, Any]] = [{"intermediate": NONE}]
        if self.has_target_phases:
            rates = self.target_learning_rate.spread(self.num_baselines)
            baselines = [{"intermediate": NONE, "target.learning_rate": rate} for rate in rates]
        return [*baselines, *(dict(point) for point in self.points)]

    @property
    def has_target_phases(self) -> bool:
        """False where every target is a retrieval task."""
        return any(get_task(task).trains for task, _ in self.targets)

    def _check_point(self, point: Mapping[str, Any]) -> None:
        """A point of the study file names what `suggest` would, inside the same ranges."""
        option = self._option(point)
        ranges: dict[str, Grid | Range] = {}
        if option != NONE:
            ranges["intermediate.learning_rate"] = self.intermediate_learning_rate
        if option == MIXED:
            ranges.update({f"mix.{source}": UNIFORM for source in self.sources})
        if self.has_target_phases:
            ranges["target.learning_rate"] = self.target_learning_rate
        for name, value in point.items():
            if name != "intermediate" and name not in ranges:
                what = f"parameter of intermediate {option!r}"
                raise unknown(what, name, ("intermediate", *ranges))
            if name in ranges and value not in ranges[name]:
                raise Refusal(f"{name} is {value!r}; expected {ranges[name]}")
        self.decode(point)

    def _option(self, params: Mapping[str, Any]) -> str:
        option: str = _read(params, "intermediate")
        if option not in self.options:
            raise unknown("intermediate", str(option), self.options)
        return option

    def _mixture(self, option: str, params: Mapping[str, Any]) -> Mixture:
        if option == MIXED:
            # Minus log of a uniform is Gamma(1): normalised, these are uniform over all mixtures.
            return Mixture.of({s: -math.log(_read(params, f"mix.{s}")) for s in self.sources})
        return Mixture.proportional(
            self.sources if option == ALL else option.split("+"),
            temperature=self.temperature,
            cap=self.cap,
            max_train_rows=self.intermediate_recipe.max_train_rows,
        )

    def _target(self, name: str, recipe: Recipe, params: Mapping[str, Any]) -> Target:
        task = get_task(name)
        if not task.trains:
            return Target(task=name, phase=None)
        phase = Phase(
            mixture=Mixture.of({task.training_task: 1.0}),
            learning_rate=_read(params, "target.learning_rate"),
            seed=self.seed,
            recipe=recipe,
        )
        return Target(task=name, phase=phase)


def _read(params: Mapping[str, Any], name: str) -> Any:
    if name not in params:
        raise Refusal(f"the parameters {dict(params)} lack {name!r}: they are not of this space")
    return params[name]
