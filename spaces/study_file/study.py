"""StudySettings: the study file, read strictly. TOML, because YAML reads the language `no` as
false."""

import hashlib
import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from spaces.domains import Grid, Range
from spaces.intermediates import Intermediates
from spaces.lora import Adapters
from spaces.masking import Masking
from spaces.phases import Pooling, Recipe
from spaces.refusal import Refusal
from spaces.space import SearchSpace
from spaces.study_file.checks import check
from spaces.study_file.listed import check_listed_once
from spaces.study_file.messages import check_values, first_refusal
from spaces.study_file.sections import (
    POCKET,
    PRETRAINED,
    BudgetSection,
    EvaluationSection,
    LoraSection,
    MlmSection,
    PretrainingSection,
    RateRange,
    ResourcesSection,
    Section,
    SpaceSection,
    StudySection,
    TrackingSection,
    TrainingSection,
)
from spaces.study_file.study_text import read_tables
from spaces.study_file.task_sections import RowsSection, TaskSection, catalogue_of
from spaces.tasks.catalogue import Catalogue
from spaces.tasks.task import Task


class StudySettings(Section):
    """One study file. All of it is checked before anything starts."""

    study: StudySection
    pretraining: PretrainingSection | None = None
    space: SpaceSection
    training: TrainingSection
    evaluation: EvaluationSection = EvaluationSection()
    resources: ResourcesSection = ResourcesSection()
    tracking: TrackingSection = TrackingSection()
    budget: BudgetSection
    tasks: dict[str, TaskSection] = Field(default_factory=dict)
    rows: dict[str, tuple[RowsSection, ...]] = Field(default_factory=dict)

    @classmethod
    def load(cls, study: str | Path) -> "StudySettings":
        """Read a shipped study by name, or a TOML file by path. Raises Refusal."""
        return cls.parse(read_tables(str(study)), file=str(study)).placed_in(Path(study).parent)

    @classmethod
    def parse(
        cls, data: dict[str, Any], *, file: str = "study", is_recorded: bool = False
    ) -> "StudySettings":
        """The settings in these tables, after every check. `file` names the file in error messages.
        A recorded study keeps what earlier versions accepted: an entry that is listed twice, for
        example. Raises Refusal.

        Where the file does not set `pooling`, the encoder decides: `mean` for those that are made
        here, `first` for all others. A record has the value; one of an earlier version means
        `mean`.
        """
        try:
            if not is_recorded:
                data = _with_pooling(data)
                check_values(data)
            # Through JSON, because strict mode takes arrays as tuples and strings as enums only
            # there.
            settings = cls.model_validate_json(json.dumps(_with_lists(data)))
            if not is_recorded:
                check_listed_once(settings)
            check(settings)
        except ValidationError as error:
            raise Refusal(f"{file}: {first_refusal(error, data, cls)}") from None
        except RecursionError:
            raise Refusal(f"{file}: tables or lists are nested too deeply") from None
        except Refusal as refusal:
            raise Refusal(f"{file}: {refusal}") from None
        return settings

    def with_data_root(self, folder: str | Path | None) -> "StudySettings":
        """The same study with its rows in another folder; unchanged where `folder` is None."""
        if folder is None:
            return self
        study = self.study.model_copy(update={"data_root": str(Path(folder).resolve())})
        return self.model_copy(update={"study": study})

    def placed_in(self, folder: Path) -> "StudySettings":
        """The same study with its folders resolved against `folder`, that of its file."""
        given = self.study
        study = self.with_data_root(None if given.data_root is None else folder / given.data_root)
        study = study.with_encoder(
            None if given.encoder_folder is None else folder / given.encoder_folder
        )
        if not study.reads_folders:
            return study
        rows_folder = str((folder / (given.rows_folder or ".")).resolve())
        placed = study.study.model_copy(update={"rows_folder": rows_folder})
        return study.model_copy(update={"study": placed})

    @property
    def reads_folders(self) -> bool:
        """Whether it has own rows in folders that the study file names."""
        places = (*self.tasks.values(), *(place for more in self.rows.values() for place in more))
        return any(place.rows is not None for place in places)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The tasks that the study may name: the shipped ones and its own."""
        return catalogue_of(self.tasks, self.rows)

    @property
    def targets(self) -> tuple[Task, ...]:
        """The tasks that the study scores."""
        return tuple(self.catalogue.get(name) for name in self.space.targets)

    def with_encoder(self, folder: str | Path | None) -> "StudySettings":
        """The same study with a folder in place of its encoder's name; unchanged where `folder` is
        None."""
        if folder is None:
            return self
        study = self.study.model_copy(update={"encoder_folder": str(Path(folder).resolve())})
        return self.model_copy(update={"study": study})

    def with_pooling(self, pooling: Pooling) -> "StudySettings":
        """The same study with this pooling in every recipe of its phases."""

        def changed(recipe: Recipe) -> Recipe:
            return replace(recipe, pooling=pooling)

        training = self.training
        update: dict[str, Any] = {
            "intermediate": changed(training.intermediate),
            "target": changed(training.target),
            "intermediates": {n: changed(r) for n, r in training.intermediates.items()},
            "targets": {n: changed(r) for n, r in training.targets.items()},
        }
        return self.model_copy(update={"training": training.model_copy(update=update)})

    def search_space(self) -> SearchSpace:
        """The search space that the sections describe. Raises Refusal where it cannot exist."""
        space, training = self.space, self.training
        return SearchSpace(
            encoder=self.study.encoder,
            seeds=space.seeds or (self.study.seed,),
            intermediates=Intermediates(
                catalogue=self.catalogue,
                mixture=space.mixture,
                listed=space.intermediate,
                temperature=space.temperature,
                cap=space.cap,
                masking=_masking(space.mlm, self.catalogue) if space.mlm else None,
            ),
            intermediate_learning_rate=_rates(space.intermediate_learning_rate),
            target_learning_rate=_rates(space.target_learning_rate),
            intermediate_recipe=training.intermediate,
            targets=tuple((task, training.recipe_of(task.name)) for task in self.targets),
            points=space.points,
            num_baselines=space.num_baselines,
            adapters=_adapters(space.lora) if space.lora else None,
            recipes=tuple(training.intermediates.items()),
            is_grid=self.study.sampler == "grid",
        )

    def languages_of(self, target: Task) -> tuple[str, ...]:
        """The languages that a target is scored in: its source language and the zero-shot languages
        of the study."""
        listed = self.evaluation.languages
        if not listed:
            return target.languages
        wanted = {*listed, target.source_language}
        return tuple(language for language in target.languages if language in wanted)

    def selecting_languages(self, target: Task) -> list[str]:
        """The languages of a target whose validation rows may choose between trials."""
        return self.evaluation.selection.languages(
            self.languages_of(target),
            source=target.source_language,
            pivots=self.evaluation.pivot_languages,
        )

    def lengths(self) -> dict[str, int]:
        """Every max_length that the study uses, in tokens, by the key that sets it."""
        training = self.training
        lengths = {"training.intermediate.max_length": training.intermediate.max_length}
        for name, recipe in training.intermediates.items():
            lengths[f"training.intermediates.{name}.max_length"] = recipe.max_length
        for target in self.targets:
            if not target.trains:
                key = "evaluation.retrieval_max_length"
            elif target.name in training.targets:
                key = f"training.targets.{target.name}.max_length"
            else:
                key = "training.target.max_length"
            lengths[key] = self.max_length_of(target)
        return lengths

    def max_length_of(self, target: Task) -> int:
        """The most tokens of a row when the target is scored."""
        recipe = self.training.recipe_of(target.name) if target.trains else None
        return self.evaluation.max_length_of(recipe)

    @property
    def objective_targets(self) -> tuple[str, ...]:
        """The names of the targets of the objective: those named, else every target that trains,
        else all."""
        trained = tuple(target.name for target in self.targets if target.trains)
        return self.evaluation.objective or trained or self.space.targets

    def digest(self) -> str:
        """A hash of the settings that decide results: 16 hexadecimal digits. Budget, resources and
        tracking are not part of it. Defaults are left out, so a new key with a default changes no
        study's digest."""
        sections = {"study", "space", "training", "evaluation", "pretraining", "tasks", "rows"}
        content = self.model_dump(mode="json", include=sections, exclude_defaults=True)
        for place in ("data_root", "encoder_folder", "rows_folder"):  # what lies there decides
            content["study"].pop(place, None)
        more = (place for places in content.get("rows", {}).values() for place in places)
        for table in (*content.get("tasks", {}).values(), *more):
            table.pop("rows", None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _with_lists(data: dict[str, Any]) -> dict[str, Any]:
    """The tables with a list for every task in `rows`: a table [rows.TASK] alone is a list of
    one."""
    rows = data.get("rows")
    if not isinstance(rows, dict):
        return data
    listed = {name: [part] if isinstance(part, dict) else part for name, part in rows.items()}
    return {**data, "rows": listed}


def _with_pooling(data: dict[str, Any]) -> dict[str, Any]:
    """The tables with `pooling` in the common recipes, where an encoder that is not made here
    leaves it open. The recipes of single options and targets start from the common ones."""
    study, training = data.get("study"), data.get("training")
    if not isinstance(study, dict) or not isinstance(training, dict):
        return data
    if study.get("encoder") in (POCKET, PRETRAINED):
        return data
    common = {
        name: {"pooling": Pooling.FIRST.value, **training[name]}
        for name in ("intermediate", "target")
        if isinstance(training.get(name), dict)
    }
    return {**data, "training": {**training, **common}}


def _masking(mlm: MlmSection, catalogue: Catalogue) -> Masking:
    rates = _rates(mlm.learning_rate) if mlm.learning_rate else None
    return Masking(
        text=catalogue.text_task(mlm.text),
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
