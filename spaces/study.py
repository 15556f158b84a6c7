"""StudySettings: the strict study file. TOML, since YAML reads the language `no` as false."""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spaces.adapters import Adapters
from spaces.bucket import Bucket
from spaces.domains import Grid, Range
from spaces.languages import get_language
from spaces.masking import Masking
from spaces.messages import first_refusal
from spaces.refusal import Refusal, unknown
from spaces.sections import (
    BudgetSection,
    EvaluationSection,
    LoraSection,
    MlmSection,
    Objective,
    PretrainingSection,
    RateRange,
    ResourcesSection,
    Section,
    SelectionRule,
    SpaceSection,
    StudySection,
    TrackingSection,
    TrainingSection,
)
from spaces.space import SearchSpace
from spaces.tasks import get_task, text_task

POCKET, PRETRAINED = "pocket", "pretrained"  # encoders that are made at their first use


class StudySettings(Section):
    """One study file, checked whole before anything starts."""

    study: StudySection
    pretraining: PretrainingSection | None = None
    space: SpaceSection
    training: TrainingSection
    evaluation: EvaluationSection = EvaluationSection()
    resources: ResourcesSection = ResourcesSection()
    tracking: TrackingSection = TrackingSection()
    budget: BudgetSection

    @classmethod
    def load(cls, study: str | Path) -> "StudySettings":
        """Read a shipped study by name or a TOML file by path. Raises Refusal."""
        tables = parse_text(read_text(str(study)), str(study))
        settings = cls.parse(tables, where=str(study))
        if settings.study.data_root is None:
            return settings
        return settings.with_data_root(Path(study).parent / settings.study.data_root)

    @classmethod
    def parse(cls, data: dict[str, Any], *, where: str = "study") -> "StudySettings":
        """Check the tables of a study file, and that the space they describe exists."""
        try:
            # By way of JSON: there, strict still takes arrays as tuples and strings as enums.
            settings = cls.model_validate_json(json.dumps(data, default=str))
        except ValidationError as error:
            raise Refusal(f"{where}: {first_refusal(error, data, cls)}") from None
        try:
            settings._check()
        except Refusal as refusal:
            raise Refusal(f"{where}: {refusal}") from None
        return settings

    def with_data_root(self, folder: str | Path | None) -> "StudySettings":
        """The same study with its rows read from another folder; None leaves it as it is."""
        if folder is None:
            return self
        study = self.study.model_copy(update={"data_root": str(Path(folder).resolve())})
        return self.model_copy(update={"study": study})

    def search_space(self) -> SearchSpace:
        space, training = self.space, self.training
        return SearchSpace(
            encoder=self.study.encoder,
            seeds=space.seeds or (self.study.seed,),
            mixture=space.mixture,
            intermediate=space.intermediate,
            temperature=space.temperature,
            cap=space.cap,
            intermediate_learning_rate=_rates(space.intermediate_learning_rate),
            target_learning_rate=_rates(space.target_learning_rate),
            intermediate_recipe=training.intermediate,
            targets=tuple((t, training.targets.get(t, training.target)) for t in space.targets),
            points=space.points,
            num_baselines=space.num_baselines,
            masking=_masking(space.mlm) if space.mlm else None,
            adapters=_adapters(space.lora) if space.lora else None,
            recipes=tuple(training.intermediates.items()),
            is_grid=self.study.sampler == "grid",
        )

    def languages_of(self, task: str) -> tuple[str, ...]:
        """The languages a target is scored in: its source language and those asked for."""
        entry, asked = get_task(task), self.evaluation.languages
        if not asked:
            return entry.languages
        wanted = {*asked, entry.source_language}
        return tuple(language for language in entry.languages if language in wanted)

    def lengths(self) -> dict[str, int]:
        """Every max_length that the study uses, by the key that sets it."""
        training = self.training
        found = {"training.intermediate.max_length": training.intermediate.max_length}
        for name, recipe in training.intermediates.items():
            found[f"training.intermediates.{name}.max_length"] = recipe.max_length
        for name in self.space.targets:
            if not get_task(name).trains:
                length = self.evaluation.retrieval_max_length
                found["evaluation.retrieval_max_length"] = length
            elif name in training.targets:
                found[f"training.targets.{name}.max_length"] = training.targets[name].max_length
            else:
                found["training.target.max_length"] = training.target.max_length
        return found

    @property
    def objective_targets(self) -> tuple[str, ...]:
        """Those named, else every target that trains, else all of them."""
        trained = tuple(t for t in self.space.targets if get_task(t).trains)
        return self.evaluation.objective or trained or self.space.targets

    def digest(self) -> str:
        """Of everything that decides results; budget, resources and tracking may change. What the
        file leaves at its default is left out, so that a new key changes no study's digest."""
        sections = {"study", "space", "training", "evaluation", "pretraining"}
        content = self.model_dump(mode="json", include=sections, exclude_defaults=True)
        content["study"].pop("data_root", None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def _check(self) -> None:
        for name in (*self.space.targets, *self.training.targets):
            get_task(name)
        for language in (*self.evaluation.languages, *self.evaluation.pivot_languages):
            get_language(language)
        for name in (*self.evaluation.objective, *self.training.targets):
            if name not in self.space.targets:
                raise unknown("target of the study", name, self.space.targets)
        pivots, rule = self.evaluation.pivot_languages, self.evaluation.selection
        if bool(pivots) != (rule is SelectionRule.PIVOT_DEV):
            raise Refusal(
                f"selection {rule.value!r} with pivot_languages {list(pivots)}: pivot_dev names "
                "its languages, the other rules have none"
            )
        if self.budget.max_gpu_hours is not None and not self.resources.num_gpus:
            raise Refusal(
                f"budget.max_gpu_hours is {self.budget.max_gpu_hours:g}, but resources."
                "gpus_per_worker is 0: these trials take no GPU; set max_hours instead, or "
                "gpus_per_worker"
            )
        if self.resources.phase_store is not None:
            Bucket.parse(self.resources.phase_store, what="resources.phase_store")
        self._check_warm_start()
        self._check_priors()
        if self.study.sampler in ("gp", "nsga2") and self.space.mixture == "shares":
            raise Refusal(
                f"study.sampler is {self.study.sampler!r}, but space.mixture is 'shares': it "
                "learns of parameters that all trials have, and a baseline has no shares; take "
                "'tpe'"
            )
        self._check_pretraining()
        self.search_space()
        self._check_languages()
        self._check_objectives()

    def _check_warm_start(self) -> None:
        study, earlier = self.study, self.study.warm_start
        if earlier and study.sampler not in ("tpe", "gp"):
            raise Refusal(
                f"study.warm_start with sampler {study.sampler!r}, which learns from no trial of "
                "another study; take 'tpe' or 'gp', or leave it out"
            )
        if study.name in earlier or len(set(earlier)) != len(earlier):
            raise Refusal(
                f"study.warm_start is {list(earlier)}; expected other studies than "
                f"{study.name!r}, each once"
            )

    def _check_priors(self) -> None:
        if not self.study.priors:
            return
        if self.study.sampler == "grid":
            raise Refusal(
                "study.priors with sampler 'grid', whose order is fixed: take 'tpe', 'gp' or "
                "'random', or leave it out (plan --explain shows the ranks all the same)"
            )
        if self.space.mixture == "shares" or set(self.space.intermediate) == {"none"}:
            raise Refusal(
                "study.priors ranks options, and there are none: it needs mixture = 'choice' and "
                "another option than 'none' in space.intermediate; leave it out"
            )

    def _check_pretraining(self) -> None:
        pretraining, encoder = self.pretraining, self.study.encoder
        if (encoder == PRETRAINED) != (pretraining is not None):
            there = "is" if pretraining else "no"
            raise Refusal(
                f"encoder {encoder!r} and there {there} [pretraining]: a study that makes its "
                f"encoder says encoder = {PRETRAINED!r} and how in [pretraining], others neither"
            )
        if pretraining is None:
            return
        task = text_task(pretraining.text)
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
                "pretraining.recipe.lora_rank: an encoder that is made has no weights to adapt; "
                "leave it out"
            )
        limit = pretraining.recipe.max_length
        for key, length in self.lengths().items():
            if length > limit:
                raise Refusal(
                    f"{key} is {length} tokens, but the encoder will have positions for {limit}; "
                    f"set it to {limit} or less, or raise pretraining.recipe.max_length"
                )
        layer = self.evaluation.retrieval_layer
        if layer is not None and layer > pretraining.num_layers:
            raise Refusal(
                f"evaluation.retrieval_layer is {layer}, but the encoder will have "
                f"{pretraining.num_layers} layers"
            )

    def _check_languages(self) -> None:
        """Every target has a zero-shot language, and the selection rule allows some language."""
        evaluation = self.evaluation
        allowed = 0
        for name in self.space.targets:
            entry, scored = get_task(name), self.languages_of(name)
            zero_shot = [language for language in scored if language != entry.source_language]
            if not zero_shot:
                raise unknown(
                    f"language for target {name!r} in evaluation.languages",
                    ", ".join(evaluation.languages),
                    entry.zero_shot_languages,
                )
            if name in self.objective_targets:
                allowed += len(self._selecting(name))
        if not allowed:
            raise Refusal(
                f"selection {evaluation.selection.value!r} allows no language in which an "
                f"objective target ({', '.join(self.objective_targets)}) is scored"
            )

    def _check_objectives(self) -> None:
        """What the trials are to be good at can be told of them."""
        names = self.evaluation.objectives
        if len(set(names)) != len(names):
            raise Refusal(f"evaluation.objectives is {_listed(names)}; expected each name once")
        if names and self.study.pruner != "none":
            raise Refusal(
                f"study.pruner is {self.study.pruner!r}, but evaluation.objectives names "
                f"{_listed(names)}: a pruner compares trials by the one objective that a study has "
                "by default; take pruner 'none', or leave evaluation.objectives out"
            )
        if Objective.GPU_HOURS in names and not self.resources.num_gpus:
            raise Refusal(
                "evaluation.objectives names 'gpu_hours', but resources.gpus_per_worker is 0: "
                "these trials take no GPU; did you mean 'hours'? Or set gpus_per_worker"
            )
        possible = self._possible_objectives()
        for name in names:
            if name not in possible:
                raise Refusal(
                    f"evaluation.objectives names {name.value!r}, but selection "
                    f"{self.evaluation.selection.value!r} allows no language of an objective "
                    f"target ({', '.join(self.objective_targets)}) that it could be told by; "
                    f"possible here: {_listed(possible)}"
                )

    def _possible_objectives(self) -> list[Objective]:
        possible = {Objective.HOURS, *([Objective.GPU_HOURS] if self.resources.num_gpus else [])}
        for name in self.objective_targets:
            source = get_task(name).source_language
            has_source = source in self.languages_of(name)
            has_zero_shot = bool(self._selecting(name) - {source})
            possible |= {Objective.SOURCE_SCORE} if has_source else set()
            if has_zero_shot:
                possible |= {Objective.ZERO_SHOT_MEAN, Objective.WORST_LANGUAGE}
            if has_zero_shot and has_source:
                possible.add(Objective.TRANSFER_GAP)
        return [name for name in Objective if name in possible]

    def _selecting(self, target: str) -> set[str]:
        """The scored languages of a target whose rows may choose between trials."""
        source, scored = get_task(target).source_language, set(self.languages_of(target))
        wanted = {
            SelectionRule.TARGET_DEV: scored - {source},
            SelectionRule.SOURCE_DEV: {source},
            SelectionRule.PIVOT_DEV: set(self.evaluation.pivot_languages),
        }[self.evaluation.selection]
        return wanted & scored


