"""Checks across the sections of a study file. Each section has passed its own check before."""

from collections.abc import Sequence
from typing import Protocol

from spaces.bucket import Bucket
from spaces.languages import get_language
from spaces.phases import Pooling
from spaces.refusal import Refusal, unknown
from spaces.space import SearchSpace
from spaces.study_file.sections import (
    PRETRAINED,
    BudgetSection,
    EvaluationSection,
    Objective,
    PretrainingSection,
    ResourcesSection,
    SelectionRule,
    SpaceSection,
    StudySection,
    TrainingSection,
)
from spaces.tasks.catalogue import Catalogue
from spaces.tasks.task import Task


class CheckedSettings(Protocol):
    """The part of a study's settings that the checks read."""

    study: StudySection
    pretraining: PretrainingSection | None
    space: SpaceSection
    training: TrainingSection
    evaluation: EvaluationSection
    resources: ResourcesSection
    budget: BudgetSection

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def targets(self) -> tuple[Task, ...]: ...

    @property
    def objective_targets(self) -> tuple[str, ...]: ...

    def search_space(self) -> SearchSpace: ...

    def languages_of(self, target: Task) -> tuple[str, ...]: ...

    def selecting_languages(self, target: Task) -> list[str]: ...

    def lengths(self) -> dict[str, int]: ...


def check(settings: CheckedSettings) -> None:
    """Run every check. Raises Refusal with the first contradiction found."""
    check_names(settings)
    check_selection(settings)
    check_resources(settings)
    check_warm_start(settings)
    check_priors(settings)
    check_sampler(settings)
    check_pretraining(settings)
    settings.search_space()
    check_languages(settings)
    check_objectives(settings)


def check_names(settings: CheckedSettings) -> None:
    """Check that every task and language exists, and that sections name targets of this study."""
    for name in (*settings.space.targets, *settings.training.targets):
        settings.catalogue.get(name)
    for language in (*settings.evaluation.languages, *settings.evaluation.pivot_languages):
        get_language(language)
    for name in (*settings.evaluation.objective, *settings.training.targets):
        if name not in settings.space.targets:
            raise unknown("target of the study", name, settings.space.targets)


def check_selection(settings: CheckedSettings) -> None:
    """Check that pivot languages are listed if and only if the selection rule is pivot_dev."""
    pivots, rule = settings.evaluation.pivot_languages, settings.evaluation.selection
    if bool(pivots) != (rule is SelectionRule.PIVOT_DEV):
        raise Refusal(
            f"selection is {rule.value!r} with pivot_languages {list(pivots)}; expected languages "
            "there for pivot_dev, and none for the other rules"
        )


def check_resources(settings: CheckedSettings) -> None:
    """Check that a GPU-hour limit is set only for trials that use GPUs, and that the phase store is
    an object-store address."""
    if settings.budget.max_gpu_hours is not None and not settings.resources.num_gpus:
        raise Refusal(
            f"budget.max_gpu_hours is {settings.budget.max_gpu_hours:g}, but resources."
            "gpus_per_worker is 0: these trials use no GPU; set max_hours instead, or "
            "gpus_per_worker"
        )
    if settings.resources.phase_store is not None:
        Bucket.parse(settings.resources.phase_store, setting="resources.phase_store")


def check_warm_start(settings: CheckedSettings) -> None:
    """Check that the sampler can learn from earlier studies, and that each is another study, listed
    once."""
    study, earlier = settings.study, settings.study.warm_start
    if earlier and study.sampler not in ("tpe", "gp"):
        raise Refusal(
            f"study.warm_start with sampler {study.sampler!r}, which cannot learn from the trials "
            "of another study; take 'tpe' or 'gp', or leave it out"
        )
    if study.name in earlier or len(set(earlier)) != len(earlier):
        raise Refusal(
            f"study.warm_start is {list(earlier)}; expected names of studies "
            f"other than {study.name!r}, each once"
        )


def check_priors(settings: CheckedSettings) -> None:
    """Check that priors have options to rank and a sampler whose order they may change."""
    if not settings.study.priors:
        return
    if settings.study.sampler == "grid":
        raise Refusal(
            "study.priors with sampler 'grid', whose order is fixed: take 'tpe', 'gp' or "
            "'random', or leave it out (plan --explain shows the ranks all the same)"
        )
    if settings.space.mixture == "shares" or set(settings.space.intermediate) == {"none"}:
        raise Refusal(
            "study.priors ranks options, and there are none: it needs mixture = 'choice' and "
            "an option besides 'none' in space.intermediate; leave it out"
        )


def check_sampler(settings: CheckedSettings) -> None:
    """Check that the sampler can learn the shares of a mixture, where they are searched."""
    if settings.study.sampler in ("gp", "nsga2") and settings.space.mixture == "shares":
        raise Refusal(
            f"study.sampler is {settings.study.sampler!r}, but space.mixture is 'shares': this "
            "sampler learns only from parameters that every trial has, and a baseline has no "
            "shares; take 'tpe'"
        )


