"""What is wrong with a study file, in one line: the dotted key, what was given, what is meant."""

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from spaces.refusal import Refusal, unknown

Place = Sequence[str | int]

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_EXPECTED: Mapping[str, str] = types.MappingProxyType(
    {
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "string_type": "text in quotes",
        "string_pattern_mismatch": "1 to 64 letters, digits and . _ - that start with a letter "
        "or digit",
        "tuple_type": "a list",
        "dict_type": "a table",
        "model_type": "a table",
        "dataclass_type": "a table",
        "greater_than": "a number above {gt:g}",
        "greater_than_equal": "{ge:g} or more",
        "less_than": "a number below {lt:g}",
        "too_short": "at least one entry",
        "literal_error": "{expected}",
        "enum": "{expected}",
    }
)


def first_refusal(
    error: ValidationError, data: Mapping[str, Any], model: type[BaseModel]
) -> Refusal:
    """The first error that pydantic found in `data`, as the author of the file should read it.

    Unknown keys come before all else: a key that is missing may be there under a wrong name.
    """
    errors = error.errors()
    first = next((e for e in errors if e["type"] in _UNKNOWN), errors[0])
    kind, context = first["type"], first.get("ctx", {})
    place = _place(first["loc"], data)
    key = ".".join(_printed(part) for part in place)
    if kind in _UNKNOWN:
        table = ".".join(_printed(part) for part in place[:-1])
        what = f"key in [{table}]" if table else "section"
        return unknown(what, str(place[-1]), _known_keys(place[:-1], model))
    if kind == "missing":
        return Refusal(f"{key} is missing")
    if isinstance(context.get("error"), Refusal):
        return Refusal(f"{key}: {context['error']}")
    expected = _EXPECTED.get(kind, first["msg"]).format(**context)
    others = {e["type"] for e in errors if e["loc"][:-1] == first["loc"][:-1]}
    if others == {"string_type", "float_type"}:  # a value that may be either
        expected = "text in quotes or a number"
    if kind == "tuple_type" and "grid" in first["loc"]:
        expected = "a list of learning rates, or a table with low and high"
    return Refusal(f"{key} is {_shown(first['input'])}; expected {expected}")


def _printed(part: str | int) -> str:
    """A key as it stands there; with line ends and the like in it, as Python writes it."""
    text = str(part)
    return text if text.isprintable() else repr(text)


def _shown(given: Any) -> str:
    if isinstance(given, dict):
        return "a table"
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _place(loc: Place, data: Any) -> list[str | int]:
    """The keys of `loc` as they stand in the file, without pydantic's names for alternatives."""
    place: list[str | int] = []
    for depth, part in enumerate(loc):
        is_last = depth == len(loc) - 1
        if isinstance(data, Mapping) and (part in data or is_last):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        place.append(part)
    return place


def _known_keys(place: Place, model: type[BaseModel]) -> list[str]:
    """The keys that the table at `place` may have."""
    found: list[Any] = [model]
    for part in place:
        found = [inner for kind in found for inner in _inner(kind, str(part))]
    return sorted({name for kind in found for name in _fields(kind)})


def _inner(kind: Any, key: str) -> Iterable[Any]:
    """The types that stand under a key of a table (of any key, where the table is a dict)."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        annotation: Any = kind.model_fields[key].annotation
    elif get_origin(kind) is dict:
        annotation = get_args(kind)[1]
    else:
        return []
    alternatives = (annotation,)
    if get_origin(annotation) in (Union, types.UnionType):
        alternatives = get_args(annotation)
    return [get_args(a)[0] if get_origin(a) is Annotated else a for a in alternatives]


def _fields(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return list(kind.model_fields)
    if isinstance(kind, type) and is_dataclass(kind):
        return [field.name for field in fields(kind)]
    return []
