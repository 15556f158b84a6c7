"""The settings of a study as its record has them: an older version may have written them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import JsonValue, ValidationError

from spaces.refusal import Refusal
from spaces.study_file.messages import first_refusal
from spaces.study_file.sections import BudgetSection, EvaluationSection, ResourcesSection, Section
from spaces.study_file.study import StudySettings
from spaces.study_file.task_sections import RowsSection, TaskSection, catalogue_of
from spaces.tasks.catalogue import SHIPPED, Catalogue

_S = TypeVar("_S", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSettings:
    """The sections that a report needs, and the whole `content` as it is stored.

    A key that a record lacks has the default of a study file: an older version did not know it, or
    the study has just begun and its settings are not stored yet (`content` is then empty). `budget`
    has no default and is None there.
    """

    content: Mapping[str, JsonValue] = field(default_factory=dict)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    resources: ResourcesSection = field(default_factory=ResourcesSection)
    budget: BudgetSection | None = None
    catalogue: Catalogue = SHIPPED

    @classmethod
    def parse(
        cls, content: Mapping[str, JsonValue], *, where: str = "record"
    ) -> "RecordedSettings":
        """Read the sections. A key that this version does not know is ignored: reports do not need
        it. Raises Refusal where the value of a known key is refused."""
        sections = {name: part for name, part in content.items() if isinstance(part, dict)}
        budget = sections.get("budget")
        return cls(
            content=content,
            evaluation=_section(EvaluationSection, sections.get("evaluation", {}), where),
            resources=_section(ResourcesSection, sections.get("resources", {}), where),
            budget=_section(BudgetSection, budget, where) if budget else None,
            catalogue=_catalogue(content, where),
        )

    def whole(self, *, where: str = "record") -> StudySettings:
        """All sections, checked as those of a study file. Raises Refusal: the settings are not
        stored yet, or this version refuses them."""
        if not self.content:
            raise Refusal(f"{where} has no settings yet: its study has just begun; try again later")
        return StudySettings.parse(dict(self.content), file=where, is_recorded=True)


@contextmanager
def describing(where: str) -> Iterator[None]:
    """Says in a refusal of an unknown task how to describe it: records of versions in which such a
    task was an entry in the program's code do not."""
    try:
        yield
    except Refusal as refusal:
        raise Refusal(
            f"{where}: {refusal}. Records of earlier versions do not describe tasks of one's own: "
            "write the task into the study file as [tasks.NAME] with kind, languages, labels and "
            "rows, and run the study under another name; phases that are in the store are not "
            "trained again"
        ) from None


def _catalogue(content: Mapping[str, JsonValue], where: str) -> Catalogue:
    """The shipped tasks and those that the study defined."""
    tasks = {
        name: _section(TaskSection, table, where)
        for name, table in _tables(content, "tasks").items()
        if isinstance(table, dict)
    }
    rows = {
        name: tuple(_section(RowsSection, p, where) for p in parts if isinstance(p, dict))
        for name, parts in _tables(content, "rows").items()
        if isinstance(parts, list)
    }
    try:
        return catalogue_of(tasks, rows)
    except Refusal as refusal:
        raise Refusal(f"{where}: {refusal}") from None


def _tables(content: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    tables = content.get(name)
    return tables if isinstance(tables, dict) else {}


def _section(kind: type[_S], content: Mapping[str, JsonValue], where: str) -> _S:
    known = {name: value for name, value in content.items() if name in kind.model_fields}
    try:
        return kind.model_validate_json(json.dumps(known))
    except ValidationError as error:
        raise Refusal(f"{where}: {first_refusal(error, known, kind)}") from None
