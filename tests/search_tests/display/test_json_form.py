"""Dataclasses as JSON, back, and as a schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import jsonschema
import pytest
from pydantic import JsonValue, computed_field

from search.display.json_form import from_json, json_of, json_schema
from spaces.refusal import Refusal


class Colour(StrEnum):
    RED = "red"


class Point(NamedTuple):
    name: str
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part."""

    share: float
    """The share, in [0, 1]."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def is_whole(self) -> bool:
        """Whether there is nothing else."""
        return self.share == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPart(Part):
    """A part with a name."""

    name: str
    """The name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole."""

    colour: Colour
    """The colour."""
    top: Point | None
    """The top: [name, height in metres]."""
    parts: tuple[NamedPart, ...]
    """The parts."""
    more: Mapping[str, JsonValue]
    """What else is stored."""


WHOLE = Whole(
    colour=Colour.RED,
    top=Point("a", 2.0),
    parts=(NamedPart(share=1.0, name="all"),),
    more={"count": 3, "deep": [{"x": None}]},
)
CONTENT = {
    "colour": "red",
    "top": ["a", 2.0],
    "parts": [{"share": 1.0, "name": "all", "is_whole": True}],
    "more": {"count": 3, "deep": [{"x": None}]},
}


def test_a_dataclass_becomes_json_and_comes_back() -> None:
    assert json_of(WHOLE) == CONTENT
    assert from_json(Whole, CONTENT, where="a file") == WHOLE
    assert from_json(Whole, {**CONTENT, "later": 1}, where="a file") == WHOLE


@pytest.mark.parametrize(
    ("change", "key"), [({"colour": "blue"}, "colour"), ({"parts": [{"share": 1.0}]}, "name")]
)
def test_content_that_does_not_fit_is_refused(change: dict[str, object], key: str) -> None:
    with pytest.raises(Refusal, match=rf"^a file cannot be read: .*{key}"):
        from_json(Whole, {**CONTENT, **change}, where="a file")


def test_the_schema_describes_every_field_inherited_ones_too() -> None:
    schema = json_schema(Whole)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json_of(WHOLE), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**CONTENT, "top": ["a"]}, schema)
    assert schema["description"] == "A whole."
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    properties = definitions["NamedPart"]["properties"]  # type: ignore[index,call-overload]
    described = {name: found["description"] for name, found in properties.items()}  # type: ignore[union-attr]
    assert described == {
        "share": "The share, in [0, 1].",
        "name": "The name.",
        "is_whole": "Whether there is nothing else.",
    }
