"""Phase, PhasePair, TrialPlan: frozen values that fix everything that a trial does."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar

from spaces.mixture import Mixture
from spaces.refusal import Refusal, unknown
from spaces.tasks.catalogue import Catalogue
from spaces.tasks.task import Task, TaskKind


class Pooling(StrEnum):
    """What the heads of classification and choice read of a sequence."""

    FIRST = "first"  # the first token, by the head of the architecture's own class
    MEAN = "mean"  # the mean of all tokens: the only one before pooling could be chosen


POOLED = frozenset({TaskKind.CLASSIFICATION, TaskKind.CHOICE})  # kinds whose heads pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a phase trains, whatever its data is.

    A step is one optimizer update over at most `batch_size` examples and at most `max_batch_tokens`
    padded tokens, summed over all workers: it does not depend on the number of workers.
    `warmup_share` is a share of the steps; `max_length` counts tokens. Every `evaluate_every` steps
    the main score is computed on `max_dev_rows` validation rows of the source language. Training
    ends after `patience` such evaluations without a better score, and the best weights are kept.
    Without `evaluate_every` the last weights are kept. `mask_share` is the share of tokens that are
    masked in mlm sources. The encoder's embeddings and its `num_frozen_layers` lowest layers are
    frozen (0: the embeddings alone; None: nothing is frozen). With a `lora_rank` the encoder is
    frozen; adapters of that rank are trained, and merged into it at the end. `pooling` is what the
    heads of classification and choice read; in a study file its default depends on the encoder
    (`StudySettings.parse`).
    """

    __pydantic_config__: ClassVar[Any] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }

    num_steps: int
    batch_size: int
    max_length: int
    max_batch_tokens: int | None = None
    max_train_rows: int | None = None
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    evaluate_every: int | None = None
    patience: int | None = None
    max_dev_rows: int = 500
    mask_share: float = 0.15
    adam_beta2: float = 0.999
    num_frozen_layers: int | None = None
    lora_rank: int | None = None
    pooling: Pooling = Pooling.MEAN

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size", "max_dev_rows"):
            _above_zero(name, getattr(self, name))
        for name in (
            "max_batch_tokens",
            "max_train_rows",
            "evaluate_every",
            "patience",
            "lora_rank",
        ):
            if getattr(self, name) is not None:
                _above_zero(name, getattr(self, name))
        if self.max_length < 8:
            raise Refusal(f"max_length must be 8 tokens or more; got {self.max_length}")
        if self.num_frozen_layers is not None and self.num_frozen_layers < 0:
            raise Refusal(
                f"num_frozen_layers is {self.num_frozen_layers}; expected 0 (the embeddings "
                "alone) or more; leave it out to freeze nothing"
            )
        if not 0 <= self.warmup_share <= 1:
            raise Refusal(f"warmup_share must lie in [0, 1]; got {self.warmup_share}")
        if not 0 < self.mask_share < 1:
            raise Refusal(f"mask_share must lie between 0 and 1; got {self.mask_share}")
        if not 0 < self.adam_beta2 < 1:
            raise Refusal(f"adam_beta2 must lie between 0 and 1; got {self.adam_beta2}")
        if not 0 <= self.weight_decay < math.inf:
            raise Refusal(f"weight_decay must be zero or more; got {self.weight_decay}")
        if not 0 < self.max_grad_norm < math.inf:
            raise Refusal(f"max_grad_norm must be finite and above zero; got {self.max_grad_norm}")
        if self.pooling not in list(Pooling):
            raise unknown("pooling", self.pooling, tuple(Pooling))
        object.__setattr__(self, "pooling", Pooling(self.pooling))
        if self.patience is not None and self.evaluate_every is None:
            raise Refusal("patience counts evaluations: set evaluate_every too, or leave it out")

    @property
    def trains_embeddings(self) -> bool:
        """Whether the encoder's embeddings are trained: nothing of it is frozen."""
        return self.num_frozen_layers is None and self.lora_rank is None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name. `lora_rank` is left out where it is None, and `pooling` where it is
        the mean: phase keys made before they existed stay valid."""
        content = {**asdict(self), "pooling": self.pooling.value}
        if self.lora_rank is None:
            del content["lora_rank"]
        if self.pooling is Pooling.MEAN:
            del content["pooling"]
        return content


def _above_zero(name: str, value: int) -> None:
    if value <= 0:
        raise Refusal(f"{name} must be above zero; got {value}")


class Role(StrEnum):
    """The position of a phase in its plan."""

    INTERMEDIATE = "intermediate"
    TARGET = "target"  # also for pretraining a base encoder, which has no plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One training phase: what it trains on, its learning rate, its recipe and its seed.

    The plan or the target that holds a phase sets its `role`; a role given before is overwritten.
    """

    mixture: Mixture
    learning_rate: float
    seed: int
    recipe: Recipe
    role: Role = Role.TARGET

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < 1:
            raise Refusal(f"a learning rate must lie between 0 and 1; got {self.learning_rate}")
        kinds = {source.task.kind for source in self.mixture.sources}
        if self.recipe.evaluate_every and kinds == {TaskKind.MLM}:
            raise Refusal("an mlm phase has no validation rows: leave evaluate_every out")
        if self.recipe.pooling is not Pooling.MEAN and not kinds & POOLED:
            # Equal training has one key, whatever is said of heads that it does not have.
            object.__setattr__(self, "recipe", replace(self.recipe, pooling=Pooling.MEAN))

    @property
    def adapters(self) -> str:
        """` lora 8`, to print after the learning rate; empty without adapters."""
        return f" lora {self.recipe.lora_rank}" if self.recipe.lora_rank else ""

    @property
    def draws(self) -> str:
        """The prefix of the seeds of all random draws of the phase: heads, order of rows, masks,
        dropout.

        It is made of the seed and the role. The two phases of a plan have the same seed, and would
        otherwise read the same rows in the same order where they train on the same data. A target
        phase draws the same numbers after every intermediate phase and after none, so that plans
        are compared on equal draws.
        """
        return f"{self.seed}" if self.role is Role.TARGET else f"{self.role}:{self.seed}"

    def key(self, facts: Mapping[str, str], parent: str | None) -> str:
        """The content key: 40 hexadecimal digits. Equal keys mean equal training: the same start,
        rows in the same order, steps, draws and precision.

        The trained weights are equal to the last bit on the same kind of CPU with the same number
        of workers, the same micro-batches and the same package versions. On the same kind of GPU
        they are equal up to rounding; so they are on other devices where the encoder has no
        dropout. With dropout, another device, another number of workers or other micro-batches draw
        other dropout masks, as another seed would. `PhaseRecord` says with which device, workers
        and micro-batches a stored phase was trained.

        Args:
            facts: what the phase depends on besides itself (weights, config, tokenizer, data,
                precision, version).
            parent: the key of the phase it starts from; None where it starts from the encoder.
        """
        content = {"phase": self.to_dict(), "world": dict(facts), "parent": parent}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; the phase key is a hash of them."""
        return {
            "mixture": self.mixture.to_dict(),
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "role": self.role.value,
            "recipe": self.recipe.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], catalogue: Catalogue) -> "Phase":
        """The inverse of `to_dict`. Older records have no role; the plan sets it then. Raises
        Refusal for a task that the catalogue does not have."""
        return cls(
            mixture=Mixture.from_dict(data["mixture"], catalogue),
            learning_rate=data["learning_rate"],
            seed=data["seed"],
            recipe=Recipe(**data["recipe"]),
            role=Role(data.get("role", Role.TARGET)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A task to score in all its languages after its target phase. Retrieval tasks have no
    phase."""

    task: Task
    phase: Phase | None

    def __post_init__(self) -> None:
        task = self.task
        if task.trains != (self.phase is not None) or task.kind is TaskKind.MLM:
            raise Refusal(f"target {task.name!r}: a {task.kind} task cannot be scored this way")
        if self.phase is not None:
            trained = self.trained_tasks
            if task.training_task not in trained:
                names = [other.name for other in trained]
                wanted = task.training_task.name
                raise unknown(f"training task of target {task.name!r}", wanted, names)
            object.__setattr__(self, "phase", replace(self.phase, role=Role.TARGET))

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of the target phase; None without one."""
        return self.phase.recipe if self.phase else None

    @property
    def trained_tasks(self) -> tuple[Task, ...]:
        """The tasks that the target phase trains heads for, each once; empty without a phase."""
        sources = self.phase.mixture.sources if self.phase else ()
        return tuple(dict.fromkeys(source.task for source in sources))

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.task.name, "phase": self.phase.to_dict() if self.phase else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], catalogue: Catalogue) -> "Target":
        phase = data["phase"]
        return cls(
            task=catalogue.get(data["task"]),
            phase=Phase.from_dict(phase, catalogue) if phase else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePair:
    """An intermediate phase (None in the baseline) followed by a target."""

    intermediate: Phase | None
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """Everything that one trial trains: one intermediate phase or none, then all targets of the
    study."""

    encoder: str
    intermediate: Phase | None
    targets: tuple[Target, ...]

    def __post_init__(self) -> None:
        names = [target.task.name for target in self.targets]
        if not names or len(set(names)) != len(names):
            raise Refusal(f"a trial plan needs targets, each once; got {names}")
        if self.intermediate is not None:
            first = replace(self.intermediate, role=Role.INTERMEDIATE)
            object.__setattr__(self, "intermediate", first)

    def __str__(self) -> str:
        """`fact 2e-04 -> 1e-04`, `baseline 1e-04`: the short name of the mixture and the learning
        rates."""
        named = [_rate_of(target.phase) for target in self.targets if target.phase]
        rates = ", ".join(dict.fromkeys(named))
        if self.intermediate is None:
            return f"baseline {rates}".strip()
        first = f"{self.intermediate.mixture.short} {_rate_of(self.intermediate)}"
        return f"{first} -> {rates}" if rates else first

    @property
    def pairs(self) -> tuple[PhasePair, ...]:
        """The intermediate phase with each target."""
        return tuple(PhasePair(intermediate=self.intermediate, target=t) for t in self.targets)

    def target(self, name: str) -> Target:
        """The target of this name. Raises Refusal where the plan has none."""
        found = {target.task.name: target for target in self.targets}
        if name not in found:
            raise unknown("target of the plan", name, found)
        return found[name]

    @property
    def is_baseline(self) -> bool:
        return self.intermediate is None

    @property
    def seed(self) -> int | None:
        """The seed of its phases; None where it trains nothing."""
        phases = (self.intermediate, *(target.phase for target in self.targets))
        return next((phase.seed for phase in phases if phase is not None), None)

    def baseline(self) -> "TrialPlan":
        """The same target phases without the intermediate phase."""
        return replace(self, intermediate=None)

    def with_seed(self, seed: int) -> "TrialPlan":
        """The same plan with another seed in every phase."""

        def reseeded(phase: Phase | None) -> Phase | None:
            return replace(phase, seed=seed) if phase else None

        targets = tuple(replace(t, phase=reseeded(t.phase)) for t in self.targets)
        return replace(self, intermediate=reseeded(self.intermediate), targets=targets)

    def to_dict(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder,
            "intermediate": self.intermediate.to_dict() if self.intermediate else None,
            "targets": [target.to_dict() for target in self.targets],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], catalogue: Catalogue) -> "TrialPlan":
        """The inverse of `to_dict`. Raises Refusal for a task that the catalogue does not have."""
        intermediate = data["intermediate"]
        return cls(
            encoder=data["encoder"],
            intermediate=Phase.from_dict(intermediate, catalogue) if intermediate else None,
            targets=tuple(Target.from_dict(target, catalogue) for target in data["targets"]),
        )


def rate_name(rate: float) -> str:
    """A learning rate in at most three digits: 2e-05, 1.5e-05."""
    mantissa, exponent = f"{rate:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _rate_of(phase: Phase) -> str:
    return f"{rate_name(phase.learning_rate)}{phase.adapters}"
