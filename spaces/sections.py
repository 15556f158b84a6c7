"""The sections of a study file: what each table may say, and what it means when it says nothing."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from spaces.phases import Recipe
from spaces.refusal import Refusal

POCKET, PRETRAINED = "pocket", "pretrained"  # encoders that are made at their first use

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SelectionRule(StrEnum):
    """Which validation rows may choose between trials."""

    TARGET_DEV = "target_dev"  # the zero-shot languages' (the paper's protocol)
    SOURCE_DEV = "source_dev"  # the source language's alone: strictly zero-shot
    PIVOT_DEV = "pivot_dev"  # those of named languages; the others are reported

    def languages(
        self, scored: Iterable[str], *, source: str, pivots: Collection[str]
    ) -> list[str]:
        """The languages, of those that a target is scored in, whose rows may choose between
        trials; in the order of `scored`."""
        if self is SelectionRule.TARGET_DEV:
            return [language for language in scored if language != source]
        wanted = pivots if self is SelectionRule.PIVOT_DEV else (source,)
        return [language for language in scored if language in wanted]


class Objective(StrEnum):
    """What a study may be asked to be good at, if it is more than one thing."""

    ZERO_SHOT_MEAN = "zero_shot_mean"
    WORST_LANGUAGE = "worst_language"
    TRANSFER_GAP = "transfer_gap"
    SOURCE_SCORE = "source_score"
    HOURS = "hours"  # to train and score the plan
    GPU_HOURS = "gpu_hours"  # these times the GPUs that a trial holds

    @property
    def is_minimised(self) -> bool:
        return self in (Objective.TRANSFER_GAP, Objective.HOURS, Objective.GPU_HOURS)


class Precision(StrEnum):
    """What encoders compute in; weights, heads and losses are float32 always."""

    FP32 = "fp32"
    BF16 = "bf16"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StudySection(Section):
    """What is searched, from which seed, by which sampler. `data_root` is where rows are read: a
    folder in the hub's layout, else the hub. It decides no result: what the rows say does.
    `warm_start` names earlier studies of the same database whose trials the sampler learns from.
    With `priors` the options that look promising to the frozen encoder are tried first."""

    name: Name
    encoder: str
    revision: str | None = None
    seed: Annotated[int, Field(ge=0)]
    sampler: Literal["tpe", "random", "grid", "gp", "nsga2"] = "tpe"
    pruner: Literal["none", "lowest_third", "median"] = "none"
    data_root: str | None = None
    warm_start: tuple[Name, ...] = ()
    priors: bool = False


class PretrainingSection(Section):
    """How the encoder is made, where `[study] encoder` is `pretrained`: XLM-R's architecture and
    masked language modelling of a text task's rows. `pair_share` of them are a text and its
    translation (rows of one id), which makes it translation language modelling. `embeddings` that
    are `parallel` start from what stands in translations of each other."""

    text: str
    languages: tuple[str, ...] = ()
    pair_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_vocabulary: Count
    hidden_size: Count
    num_layers: Count
    num_heads: Count
    feed_forward_size: Count
    embeddings: Literal["random", "parallel"] = "random"
    learning_rate: Rate
    seed: Annotated[int, Field(ge=0)] = 0
    recipe: Recipe


class RateRange(Section):
    low: Rate
    high: Rate


# A table is a range and anything else a grid, so that an error speaks of the one that was meant.
Rates = Annotated[
    Annotated[tuple[Rate, ...], Field(min_length=1), Tag("grid")]
    | Annotated[RateRange, Tag("range")],
    Discriminator(lambda rates: _form_of(rates)),
]


class MlmSection(Section):
    """Masked language modelling of a text task beside every intermediate task: `[space.mlm]`.
    Each share of its steps is tried; 0, without it, always is."""

    text: str
    languages: tuple[str, ...] = ()
    exponent: Annotated[float, Field(gt=0, le=1)] = 0.3
    shares: Annotated[tuple[float | Literal["proportional"], ...], Field(min_length=1)] = (
        "proportional",
    )
    learning_rate: Rates | None = None


class LoraSection(Section):
    """Adapters in phases of some roles: `[space.lora]`. Each rank is tried; none, without it,
    always is. With adapters a phase trains at `learning_rate_factor` times its rate."""

    ranks: Annotated[tuple[Count, ...], Field(min_length=1)]
    phases: Annotated[tuple[Literal["intermediate", "target"], ...], Field(min_length=1)] = (
        "intermediate",
        "target",
    )
    learning_rate_factor: Annotated[float, Field(gt=0)] = 1.0


class SpaceSection(Section):
    """What may vary. `seeds` are those of the phases, where it is a grid; else the study's is."""

    mixture: Literal["choice", "shares"] = "choice"
    intermediate: Annotated[tuple[str, ...], Field(min_length=1)]
    temperature: Annotated[float, Field(gt=0)] = 1.0
    cap: Count | None = None
    intermediate_learning_rate: Rates
    target_learning_rate: Rates
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    num_baselines: Count = 3
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()
    mlm: MlmSection | None = None
    lora: LoraSection | None = None
    points: tuple[dict[str, str | float], ...] = ()


