"""Results with a published schema: as JSON, back, and the schema.

The types are stdlib dataclasses. Pydantic reads their fields, and for the schema the sentence below
each field. `spaces.json_values.to_json` is for all other results: it leaves computed fields out.
"""

from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from types import GenericAlias
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from spaces.json_values import JsonObject
from spaces.refusal import Refusal

_T = TypeVar("_T")


def json_of(result: object) -> JsonObject:
    """The JSON object of a dataclass: a key for each field and each computed field."""
    kind: Any = type(result)
    content: JsonObject = _adapter(kind).dump_python(result, mode="json")
    return content


def from_json(kind: type[_T], content: object, *, where: str) -> _T:
    """The inverse of `json_of`, for results that are stored. A key that the type does not have is
    ignored. Raises Refusal: a key is missing, or its value is refused."""
    hashable: Any = kind
    try:
        result: _T = _adapter(hashable).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise Refusal(f"{where} cannot be read: {key}: {first['msg']}") from None
    return result


def json_schema(kind: type) -> JsonObject:
    """The JSON Schema (2020-12) of what `json_of` makes of a dataclass. The docstring of a class is
    its description; that of a field is the string below it."""
    schema = _own_schema(kind)
    definitions: dict[str, Any] = schema.pop("$defs")
    for found in set(_dataclasses(kind)):
        described = schema if found is kind else definitions[found.__name__]
        for base in filter(is_dataclass, found.__mro__[1:]):
            for name, inherited in _own_schema(base)["properties"].items():
                if "description" in inherited:
                    described["properties"][name].setdefault(
                        "description", inherited["description"]
                    )
    version = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": version, **schema, "$defs": definitions}


def _own_schema(kind: type[Any]) -> dict[str, Any]:
    """The schema as pydantic makes it: without the descriptions of inherited fields."""
    # A config reaches the dataclasses inside a type, but not a dataclass at its root.
    holder: Any = GenericAlias(tuple, (kind,))
    adapter: TypeAdapter[Any] = TypeAdapter(
        holder, config=ConfigDict(use_attribute_docstrings=True)
    )
    definitions = adapter.json_schema(mode="serialization")["$defs"]
    return {**definitions.pop(kind.__name__), "$defs": definitions}


def _dataclasses(kind: Any) -> Iterator[type[Any]]:
    """A dataclass and all those that its fields may hold."""
    if isinstance(kind, type) and is_dataclass(kind):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from _dataclasses(hint)
    for part in get_args(kind):
        yield from _dataclasses(part)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
