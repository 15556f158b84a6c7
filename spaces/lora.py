"""Adapters: which phases may train small matrices beside frozen weights (LoRA), of which ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from spaces.domains import Choice, Rates
from spaces.phases import Recipe
from spaces.refusal import Refusal

Role = Literal["intermediate", "target"]
ALL_WEIGHTS = "none"  # no adapters: the phase trains its encoder as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """A phase of one of the roles has adapters of one of the `ranks`, or none. With adapters it
    trains at `learning_rate_factor` times its learning rate: they want a higher one."""

    ranks: tuple[int, ...]
    roles: tuple[Role, ...] = ("intermediate", "target")
    learning_rate_factor: float = 1.0

    def __post_init__(self) -> None:
        for name, values in (("ranks", self.ranks), ("phases", self.roles)):
            if not values or len(set(values)) != len(values):
                raise Refusal(f"space.lora.{name} lists values, each once; got {list(values)}")

    def domains(self, role: Role) -> dict[str, Choice]:
        """The parameter that says the rank in phases of a role, if these have one."""
        return {f"{role}.lora_rank": Choice((ALL_WEIGHTS, *self.ranks))} if self._has(role) else {}

    def check(self, role: Role, recipe: Recipe, rates: Rates) -> None:
        """Refuse a recipe with a rank of its own, and rates that are none once multiplied."""
        if not self._has(role):
            return
        if recipe.lora_rank is not None:
            raise Refusal(
                f"space.lora chooses the rank of {role} phases, and a recipe of theirs says "
                f"lora_rank = {recipe.lora_rank}; leave one of them out"
            )
        highest = max(rates.spread(1)) if isinstance(rates, Choice) else rates.high
        if highest * self.learning_rate_factor >= 1:
            raise Refusal(
                f"space.lora.learning_rate_factor is {self.learning_rate_factor:g}: times the "
                f"highest {role} rate, {highest:g}, it is no learning rate (below 1)"
            )

    def apply(
        self, role: Role, params: Mapping[str, Any], rate: float, recipe: Recipe
    ) -> tuple[float, Recipe]:
        """The rate and the recipe of a phase with the rank that the params say."""
        for name, domain in self.domains(role).items():
            if params.get(name) not in domain:
                raise Refusal(f"{name} is {params.get(name)!r}; expected {domain}")
            if params[name] != ALL_WEIGHTS:
                adapted = replace(recipe, lora_rank=int(params[name]))
                return rate * self.learning_rate_factor, adapted
        return rate, recipe

    def _has(self, role: Role) -> bool:
        return role in self.roles