def shipped_studies() -> tuple[str, ...]:
    """Names of the studies that come with the package."""
    folder = resources.files("spaces") / "studies"
    if not folder.is_dir():
        return ()
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def read_text(study: str) -> str:
    """A study file as it stands, by shipped name or path. Raises Refusal."""
    shipped = shipped_studies()
    if study in shipped:
        path = Path(str(resources.files("spaces") / "studies" / f"{study}.toml"))
    elif study.endswith(".toml") or "/" in study:
        path = Path(study)
    else:
        raise unknown("study", study, shipped)
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(
            study, f"it is not UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise _unreadable(study, reason or str(error)) from error


def parse_text(text: str, study: str) -> dict[str, Any]:
    """The tables of a study file. Raises Refusal."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(study, f"it is not TOML ({error})") from error
    except RecursionError as error:
        reason = "it is not TOML that can be read (too many brackets in each other)"
        raise _unreadable(study, reason) from error
    except ValueError as error:  # a number of thousands of digits
        raise _unreadable(study, str(error)) from error


def _listed(names: Sequence[Objective]) -> str:
    return ", ".join(name.value for name in names)


def _unreadable(study: str, reason: str) -> Refusal:
    return Refusal(
        f"study file {study!r} cannot be read: {reason}. Expected a TOML file, or the name of a "
        f"shipped study: {', '.join(shipped_studies())}"
    )


def _masking(mlm: MlmSection) -> Masking:
    rates = _rates(mlm.learning_rate) if mlm.learning_rate else None
    return Masking(
        text=mlm.text,
        languages=mlm.languages,
        exponent=mlm.exponent,
        shares=mlm.shares,
        learning_rate=rates,
    )


def _adapters(lora: LoraSection) -> Adapters:
    return Adapters(
        ranks=lora.ranks, roles=lora.phases, learning_rate_factor=lora.learning_rate_factor
    )


def _rates(rates: tuple[float, ...] | RateRange) -> Grid | Range:
    return Range(rates.low, rates.high) if isinstance(rates, RateRange) else Grid(rates)
