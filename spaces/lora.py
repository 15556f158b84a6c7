"""Adapters: the phases that may train low-rank matrices beside frozen weights (LoRA), and their
ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from spaces.domains import Choice, Rates
from spaces.phases import Recipe
from spaces.refusal import Refusal

Role = Literal["intermediate", "target"]
ALL_WEIGHTS = "none"  # no adapters: the phase trains all weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The ranks that phases of these `roles` may have; training without adapters is always tried
    too. A phase with adapters trains at `learning_rate_factor` times its learning rate, because
    adapters need a higher one (Hu et al. 2021)."""

    ranks: tuple[int, ...]
    roles: tuple[Role, ...] = ("intermediate", "target")
    learning_rate_factor: float = 1.0

    def __post_init__(self) -> None:
        for name, values in (("ranks", self.ranks), ("phases", self.roles)):
            if not values or len(set(values)) != len(values):
                raise Refusal(f"space.lora.{name} needs values, each once; got {list(values)}")

    def domains(self, role: Role) -> dict[str, Choice]:
        """The parameter that holds the rank in phases of a role; empty where the role has no
        adapters."""
        return (
            {f"{role}.lora_rank": Choice((ALL_WEIGHTS, *self.ranks))}
            if self._applies_to(role)
            else {}
        )

    def check(self, role: Role, recipe: Recipe, rates: Rates) -> None:
        """Raises Refusal for a recipe that sets a rank itself, and for rates that reach 1 after the
        factor."""
        if not self._applies_to(role):
            return
        if recipe.lora_rank is not None:
            raise Refusal(
                f"space.lora chooses the rank of {role} phases, but their recipe sets "
                f"lora_rank = {recipe.lora_rank}; leave one of them out"
            )
        highest = max(rates.spread(1)) if isinstance(rates, Choice) else rates.high
        if highest * self.learning_rate_factor >= 1:
            raise Refusal(
                f"space.lora.learning_rate_factor is {self.learning_rate_factor:g}; expected a "
                f"factor that keeps the highest {role} rate, {highest:g}, below 1"
            )

    def apply(
        self, role: Role, params: Mapping[str, Any], rate: float, recipe: Recipe
    ) -> tuple[float, Recipe]:
        """The learning rate and the recipe of a phase with the rank in the parameters. Raises
        Refusal for a rank that is not one of the choices."""
        for name, domain in self.domains(role).items():
            if params.get(name) not in domain:
                raise Refusal(f"{name} is {params.get(name)!r}; expected {domain}")
            if params[name] != ALL_WEIGHTS:
                adapted = replace(recipe, lora_rank=int(params[name]))
                return rate * self.learning_rate_factor, adapted
        return rate, recipe

    def _applies_to(self, role: Role) -> bool:
        return role in self.roles
