"""SearchSpace: what may vary. `domains` says where, `decode` makes the plan; side by side."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from spaces.adapters import ALL_WEIGHTS, Adapters
from spaces.domains import UNIFORM, Choice, Domain, Rates, Suggest
from spaces.masking import PROPORTIONAL, Masking, Share
from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe, Target, TrialPlan
from spaces.refusal import Refusal, unknown
from spaces.tasks import Source, get_task

NONE, ALL, MIXED = "none", "all", "mixture"
MLM = "mlm"  # the recipe of masking alone


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """All trial plans of a study.

    `intermediate` lists the options: `none`, a source (`mnli`, `mnli@de`), several joined by `+`,
    or `all` (every source that any option names), mixed in proportion to their rows. Where
    `mixture` is `shares` it lists sources, and a trial draws a point of their simplex instead.
    With `masking` each option is tried without and with it, `none` too, which is masking alone.
    `recipes` are those of single options, where they are not `intermediate_recipe`. Where there
    are several `seeds`, each plan is one of as many trials. `adapters` say which phases are tried
    without and with them.
    """

    encoder: str
    seeds: tuple[int, ...]
    mixture: Literal["choice", "shares"]
    intermediate: tuple[str, ...]
    temperature: float
    cap: int | None
    intermediate_learning_rate: Rates
    target_learning_rate: Rates
    intermediate_recipe: Recipe
    targets: tuple[tuple[str, Recipe], ...]
    points: tuple[Mapping[str, Any], ...]
    num_baselines: int
    masking: Masking | None = None
    adapters: Adapters | None = None
    recipes: tuple[tuple[str, Recipe], ...] = ()
    is_grid: bool = False

    def __post_init__(self) -> None:
        has_sources = bool(self.sources or self.masking)
        if len(set(self.intermediate)) != len(self.intermediate) or not has_sources:
            raise Refusal(
                f"intermediate lists options, each once, one source at least; "
                f"got {list(self.intermediate)}"
            )
        if self.mixture == "shares" and any("+" in o or o == ALL for o in self.intermediate):
            raise Refusal("with mixture = 'shares' intermediate lists plain sources (and none)")
        if self.mixture == "shares" and self.masking and PROPORTIONAL in self.masking.shares:
            raise Refusal(
                "with mixture = 'shares' space.mlm.shares are numbers: only proportional mixtures "
                "have a proportional share"
            )
        self._check_adapters()
        self._check_grid()
        for name, _ in self.recipes:
            if name not in (*self.options, MLM) or name == NONE:
                raise unknown("intermediate with a recipe", name, (*self.options, MLM))
        for number, point in enumerate(self.points, start=1):
            try:
                self._check_point(point)
            except Refusal as error:
                raise Refusal(f"point {number}: {error}") from error
        if not self.is_grid:  # whose points are made by decoding them
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

    def domains(self, option: str, share: Share) -> dict[str, Domain]:
        """Every further parameter of a trial with this `intermediate` and `mlm.share`."""
        found: dict[str, Domain] = {}
        if share and self.masking and self.masking.learning_rate:
            found["mlm.learning_rate"] = self.masking.learning_rate
        elif share or option != NONE:
            found["intermediate.learning_rate"] = self.intermediate_learning_rate
        if self.adapters and (share or option != NONE):
            found.update(self.adapters.domains("intermediate"))
        if option == MIXED:
            found.update({f"mix.{source}": UNIFORM for source in self.sources})
        if self.has_target_phases:
            found["target.learning_rate"] = self.target_learning_rate
            if self.adapters:
                found.update(self.adapters.domains("target"))
        if len(self.seeds) > 1:
            found["seed"] = Choice(self.seeds)
        return found

    @property
    def shares(self) -> Choice:
        """What `mlm.share` may be; without masking there is no such parameter."""
        return self.masking.domain if self.masking else Choice((0.0,))

    def suggest(self, trial: Suggest) -> None:
        """Name every parameter of one trial and its range."""
        option = trial.suggest_categorical("intermediate", self.options)
        share = 0.0
        if self.masking:
            share = trial.suggest_categorical("mlm.share", self.shares.values)
        for name, domain in self.domains(option, share).items():
            domain.suggest(trial, name)

    def decode(self, params: Mapping[str, Any]) -> TrialPlan:
        """The plan that the suggested parameters mean; refuses what is incomplete or foreign."""
        option, share = self._option(params), self._share(params)
        seed = _read(params, "seed") if len(self.seeds) > 1 else self.seeds[0]
        intermediate = None
        if option != NONE or share:
            has_own = bool(share and self.masking and self.masking.learning_rate)
            name = "mlm.learning_rate" if has_own else "intermediate.learning_rate"
            rate, recipe = _read(params, name), self.recipe_of(option)
            if self.adapters:
                rate, recipe = self.adapters.apply("intermediate", params, rate, recipe)
            mixture = self._mixture(option, share, params)
            intermediate = Phase(mixture=mixture, learning_rate=rate, seed=seed, recipe=recipe)
        targets = tuple(self._target(task, recipe, params, seed) for task, recipe in self.targets)
        return TrialPlan(encoder=self.encoder, intermediate=intermediate, targets=targets)

    def first_points(self) -> list[dict[str, Any]]:
        """What every study tries first: the baselines, then the points of the study file; where
        it is a grid, all of it."""
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
        """Every point, each plan once, seed by seed; nothing where the space is endless."""
        found: dict[TrialPlan, dict[str, Any]] = {}
        for option, share in itertools.product(self.options, self.shares.values):
            point = {"intermediate": option, **({"mlm.share": share} if self.masking else {})}
            domains = self.domains(option, share)
            values = [d.values for d in domains.values() if isinstance(d, Choice)]
            if len(values) < len(domains):
                return []
            for drawn in itertools.product(*values):
                full = {**point, **dict(zip(domains, drawn, strict=True))}
                found.setdefault(self.decode(full), full)
        order = {seed: number for number, seed in enumerate(self.seeds)}
        return sorted(found.values(), key=lambda p: order.get(p.get("seed", self.seeds[0]), 0))

    def recipe_of(self, option: str) -> Recipe:
        """How an option trains. Masking alone has no validation rows: it trains to its end."""
        named = dict(self.recipes)
        if option != NONE:
            return named.get(option, self.intermediate_recipe)
        recipe = named.get(MLM, self.intermediate_recipe)
        return replace(recipe, evaluate_every=None, patience=None)

    def reads(self) -> Iterator[tuple[Source, Recipe]]:
        """Every source that an intermediate phase may train on, by each recipe that it may have."""
        found: dict[tuple[Source, Recipe], None] = {}
        for option in self.options:
            names = [] if option == NONE else self._names(option)
            masked = self.masking.sources if self.masking else ()
            for name in (*names, *masked):
                found[Source.parse(name), self.recipe_of(option)] = None
        yield from found

    @property
    def has_target_phases(self) -> bool:
        """False where every target is a retrieval task."""
        return any(get_task(task).trains for task, _ in self.targets)

    def _check_adapters(self) -> None:
        if self.adapters is None:
            return
        own = self.masking.learning_rate if self.masking else None
        for _, recipe in (("", self.intermediate_recipe), *self.recipes):
            for rates in (self.intermediate_learning_rate, own):
                if rates is not None:
                    self.adapters.check("intermediate", recipe, rates)
        for _, recipe in self.targets:
            self.adapters.check("target", recipe, self.target_learning_rate)

    def _check_grid(self) -> None:
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise Refusal(f"seeds are listed each once; got {list(self.seeds)}")
        if len(self.seeds) > 1 and not self.is_grid:
            raise Refusal(
                "several space.seeds are a dimension of a grid, nothing to learn from: set "
                "sampler = 'grid', or leave them out (retrain draws fresh ones)"
            )
        if self.is_grid and (self.points or not self.grid_points()):
            raise Refusal(
                "sampler 'grid' tries every point: it needs lists of learning rates and mixture = "
                "'choice', and has no points of its own"
            )

    def _check_point(self, point: Mapping[str, Any]) -> None:
        """A point of the study file names what `suggest` would, inside the same ranges."""
        option = self._option(point)
        domains = self.domains(option, self._share(point))
        known = ("intermediate", *(("mlm.share",) if self.masking else ()), *domains)
        for name, value in point.items():
            if name not in known:
                raise unknown(f"parameter of intermediate {option!r}", name, known)
            if name in domains and value not in domains[name]:
                raise Refusal(f"{name} is {value!r}; expected {domains[name]}")
        self.decode(point)

    def _option(self, params: Mapping[str, Any]) -> str:
        option: str = _read(params, "intermediate")
        if option not in self.options:
            raise unknown("intermediate", str(option), self.options)
        return option

    def _share(self, params: Mapping[str, Any]) -> Share:
        if self.masking is None:
            return 0.0
        share: Share = _read(params, "mlm.share")
        if share not in self.shares:
            raise Refusal(f"mlm.share is {share!r}; expected {self.shares}")
        return share

    def _names(self, option: str) -> tuple[str, ...]:
        """The sources of an option that has some."""
        return self.sources if option in (ALL, MIXED) else tuple(option.split("+"))

    def _mixture(self, option: str, share: Share, params: Mapping[str, Any]) -> Mixture:
        max_rows = self.recipe_of(option).max_train_rows
        if not share or self.masking is None:
            return self._unmasked(option, params)
        masked = self.masking.alone(max_train_rows=max_rows)
        if option == NONE:
            return masked
        if share == PROPORTIONAL:
            share = self.masking.share_beside(
                self._names(option),
                temperature=self.temperature,
                cap=self.cap,
                max_train_rows=max_rows,
            )
        return self._unmasked(option, params).beside(masked, share=float(share))

    def _unmasked(self, option: str, params: Mapping[str, Any]) -> Mixture:
        if option == MIXED:
            # Minus log of a uniform is Gamma(1): normalised, these are uniform over all mixtures.
            return Mixture.of({s: -math.log(_read(params, f"mix.{s}")) for s in self.sources})
        return Mixture.proportional(
            self._names(option),
            temperature=self.temperature,
            cap=self.cap,
            max_train_rows=self.recipe_of(option).max_train_rows,
        )

    def _target(self, name: str, recipe: Recipe, params: Mapping[str, Any], seed: int) -> Target:
        task = get_task(name)
        if not task.trains:
            return Target(task=name, phase=None)
        rate = _read(params, "target.learning_rate")
        if self.adapters:
            rate, recipe = self.adapters.apply("target", params, rate, recipe)
        mixture = Mixture.of({task.training_task: 1.0})
        phase = Phase(mixture=mixture, learning_rate=rate, seed=seed, recipe=recipe)
        return Target(task=name, phase=phase)


def _read(params: Mapping[str, Any], name: str) -> Any:
    if name not in params:
        raise Refusal(f"the parameters {dict(params)} lack {name!r}: they are not of this space")
    return params[name]
