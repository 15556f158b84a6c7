"""StudySettings: the study file, read strictly. TOML, because YAML reads the language `no` as
false."""

import hashlib
import json
import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spaces.domains import Grid, Range
from spaces.files import read_limited
from spaces.intermediates import Intermediates
from spaces.lora import Adapters
from spaces.masking import Masking
from spaces.phases import Pooling, Recipe
from spaces.refusal import Refusal, unknown
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
from spaces.tasks.catalogue import get_task

MAX_BYTES = 1_000_000  # of a study file


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

    @classmethod
    def load(cls, study: str | Path) -> "StudySettings":
        """Read a shipped study by name, or a TOML file by path. Raises Refusal."""
        tables = parse_text(read_text(str(study)), str(study))
        settings = cls.parse(tables, file=str(study))
        folder, given = Path(study).parent, settings.study
        return settings.with_data_root(
            None if given.data_root is None else folder / given.data_root
        ).with_encoder(None if given.encoder_folder is None else folder / given.encoder_folder)

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
            settings = cls.model_validate_json(json.dumps(data))
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
                mixture=space.mixture,
                listed=space.intermediate,
                temperature=space.temperature,
                cap=space.cap,
                masking=_masking(space.mlm) if space.mlm else None,
            ),
            intermediate_learning_rate=_rates(space.intermediate_learning_rate),
            target_learning_rate=_rates(space.target_learning_rate),
            intermediate_recipe=training.intermediate,
            targets=tuple((t, training.recipe_of(t)) for t in space.targets),
            points=space.points,
            num_baselines=space.num_baselines,
            adapters=_adapters(space.lora) if space.lora else None,
            recipes=tuple(training.intermediates.items()),
            is_grid=self.study.sampler == "grid",
        )

    def languages_of(self, task: str) -> tuple[str, ...]:
        """The languages that a target is scored in: its source language and the zero-shot languages
        of the study."""
        entry, listed = get_task(task), self.evaluation.languages
        if not listed:
            return entry.languages
        wanted = {*listed, entry.source_language}
        return tuple(language for language in entry.languages if language in wanted)

    def selecting_languages(self, target: str) -> list[str]:
        """The languages of a target whose validation rows may choose between trials."""
        return self.evaluation.selection.languages(
            self.languages_of(target),
            source=get_task(target).source_language,
            pivots=self.evaluation.pivot_languages,
        )

    def lengths(self) -> dict[str, int]:
        """Every max_length that the study uses, in tokens, by the key that sets it."""
        training = self.training
        lengths = {"training.intermediate.max_length": training.intermediate.max_length}
        for name, recipe in training.intermediates.items():
            lengths[f"training.intermediates.{name}.max_length"] = recipe.max_length
        for name in self.space.targets:
            if not get_task(name).trains:
                key = "evaluation.retrieval_max_length"
            elif name in training.targets:
                key = f"training.targets.{name}.max_length"
            else:
                key = "training.target.max_length"
            lengths[key] = self.max_length_of(name)
        return lengths

    def max_length_of(self, target: str) -> int:
        """The most tokens of a row when the target is scored."""
        recipe = self.training.recipe_of(target) if get_task(target).trains else None
        return self.evaluation.max_length_of(recipe)

    @property
    def objective_targets(self) -> tuple[str, ...]:
        """The targets of the objective: those named, else every target that trains, else all."""
        trained = tuple(t for t in self.space.targets if get_task(t).trains)
        return self.evaluation.objective or trained or self.space.targets

    def digest(self) -> str:
        """A hash of the settings that decide results: 16 hexadecimal digits. Budget, resources and
        tracking are not part of it. Defaults are left out, so a new key with a default changes no
        study's digest."""
        sections = {"study", "space", "training", "evaluation", "pretraining"}
        content = self.model_dump(mode="json", include=sections, exclude_defaults=True)
        for place in ("data_root", "encoder_folder"):  # what lies there decides the results
            content["study"].pop(place, None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def shipped_studies() -> tuple[str, ...]:
    """The names of the studies that come with the package."""
    folder = resources.files("spaces") / "studies"
    if not folder.is_dir():
        return ()
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def read_text(study: str) -> str:
    """The text of a study file, by shipped name or path, without a byte-order mark. Raises Refusal
    where it cannot be read."""
    shipped = shipped_studies()
    if study in shipped:
        path = Path(str(resources.files("spaces") / "studies" / f"{study}.toml"))
    elif study.endswith(".toml") or "/" in study:
        path = Path(study)
    else:
        raise unknown("study", study, shipped)
    try:
        content = read_limited(path, MAX_BYTES)
        if len(content) > MAX_BYTES:
            raise _unreadable(study, f"it has more than {MAX_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except Refusal:
        raise
    except UnicodeDecodeError as error:
        raise _unreadable(
            study, f"it is not UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise _unreadable(study, reason or str(error)) from error


def parse_text(text: str, study: str) -> dict[str, Any]:
    """The tables in the text of a study file. Raises Refusal where it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(study, f"it is not TOML ({error})") from error
    except RecursionError as error:
        reason = "it is not TOML that can be read (brackets are nested too deeply)"
        raise _unreadable(study, reason) from error
    except ValueError as error:  # a number with thousands of digits
        raise _unreadable(study, str(error)) from error


def _unreadable(study: str, reason: str) -> Refusal:
    return Refusal(
        f"study file {study!r} cannot be read: {reason}. Expected a TOML file, or the name of a "
        f"shipped study: {', '.join(shipped_studies())}"
    )


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
