"""The sections of a study file: the keys that each table may have, and their defaults."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from spaces.phases import Recipe
from spaces.refusal import Refusal

POCKET, PRETRAINED = "pocket", "pretrained"  # encoders that are made when they are first used

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SelectionRule(StrEnum):
    """The rule that says whose validation rows may choose between trials."""

    TARGET_DEV = (
        "target_dev"  # those of the zero-shot languages (the protocol of Phang et al. 2020)
    )
    SOURCE_DEV = "source_dev"  # those of the source language alone: strictly zero-shot
    PIVOT_DEV = "pivot_dev"  # those of named languages; the others are only reported

    def languages(
        self, scored: Iterable[str], *, source: str, pivots: Collection[str]
    ) -> list[str]:
        """The languages in `scored` whose rows may choose between trials, in the order of
        `scored`."""
        if self is SelectionRule.TARGET_DEV:
            return [language for language in scored if language != source]
        wanted = pivots if self is SelectionRule.PIVOT_DEV else (source,)
        return [language for language in scored if language in wanted]


class Objective(StrEnum):
    """What trials are ranked by, where a study names its own objectives."""

    ZERO_SHOT_MEAN = "zero_shot_mean"
    WORST_LANGUAGE = "worst_language"
    TRANSFER_GAP = "transfer_gap"
    SOURCE_SCORE = "source_score"
    HOURS = "hours"  # to train and score the plan
    GPU_HOURS = "gpu_hours"  # hours times the GPUs that a trial holds

    @property
    def is_minimised(self) -> bool:
        """Whether a smaller value is better."""
        return self in (Objective.TRANSFER_GAP, Objective.HOURS, Objective.GPU_HOURS)


class RetrievalDirection(StrEnum):
    """Which sentences look for their partners in a retrieval target with accuracy."""

    FROM_ENGLISH = "from_english"  # as in XTREME
    TO_ENGLISH = "to_english"  # as in LASER and MTEB


class Precision(StrEnum):
    """The number format that encoders compute in. Weights, heads and losses are always float32."""

    FP32 = "fp32"
    BF16 = "bf16"


class Section(BaseModel):
    """A table of a study file: frozen, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StudySection(Section):
    """What is searched, from which seed, by which sampler.

    `text_prefix` stands before the first text of every row, as encoders want it that were trained
    with one (`query: ` of E5); it counts for `max_length`.
    `data_root` is a folder of rows in the layout of the hub; None: rows come from the hub. It is
    not part of the study's digest; the content of the rows decides the results. The same holds for
    `encoder_folder`, a folder that is read in place of `encoder`, and for `rows_folder`, which the
    folders of own rows are relative to where the data root does not have them; `load` sets it to
    the folder of the study file. `warm_start` names earlier
    studies of the same database; the sampler learns from their trials. With `priors` the options
    that a frozen encoder ranks highest are tried first.
    """

    name: Name
    encoder: str
    revision: str | None = None
    encoder_folder: str | None = None
    text_prefix: Annotated[str, Field(max_length=100)] | None = None
    seed: Annotated[int, Field(ge=0)]
    sampler: Literal["tpe", "random", "grid", "gp", "nsga2"] = "tpe"
    pruner: Literal["none", "lowest_third", "median"] = "none"
    data_root: str | None = None
    rows_folder: str | None = None
    warm_start: tuple[Name, ...] = ()
    priors: bool = False


class PretrainingSection(Section):
    """How the study's encoder is made, where `[study] encoder` is `pretrained`: the architecture of
    XLM-R, and masked language modelling on the rows of a text task.

    `pair_share` of the training rows are a text with its translation (a row of the same id in
    another language), which is translation language modelling (Conneau and Lample 2019). With
    `embeddings` = `parallel` the embeddings are initialised from translations in the rows instead
    of at random.
    """

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
    """A continuous range of learning rates."""

    low: Rate
    high: Rate


# A table is read as a range and any other value as a grid, so that an error describes the form that
# was meant.
Rates = Annotated[
    Annotated[tuple[Rate, ...], Field(min_length=1), Tag("grid")]
    | Annotated[RateRange, Tag("range")],
    Discriminator(lambda rates: _tag_of(rates)),
]


class MlmSection(Section):
    """`[space.mlm]`: masked language modelling of a text task beside every intermediate task. Each
    of the `shares` of the steps is tried; 0, no masking, is always tried too."""

    text: str
    languages: tuple[str, ...] = ()
    exponent: Annotated[float, Field(gt=0, le=1)] = 0.3
    shares: Annotated[tuple[float | Literal["proportional"], ...], Field(min_length=1)] = (
        "proportional",
    )
    learning_rate: Rates | None = None


class LoraSection(Section):
    """`[space.lora]`: adapters in the phases of some roles. Each of the `ranks` is tried; training
    without adapters is always tried too. A phase with adapters trains at `learning_rate_factor`
    times its learning rate."""

    ranks: Annotated[tuple[Count, ...], Field(min_length=1)]
    phases: Annotated[tuple[Literal["intermediate", "target"], ...], Field(min_length=1)] = (
        "intermediate",
        "target",
    )
    learning_rate_factor: Annotated[float, Field(gt=0)] = 1.0


