"""The published JSON Schemas of `report`, `status` and `compare`, and the page that explains them.

    python -m scripts.report_schemas         write them into docs/reference (`make schemas`)

All of it comes from the types: a class's docstring is its description, and the sentence below a
field describes the field.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from search.display.json_form import json_schema
from search.findings.findings import Report
from search.report.comparison import Comparison
from search.report.status import StudyStatus

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PAGE = "report-json.md"
PUBLISHED: Mapping[str, type] = MappingProxyType(
    {"report": Report, "status": StudyStatus, "compare": Comparison}
)
_INTRODUCTION = """\
# JSON of `report`, `status` and `compare`

`report STUDY --json` prints one JSON object, which this page describes; so do `compare A B --json`
and, under the key `standing`, `status STUDY --json`. Programs can check it against the JSON Schemas
[report](report.schema.json), [status](status.schema.json) and [compare](compare.schema.json).

Scores are in [0, 1], and gains, differences and gaps in [-1, 1]: `report` without `--json` shows
them times 100. A zero-shot mean leaves the source language out. Intervals are 95 % intervals. Keys
may be added in later versions; the keys below stay.

This page is written by `make schemas` from the types in `search/findings/findings.py`,
`search/report/status.py` and `search/report/comparison.py`.
"""
_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "report": "`report --json`",
        "status": "`status --json`, key `standing`",
        "compare": "`compare --json`",
    }
)


def files() -> dict[str, str]:
    """File name -> its text: the schemas, and the page."""
    schemas = {name: json_schema(kind) for name, kind in PUBLISHED.items()}
    texts = {
        f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }
    return {**texts, PAGE: "\n".join([_INTRODUCTION, *_sections(schemas)])}


def write(folder: Path) -> None:
    """Write the files of `files` into a folder that is there."""
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


def _sections(schemas: Mapping[str, Any]) -> Iterator[str]:
    """A section for each object; one that several schemas share is written once."""
    seen: set[str] = set()
    for name, schema in schemas.items():
        definitions = schema["$defs"]
        yield from _section(f"## {_TITLES[name]}", schema, definitions)
        for kind, part in definitions.items():
            if kind not in seen and "properties" in part:
                yield from _section(f"### {kind}", part, definitions)
            seen.add(kind)


def _section(
    heading: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[str]:
    yield f"{heading}\n"
    yield f"{_line(schema['description'])}\n"
    yield "| key | type | meaning |"
    yield "|---|---|---|"
    for key, field in schema["properties"].items():
        yield f"| `{key}` | {_type(field, definitions)} | {_line(field['description'])} |"
    yield ""


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The type of a field in words: `list of [GapCell](#gapcell)`."""
    if "anyOf" in field:
        return " or ".join(_type(option, definitions) for option in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        part = definitions[name]
        return f"[{name}](#{name.lower()})" if "properties" in part else _type(part, definitions)
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"] if value)
    kind: str = field.get("type", "any")
    if kind == "array":
        return f"list of {_type(field['items'], definitions)}" if "items" in field else "list"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'], definitions)}"
    return kind


if __name__ == "__main__":
    write(FOLDER)
