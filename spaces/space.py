"""SearchSpace: what varies between trials. `domains` lists the parameters, `decode` makes the
plan."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spaces.domains import UNIFORM, Choice, Domain, Rates, Suggest
from spaces.intermediates import MIXED, NONE, Intermediates, read
from spaces.lora import ALL_WEIGHTS, Adapters
from spaces.masking import Masking, Share
from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe, Target, TrialPlan
from spaces.refusal import Refusal, unknown
from spaces.tasks.source import Source
from spaces.tasks.task import Task

MLM = "mlm"  # names the recipe of masking alone


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """All trial plans of a study.

    `recipes` holds the recipes of single options; the other options use `intermediate_recipe`. With
    several `seeds` each plan becomes one trial per seed. `adapters` says which phases are tried
    with and without adapters.
    """

    encoder: str
    seeds: tuple[int, ...]
    intermediates: Intermediates
    intermediate_learning_rate: Rates
    target_learning_rate: Rates
    intermediate_recipe: Recipe
    targets: tuple[tuple[Task, Recipe], ...]
    points: tuple[Mapping[str, Any], ...]
    num_baselines: int
    adapters: Adapters | None = None
    recipes: tuple[tuple[str, Recipe], ...] = ()
    is_grid: bool = False

    def __post_init__(self) -> None:
        _check_adapters(self)
        _check_grid(self)
        for name, _ in self.recipes:
            if name not in (*self.options, MLM) or name == NONE:
                raise unknown("intermediate with a recipe", name, (*self.options, MLM))
        for number, point in enumerate(self.points, start=1):
            try:
                self._check_point(point)
            except Refusal as error:
                raise Refusal(f"point {number}: {error}") from error
        if not self.is_grid:  # a grid makes its points by decoding them
            for point in self.first_points():
                self.decode(point)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source that an option names, each once."""
        return self.intermediates.sources

    @property
    def options(self) -> tuple[str, ...]:
        """The values that the parameter `intermediate` may take; the baseline is always one of
        them."""
        return self.intermediates.options

    @property
    def masking(self) -> Masking | None:
        """The masking of intermediate phases; None without `[space.mlm]`."""
        return self.intermediates.masking

    @property
    def shares(self) -> Choice:
        """The values that the parameter `mlm.share` may take; (0,) without masking, which has no
        such parameter."""
        return self.intermediates.shares

    def domains(self, option: str, share: Share) -> dict[str, Domain]:
        """Every further parameter of a trial with this `intermediate` and `mlm.share`."""
        domains: dict[str, Domain] = {}
        if share and self.masking and self.masking.learning_rate:
            domains["mlm.learning_rate"] = self.masking.learning_rate
        elif share or option != NONE:
            domains["intermediate.learning_rate"] = self.intermediate_learning_rate
        if self.adapters and (share or option != NONE):
            domains.update(self.adapters.domains("intermediate"))
        if option == MIXED:
            domains.update({f"mix.{source}": UNIFORM for source in self.sources})
        if self.has_target_phases:
            domains["target.learning_rate"] = self.target_learning_rate
            if self.adapters:
                domains.update(self.adapters.domains("target"))
        if len(self.seeds) > 1:
            domains["seed"] = Choice(self.seeds)
        return domains

    def suggest(self, trial: Suggest) -> None:
        """Suggest every parameter of one trial, each from its domain."""
        option = trial.suggest_categorical("intermediate", self.options)
        share = 0.0
        if self.masking:
            share = trial.suggest_categorical("mlm.share", self.shares.values)
        for name, domain in self.domains(option, share).items():
            domain.suggest(trial, name)

    def decode(self, params: Mapping[str, Any]) -> TrialPlan:
        """The plan that these parameters mean. Raises Refusal for missing or unknown values."""
        option, share = self.intermediates.option_of(params), self.intermediates.share_of(params)
        seed = read(params, "seed") if len(self.seeds) > 1 else self.seeds[0]
        intermediate = None
        if option != NONE or share:
            has_mlm_rate = bool(share and self.masking and self.masking.learning_rate)
            name = "mlm.learning_rate" if has_mlm_rate else "intermediate.learning_rate"
            rate, recipe = read(params, name), self.recipe_of(option)
            if self.adapters:
                rate, recipe = self.adapters.apply("intermediate", params, rate, recipe)
            mixture = self.intermediates.mixture_of(
                option, share, params, max_train_rows=self.recipe_of(option).max_train_rows
            )
            intermediate = Phase(mixture=mixture, learning_rate=rate, seed=seed, recipe=recipe)
        targets = tuple(self._target(task, recipe, params, seed) for task, recipe in self.targets)
        return TrialPlan(encoder=self.encoder, intermediate=intermediate, targets=targets)

    def first_points(self) -> list[dict[str, Any]]:
        """The points that every study tries first: the baselines, then the points of the study
        file; a grid is tried whole."""
        if self.is_grid:
            return self.grid_points()
        baseline: dict[str, Any] = {"intermediate": NONE}
        if self.masking:
            baseline["mlm.share"] = 0.0
        baselines = [baseline]
        if self.has_target_phases:
            rates = self.target_learning_rate.spread(self.num_baselines)
            ranks = self.adapters.domains("target") if self.adapters else {}
            baseline |= dict.fromkeys(ranks, ALL_WEIGHTS)
            baselines = [{**baseline, "target.learning_rate": rate} for rate in rates]
        return [*baselines, *(dict(point) for point in self.points)]

    def grid_points(self) -> list[dict[str, Any]]:
        """Every point of the space, each plan once, seed by seed; empty where a parameter is
        continuous."""
        points: dict[TrialPlan, dict[str, Any]] = {}
        for option, share in itertools.product(self.options, self.shares.values):
            point = {"intermediate": option, **({"mlm.share": share} if self.masking else {})}
            domains = self.domains(option, share)
            values = [d.values for d in domains.values() if isinstance(d, Choice)]
            if len(values) < len(domains):
                return []
            for drawn in itertools.product(*values):
                full = {**point, **dict(zip(domains, drawn, strict=True))}
                points.setdefault(self.decode(full), full)
        order = {seed: number for number, seed in enumerate(self.seeds)}
        return sorted(points.values(), key=lambda p: order.get(p.get("seed", self.seeds[0]), 0))

    def recipe_of(self, option: str) -> Recipe:
        """The recipe of an option. Masking alone has no validation rows, so it trains all its
        steps."""
        named = dict(self.recipes)
        if option != NONE:
            return named.get(option, self.intermediate_recipe)
        recipe = named.get(MLM, self.intermediate_recipe)
        return replace(recipe, evaluate_every=None, patience=None)

    def reads(self) -> Iterator[tuple[Source, Recipe]]:
        """Every source that an intermediate phase may train on, with each recipe that may read
        it."""
        read: dict[tuple[Source, Recipe], None] = {}
        for option in self.options:
            masked = self.masking.sources if self.masking else ()
            for source in (*self.intermediates.members(option), *masked):
                read[source, self.recipe_of(option)] = None
        yield from read

    @property
    def has_target_phases(self) -> bool:
        """Whether any target trains; False where every target is a retrieval task."""
        return any(task.trains for task, _ in self.targets)

    def _check_point(self, point: Mapping[str, Any]) -> None:
        """Check that a point of the study file has known parameters with values in their
        domains."""
        option = self.intermediates.option_of(point)
        domains = self.domains(option, self.intermediates.share_of(point))
        known = ("intermediate", *(("mlm.share",) if self.masking else ()), *domains)
        for name, value in point.items():
            if name not in known:
                raise unknown(f"parameter of intermediate {option!r}", name, known)
            if name in domains and value not in domains[name]:
                raise Refusal(f"{name} is {value!r}; expected {domains[name]}")
        self.decode(point)

    def _target(self, task: Task, recipe: Recipe, params: Mapping[str, Any], seed: int) -> Target:
        if not task.trains:
            return Target(task=task, phase=None)
        rate = read(params, "target.learning_rate")
        if self.adapters:
            rate, recipe = self.adapters.apply("target", params, rate, recipe)
        trained = task.training_task
        mixture = Mixture.of([(Source(trained, trained.source_language), 1.0)])
        phase = Phase(mixture=mixture, learning_rate=rate, seed=seed, recipe=recipe)
        return Target(task=task, phase=phase)


def _check_adapters(space: SearchSpace) -> None:
    if space.adapters is None:
        return
    mlm_rates = space.masking.learning_rate if space.masking else None
    for _, recipe in (("", space.intermediate_recipe), *space.recipes):
        for rates in (space.intermediate_learning_rate, mlm_rates):
            if rates is not None:
                space.adapters.check("intermediate", recipe, rates)
    for _, recipe in space.targets:
        space.adapters.check("target", recipe, space.target_learning_rate)


def _check_grid(space: SearchSpace) -> None:
    if len(set(space.seeds)) != len(space.seeds) or not space.seeds:
        raise Refusal(f"space.seeds needs seeds, each once; got {list(space.seeds)}")
    if len(space.seeds) > 1 and not space.is_grid:
        raise Refusal(
            f"space.seeds lists {len(space.seeds)} seeds, but only a grid searches over seeds: set "
            "sampler = 'grid', or leave space.seeds out (retrain draws fresh seeds)"
        )
    if space.is_grid and (space.points or not space.grid_points()):
        raise Refusal(
            "sampler 'grid' tries every point: give lists of learning rates and mixture = "
            "'choice', and leave space.points out"
        )