class SpaceSection(Section):
    """What varies between trials. `seeds` are the seeds of the phases, where the sampler is a grid;
    otherwise phases have the seed of the study."""

    mixture: Literal["choice", "shares"] = "choice"
    intermediate: Annotated[tuple[str, ...], Field(min_length=1)]
    temperature: Annotated[float, Field(gt=0)] = 1.0
    cap: Count | None = None
    intermediate_learning_rate: Rates
    target_learning_rate: Rates
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    num_baselines: Annotated[int, Field(gt=0, le=1000)] = 3
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()
    mlm: MlmSection | None = None
    lora: LoraSection | None = None
    points: tuple[dict[str, str | float], ...] = ()


class TrainingSection(Section):
    """The recipes of intermediate phases and of target phases, and of single options and
    targets."""

    intermediate: Recipe
    intermediates: dict[str, Recipe] = {}
    target: Recipe
    targets: dict[str, Recipe] = {}

    def recipe_of(self, target: str) -> Recipe:
        """The recipe of a target: its own one, else the common one."""
        return self.targets.get(target, self.target)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Fill the table of a single option or target, which holds only what differs from the
        common table."""
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        for single, plural in (("intermediate", "intermediates"), ("target", "targets")):
            common, tables = data.get(single), data.get(plural)
            if isinstance(common, dict) and isinstance(tables, dict):
                filled[plural] = {
                    n: {**common, **t} if isinstance(t, dict) else t for n, t in tables.items()
                }
        return filled


class EvaluationSection(Section):
    """What is scored, and which scores may select.

    `languages` restricts the zero-shot languages. Where a language has a single evaluation split,
    `halves` cuts it: one half selects, the other tests. Without `halves` both are the whole split,
    the rows of the benchmark. Without `older_stages` the hub's rows of udpos lose their sentences
    in Ancient Greek, Old French, Old Russian and Classical Chinese. A pruner sees `probe_rows` rows
    of each language. In retrieval the sentences of one language look for their partners in the
    other: from English as in XTREME, or to English as in MTEB. `objective` names targets;
    `objectives` says what is optimised in them, by default their mean score alone. A trial cannot
    win if the score of a selecting language is significantly more than `max_drop` below its
    baseline. `max_batch_tokens` counts padded tokens; None: as many as suit the device.
    """

    selection: SelectionRule = SelectionRule.TARGET_DEV
    pivot_languages: tuple[str, ...] = ()
    objective: tuple[str, ...] = ()
    objectives: tuple[Objective, ...] = ()
    max_drop: Annotated[float, Field(ge=0, lt=1)] | None = None
    languages: tuple[str, ...] = ()
    halves: bool = True
    older_stages: bool = True
    retrieval_layer: Count | None = None
    retrieval_max_length: Count = 128
    retrieval_direction: RetrievalDirection = RetrievalDirection.FROM_ENGLISH
    max_rows: Count | None = None
    probe_rows: Count = 64
    max_batch_tokens: Count | None = None

    def max_length_of(self, recipe: Recipe | None) -> int:
        """The most tokens of a row when a target with this recipe is scored; None is a target that
        trains nothing."""
        return self.retrieval_max_length if recipe is None else recipe.max_length


class ResourcesSection(Section):
    """What one trial gets.

    `max_device_tokens` splits a step into micro-batches. `gib_per_worker` is the memory of a
    worker's pod on Kubernetes, in GiB. `phase_store` (`s3://BUCKET/PREFIX`) is where trained phases
    are kept, with the home folder as a cache; None: they are kept in the home folder alone.
    `precision` None is bf16 with GPUs and fp32 without; it is part of a phase's key.
    """

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
                "precision is 'bf16', but gpus_per_worker is 0, and on CPUs only fp32 is allowed; "
                "leave precision out, or set gpus_per_worker"
            )
        return self

    @property
    def computes_in(self) -> Precision:
        """The precision that phases are trained in. It depends on these settings alone: the driver
        may have no GPU while its workers have one."""
        return self.precision or (Precision.BF16 if self.gpus_per_worker else Precision.FP32)

    @property
    def num_gpus(self) -> int:
        """GPUs that one trial holds."""
        return self.num_workers * self.gpus_per_worker


class TrackingSection(Section):
    """Where the record is kept; by default in the home folder."""

    mlflow: str | None = None
    optuna: str | None = None
    experiment: str = "transfer-search"
    keep_best: Count = 3


class BudgetSection(Section):
    """When the search ends. Repeats of a scored plan are not counted. `max_hours` limits one run of
    the driver, `max_gpu_hours` all trials of the study."""

    num_trials: Count
    max_hours: Annotated[float, Field(gt=0)] | None = None
    max_gpu_hours: Annotated[float, Field(gt=0)] | None = None


def _tag_of(rates: Any) -> str:
    """The tag of the alternative that these rates are read as."""
    return "range" if isinstance(rates, dict | RateRange) else "grid"
