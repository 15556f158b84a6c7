"""The domain of one parameter: a list of values to choose from, or a continuous range."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spaces.refusal import Refusal


class Suggest(Protocol):
    """The part of an Optuna trial that a search space needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A list of values of any kind to choose from."""

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"

    def suggest(self, trial: Suggest, name: str) -> None:
        trial.suggest_categorical(name, self.values)


@dataclass(frozen=True, slots=True)
class Grid(Choice):
    """Learning rates to choose from. Equal rates give equal phases, which are trained once."""

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise Refusal(f"a learning-rate grid needs values, each once; got {self.values}")
        if not all(0 < value < 1 for value in self.values):
            raise Refusal(f"learning rates must lie between 0 and 1; got {self.values}")

    def spread(self, count: int) -> tuple[float, ...]:
        """Every value: a grid is tried whole, so `count` is ignored."""
        return self.values


@dataclass(frozen=True, slots=True)
class Range:
    """A continuous range: logarithmic, as for learning rates, or linear where `is_even`."""

    low: float
    high: float
    is_even: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < 1:
            raise Refusal(
                f"a learning-rate range needs 0 < low < high < 1; got low {self.low}, high "
                f"{self.high}"
            )

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a number from {self.low} to {self.high}"

    def suggest(self, trial: Suggest, name: str) -> None:
        trial.suggest_float(name, self.low, self.high, log=not self.is_even)

    def spread(self, count: int) -> tuple[float, ...]:
        """`count` values, each at the middle of one of `count` equal parts of the logarithmic
        range."""
        span = math.log(self.high / self.low)
        return tuple(self.low * math.exp(span * (i + 0.5) / count) for i in range(count))


Domain = Choice | Range
Rates = Grid | Range
UNIFORM = Range(1e-6, 1 - 1e-6, is_even=True)  # the draw of one source, from which shares are made