def check_pretraining(settings: CheckedSettings) -> None:
    """Check that an encoder that the study makes is described, can be made, and is long and deep
    enough for the study."""
    pretraining, encoder = settings.pretraining, settings.study.encoder
    if (encoder == PRETRAINED) != (pretraining is not None):
        presence = "with" if pretraining else "without"
        raise Refusal(
            f"encoder {encoder!r} {presence} a section [pretraining]: a study that makes its "
            f"encoder sets encoder = {PRETRAINED!r} and has [pretraining]; other studies do neither"
        )
    if pretraining is None:
        return
    task = settings.catalogue.text_task(pretraining.text)
    for language in pretraining.languages:
        if language not in task.languages:
            raise unknown(f"language of {task.name!r}", language, task.languages)
    if pretraining.hidden_size % pretraining.num_heads:
        raise Refusal(
            f"pretraining.hidden_size is {pretraining.hidden_size}; expected a multiple of "
            f"num_heads, {pretraining.num_heads}"
        )
    if pretraining.recipe.lora_rank is not None:
        raise Refusal(
            "pretraining.recipe.lora_rank is set, but a new encoder has no weights to adapt yet; "
            "leave it out"
        )
    if pretraining.recipe.pooling is not Pooling.MEAN:
        raise Refusal(
            "pretraining.recipe.pooling is set, but a new encoder is trained without a head that "
            "pools; set it in [training.intermediate] and [training.target]"
        )
    limit = pretraining.recipe.max_length
    for key, length in settings.lengths().items():
        if length > limit:
            raise Refusal(
                f"{key} is {length} tokens, but the encoder will have {limit} positions; "
                f"set it to {limit} or less, or raise pretraining.recipe.max_length"
            )
    layer = settings.evaluation.retrieval_layer
    if layer is not None and layer > pretraining.num_layers:
        raise Refusal(
            f"evaluation.retrieval_layer is {layer}, but the encoder will have "
            f"{pretraining.num_layers} layers"
        )


def check_languages(settings: CheckedSettings) -> None:
    """Check that every target is scored in a zero-shot language, and that the selection rule allows
    at least one language."""
    evaluation = settings.evaluation
    allowed = 0
    for target in settings.targets:
        scored = settings.languages_of(target)
        zero_shot = [language for language in scored if language != target.source_language]
        if not zero_shot:
            raise unknown(
                f"language for target {target.name!r} in evaluation.languages",
                ", ".join(evaluation.languages),
                target.zero_shot_languages,
            )
        if target.name in settings.objective_targets:
            allowed += len(settings.selecting_languages(target))
    if not allowed:
        raise Refusal(
            f"selection {evaluation.selection.value!r} allows no language in which an "
            f"objective target ({', '.join(settings.objective_targets)}) is scored"
        )


def check_objectives(settings: CheckedSettings) -> None:
    """Check that every objective is listed once and can be measured in this study."""
    names = settings.evaluation.objectives
    if len(set(names)) != len(names):
        raise Refusal(f"evaluation.objectives is {_listed(names)}; expected each name once")
    if names and settings.study.pruner != "none":
        raise Refusal(
            f"study.pruner is {settings.study.pruner!r}, but evaluation.objectives names "
            f"{_listed(names)}: a pruner compares trials by one objective, the default one; "
            "take pruner 'none', or leave evaluation.objectives out"
        )
    if Objective.GPU_HOURS in names and not settings.resources.num_gpus:
        raise Refusal(
            "evaluation.objectives names 'gpu_hours', but resources.gpus_per_worker is 0: "
            "these trials use no GPU; did you mean 'hours'? Or set gpus_per_worker"
        )
    possible = possible_objectives(settings)
    for name in names:
        if name not in possible:
            raise Refusal(
                f"evaluation.objectives names {name.value!r}, but selection "
                f"{settings.evaluation.selection.value!r} allows no language of an objective "
                f"target ({', '.join(settings.objective_targets)}) that could measure it; "
                f"possible here: {_listed(possible)}"
            )


def possible_objectives(settings: CheckedSettings) -> list[Objective]:
    """The objectives that can be measured with these settings, in the order of the names."""
    possible = {Objective.HOURS, *([Objective.GPU_HOURS] if settings.resources.num_gpus else [])}
    for name in settings.objective_targets:
        target = settings.catalogue.get(name)
        source = target.source_language
        has_source = source in settings.languages_of(target)
        has_zero_shot = bool(set(settings.selecting_languages(target)) - {source})
        possible |= {Objective.SOURCE_SCORE} if has_source else set()
        if has_zero_shot:
            possible |= {Objective.ZERO_SHOT_MEAN, Objective.WORST_LANGUAGE}
        if has_zero_shot and has_source:
            possible.add(Objective.TRANSFER_GAP)
    return [name for name in Objective if name in possible]


def _listed(names: Sequence[Objective]) -> str:
    return ", ".join(name.value for name in names)
