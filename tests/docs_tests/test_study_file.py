"""The page of the study file lists every key with its default, and its TOML is valid."""

import dataclasses
import json
import re
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from spaces.phases import Recipe
from spaces.study_file.sections import (
    BudgetSection,
    EvaluationSection,
    LoraSection,
    MlmSection,
    PretrainingSection,
    ResourcesSection,
    Section,
    SpaceSection,
    StudySection,
    TrackingSection,
    TrainingSection,
)
from spaces.study_file.study import StudySettings
from spaces.study_file.task_sections import RowsSection, TaskSection

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "study-file.md"
REQUIRED = "required"
SECTIONS: dict[str, type[Section]] = {
    "`[study]`": StudySection,
    "`[pretraining]`": PretrainingSection,
    "`[space]`": SpaceSection,
    "`[space.mlm]`": MlmSection,
    "`[space.lora]`": LoraSection,
    "`[evaluation]`": EvaluationSection,
    "`[resources]`": ResourcesSection,
    "`[tracking]`": TrackingSection,
    "`[budget]`": BudgetSection,
    "`[tasks.NAME]`": TaskSection,
    "`[rows.TASK]`": RowsSection,
}


def documented() -> dict[str, dict[str, str]]:
    """Heading -> key -> default, as the tables of the page have them."""
    tables: dict[str, dict[str, str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|", text, flags=re.MULTILINE)
        assert len(dict(rows)) == len(rows), f"a key stands twice under {heading}"
        if rows:
            tables[heading] = {key: default.strip("`") for key, default in rows}
    return tables


def written(default: Any) -> str:
    """A default as a study file would write it."""
    if default is None:
        return "none"
    return json.dumps(default.value if isinstance(default, Enum) else default)


def defaults_of(section: type[Section]) -> dict[str, str]:
    return {
        name: REQUIRED
        if field.is_required()
        else written(field.get_default(call_default_factory=True))
        for name, field in section.model_fields.items()
    }


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_lists_every_key_of_a_section_with_its_default(heading: str) -> None:
    assert documented()[heading] == defaults_of(SECTIONS[heading])


def test_the_page_lists_every_key_of_a_recipe_with_its_default() -> None:
    expected = {
        field.name: REQUIRED if field.default is dataclasses.MISSING else written(field.default)
        for field in dataclasses.fields(Recipe)
    }
    assert documented()["Training recipes"] == expected


def test_the_page_has_a_table_for_every_section() -> None:
    """A section that is added to the study file is added above, and so to the page."""
    models = {
        kind
        for field in StudySettings.model_fields.values()
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ()))
        if isinstance(kind, type) and issubclass(kind, Section)
    }
    assert models - {TrainingSection} <= set(SECTIONS.values())
    assert set(documented()) == {*SECTIONS, "Training recipes"}
    for table in TrainingSection.model_fields:
        assert f"`[training.{table}" in PAGE.read_text()


@pytest.mark.parametrize(
    "page", ["reference/study-file.md", "explanation/selection-and-protocol.md"]
)
def test_the_toml_of_a_page_is_valid(page: str) -> None:
    """The first block of the reference is a whole file, every other one a part of such a file."""

    def blocks_of(path: Path) -> list[dict[str, Any]]:
        found = re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        return [tomllib.loads(block) for block in found]

    whole = blocks_of(PAGE)[0]
    StudySettings.parse(whole)
    blocks = blocks_of(DOCS / page)
    assert blocks
    for block in blocks:
        sections = {name: {**whole.get(name, {}), **keys} for name, keys in block.items()}
        StudySettings.parse({**whole, **sections})