class TrainingSection(Section):
    """The recipes: of intermediate phases, of target phases, of single options and targets."""

    intermediate: Recipe
    intermediates: dict[str, Recipe] = {}
    target: Recipe
    targets: dict[str, Recipe] = {}

    def recipe_of(self, target: str) -> Recipe:
        return self.targets.get(target, self.target)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """A single one's table says only what differs from the common one."""
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        for many, one in (("intermediates", "intermediate"), ("targets", "target")):
            common, tables = data.get(one), data.get(many)
            if isinstance(common, dict) and isinstance(tables, dict):
                filled[many] = {
                    n: {**common, **t} if isinstance(t, dict) else t for n, t in tables.items()
                }
        return filled


class EvaluationSection(Section):
    """What is scored and what may select. `languages` restricts the zero-shot languages. Where a
    language has a single evaluation split, `halves` cuts it, one half to select and one to test;
    without it both are the whole split, the benchmark's own rows. A pruner sees `probe_rows` of
    each language. `objective` names targets; what of them is to be good, if not their mean alone,
    is in `objectives`. A trial may win if beyond chance no language that selects is more than
    `max_drop` under its baseline. `max_batch_tokens` are padded ones; None: what suits the device.
    """

    selection: SelectionRule = SelectionRule.TARGET_DEV
    pivot_languages: tuple[str, ...] = ()
    objective: tuple[str, ...] = ()
    objectives: tuple[Objective, ...] = ()
    max_drop: Annotated[float, Field(ge=0, lt=1)] | None = None
    languages: tuple[str, ...] = ()
    halves: bool = True
    retrieval_layer: Count | None = None
    retrieval_max_length: Count = 128
    max_rows: Count | None = None
    probe_rows: Count = 64
    max_batch_tokens: Count | None = None

    def max_length_of(self, recipe: Recipe | None) -> int:
        """The tokens of a row at most, where a target is scored that trains by `recipe`; None: it
        trains nothing."""
        return self.retrieval_max_length if recipe is None else recipe.max_length


class ResourcesSection(Section):
    """What one trial gets. `max_device_tokens` splits a step into micro-batches; `gib_per_worker`
    is the memory of a worker's pod on Kubernetes. `phase_store` (`s3://BUCKET/PREFIX`) is where
    trained phases lie, with the home folder as a cache; None: there alone. `precision` None is bf16
    where there are GPUs, else fp32; it is part of a phase's key."""

    num_workers: Count = 1
    cpus_per_worker: Count = 1
    gpus_per_worker: Annotated[int, Field(ge=0)] = 0
    gib_per_worker: Count = 8
    max_concurrent_trials: Count | None = None
    max_device_tokens: Count = 16_384
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60.0
    gradient_checkpointing: bool = False
    compile_encoder: bool = False
    phase_store: str | None = None
    precision: Precision | None = None

    @model_validator(mode="after")
    def _check_precision(self) -> "ResourcesSection":
        if self.precision is Precision.BF16 and not self.gpus_per_worker:
            raise Refusal(
                "precision is 'bf16', but gpus_per_worker is 0, and CPUs compute in fp32 here; "
                "leave precision out, or set gpus_per_worker"
            )
        return self

    @property
    def computes_in(self) -> Precision:
        """What phases are trained in, wherever that is asked: a driver may have no GPU where its
        workers have one."""
        return self.precision or (Precision.BF16 if self.gpus_per_worker else Precision.FP32)

    @property
    def num_gpus(self) -> int:
        """GPUs that one trial holds."""
        return self.num_workers * self.gpus_per_worker


class TrackingSection(Section):
    """Where the record goes; what is left out lies in the home folder."""

    mlflow: str | None = None
    optuna: str | None = None
    experiment: str = "transfer-search"
    keep_best: Count = 3


class BudgetSection(Section):
    """When the search ends. Duplicates of a scored plan are not counted. `max_hours` are of one run
    of the driver, `max_gpu_hours` of all trials of the study."""

    num_trials: Count
    max_hours: Annotated[float, Field(gt=0)] | None = None
    max_gpu_hours: Annotated[float, Field(gt=0)] | None = None


def _form_of(rates: Any) -> str:
    return "range" if isinstance(rates, dict | RateRange) else "grid"
