"""StudySettings: the strict study file. TOML, since YAML reads the language `no` as false."""

import hashlib
import json
import tomllib
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from spaces.languages import get_language
from spaces.messages import first_refusal
from spaces.phases import Recipe
from spaces.refusal import Refusal, unknown
from spaces.space import Grid, Range, SearchSpace
from spaces.tasks import get_task

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SelectionRule(StrEnum):
    """Which validation rows may choose between trials."""

    TARGET_DEV = "target_dev"  # the zero-shot languages' (the paper's protocol)
    SOURCE_DEV = "source_dev"  # the source language's alone: strictly zero-shot
    PIVOT_DEV = "pivot_dev"  # those of named languages; the others are reported


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StudySection(Section):
    """What is searched, from which seed, by which sampler. `data_root` is where rows are read: a
    folder in the hub's layout, else the hub. It decides no result: what the rows say does."""

    name: Name
    encoder: str
    revision: str | None = None
    seed: Annotated[int, Field(ge=0)]
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["none", "median"] = "none"
    data_root: str | None = None


class RateRange(Section):
    low: Rate
    high: Rate


# A table is a range and anything else a grid, so that an error speaks of the one that was meant.
Rates = Annotated[
    Annotated[tuple[Rate, ...], Field(min_length=1), Tag("grid")]
    | Annotated[RateRange, Tag("range")],
    Discriminator(lambda rates: _form_of(rates)),
]


class SpaceSection(Section):
    """What may vary."""

    mixture: Literal["choice", "shares"] = "choice"
    intermediate: Annotated[tuple[str, ...], Field(min_length=1)]
    temperature: Annotated[float, Field(gt=0)] = 1.0
    cap: Count | None = None
    intermediate_learning_rate: Rates
    target_learning_rate: Rates
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    num_baselines: Count = 3
    points: tuple[dict[str, str | float], ...] = ()


class TrainingSection(Section):
    """The recipes: of intermediate phases, of target phases, of single targets."""

    intermediate: Recipe
    target: Recipe
    targets: dict[str, Recipe] = {}

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """A single target's table says only what differs from `[training.target]`."""
        if isinstance(data, dict) and isinstance(data.get("targets"), dict):
            common = data.get("target")
            common = common if isinstance(common, dict) else {}
            tables = data["targets"].items()
            filled = {n: {**common, **t} if isinstance(t, dict) else t for n, t in tables}
            return {**data, "targets": filled}
        return data


class EvaluationSection(Section):
    """What is scored and what may select. `languages` restricts the zero-shot languages."""

    selection: SelectionRule = SelectionRule.TARGET_DEV
    pivot_languages: tuple[str, ...] = ()
    objective: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    retrieval_layer: Count | None = None
    retrieval_max_length: Count = 128
    max_rows: Count | None = None
    max_batch_tokens: Count = 16_384


class ResourcesSection(Section):
    """What one trial gets. `max_device_tokens` splits a step into micro-batches."""

    num_workers: Count = 1
    cpus_per_worker: Count = 1
    gpus_per_worker: Annotated[int, Field(ge=0)] = 0
    max_concurrent_trials: Count | None = None
    max_device_tokens: Count = 16_384
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60.0


class TrackingSection(Section):
    """Where the record goes; what is left out lies in the home folder."""

    mlflow: str | None = None
    optuna: str | None = None
    experiment: str = "transfer-search"
    keep_best: Count = 3


class BudgetSection(Section):
    """When the search ends. Duplicates of a scored plan are not counted."""

    num_trials: Count
    max_hours: Annotated[float, Field(gt=0)] | None = None


class StudySettings(Section):
    """One study file, checked whole before anything starts."""

    study: StudySection
    space: SpaceSection
    training: TrainingSection
    evaluation: EvaluationSection = EvaluationSection()
    resources: ResourcesSection = ResourcesSection()
    tracking: TrackingSection = TrackingSection()
    budget: BudgetSection

    @classmethod
    def load(cls, study: str | Path) -> "StudySettings":
        """Read a shipped study by name or a TOML file by path. Raises Refusal."""
        settings = cls.parse(_read_file(str(study)), where=str(study))
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
            seed=self.study.seed,
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
        )

    def languages_of(self, task: str) -> tuple[str, ...]:
        """The languages a target is scored in: its source language and those asked for."""
        entry, asked = get_task(task), self.evaluation.languages
        if not asked:
            return entry.languages
        wanted = {*asked, entry.source_language}
        return tuple(language for language in entry.languages if language in wanted)

    @property
    def objective_targets(self) -> tuple[str, ...]:
        """Those named, else every target that trains, else all of them."""
        trained = tuple(t for t in self.space.targets if get_task(t).trains)
        return self.evaluation.objective or trained or self.space.targets

    def digest(self) -> str:
        """Of everything that decides results; budget, resources and tracking may change."""
        sections = {"study", "space", "training", "evaluation"}
        content = self.model_dump(mode="json", include=sections)
        del content["study"]["data_root"]
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
        self.search_space()
        self._check_languages()

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
            selecting = {
                SelectionRule.TARGET_DEV: zero_shot,
                SelectionRule.SOURCE_DEV: [entry.source_language],
                SelectionRule.PIVOT_DEV: evaluation.pivot_languages,
            }[evaluation.selection]
            if name in self.objective_targets:
                allowed += len(set(selecting) & set(scored))
        if not allowed:
            raise Refusal(
                f"selection {evaluation.selection.value!r} allows no language in which an "
                f"objective target ({', '.join(self.objective_targets)}) is scored"
            )


def shipped_studies() -> tuple[str, ...]:
    """Names of the studies that come with the package."""
    folder = resources.files("spaces") / "studies"
    if not folder.is_dir():
        return ()
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def _read_file(study: str) -> dict[str, Any]:
    shipped = shipped_studies()
    if study in shipped:
        path = Path(str(resources.files("spaces") / "studies" / f"{study}.toml"))
    elif study.endswith(".toml") or "/" in study:
        path = Path(study)
    else:
        raise unknown("study", study, shipped)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 ({error.reason} at byte {error.start})"
    except tomllib.TOMLDecodeError as error:
        reason = f"it is not TOML ({error})"
    except RecursionError:
        reason = "it is not TOML that can be read (too many brackets in each other)"
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    raise Refusal(
        f"study file {study!r} cannot be read: {reason}. Expected a TOML file, or the name of a "
        f"shipped study: {', '.join(shipped)}"
    )


def _form_of(rates: Any) -> str:
    return "range" if isinstance(rates, dict | RateRange) else "grid"


def _rates(rates: tuple[float, ...] | RateRange) -> Grid | Range:
    return Range(rates.low, rates.high) if isinstance(rates, RateRange) else Grid(rates)
