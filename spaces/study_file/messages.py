"""Errors in a study file, in one line: the dotted key, what was given and what is expected."""

import datetime
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from spaces.refusal import Refusal, unknown

KeyPath = Sequence[str | int]

MAX_INTEGER = 2**32 - 1  # the largest seed that NumPy takes
MAX_TEXT = 1000  # characters of a name, a path or an address

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_EXPECTED: Mapping[str, str] = types.MappingProxyType(
    {
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "string_type": "text in quotes",
        "string_pattern_mismatch": "1 to 64 letters, digits and . _ - starting with a letter or "
        "digit",
        "tuple_type": "a list",
        "dict_type": "a table",
        "model_type": "a table",
        "dataclass_type": "a table",
        "greater_than": "a number above {gt:g}",
        "greater_than_equal": "{ge:g} or more",
        "less_than": "a number below {lt:g}",
        "less_than_equal": "{le:g} or less",
        "too_short": "at least one entry",
        "literal_error": "{expected}",
        "enum": "{expected}",
    }
)


# Of a value that may be of several types: the types of its errors.
_EITHER: Mapping[frozenset[str], str] = types.MappingProxyType(
    {
        frozenset({"string_type", "float_type"}): "text in quotes or a number",
        frozenset({"string_type", "int_type"}): "text in quotes or a number",
        frozenset({"string_type", "dict_type"}): "text in quotes, or a table by language",
        frozenset({"string_type", "literal_error"}): "text in quotes, or false",
    }
)


def first_refusal(
    error: ValidationError, data: Mapping[str, Any], model: type[BaseModel]
) -> Refusal:
    """The first error that pydantic found in `data`, worded for the author of the file.

    Unknown keys come before all other errors: a key that seems missing may be there with a wrong
    name.
    """
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":  # pydantic's parser allows 200 levels
        return Refusal("tables or lists are nested too deeply")
    first = next((e for e in errors if e["type"] in _UNKNOWN), errors[0])
    kind, context = first["type"], first.get("ctx", {})
    path = _path_in_file(first["loc"], data, is_there=kind not in (*_UNKNOWN, "missing"))
    key = ".".join(_printed(part) for part in path)
    if kind in _UNKNOWN:
        table = ".".join(_printed(part) for part in path[:-1])
        named = f"key in [{table}]" if table else "section"
        return unknown(named, str(path[-1]), _known_keys(path[:-1], model))
    if kind == "missing":
        return Refusal(f"{key} is missing")
    if isinstance(context.get("error"), Refusal):
        return Refusal(f"{key}: {context['error']}")
    expected = _EXPECTED.get(kind, first["msg"]).format(**context)
    others = frozenset(e["type"] for e in errors if e["loc"][:-1] == first["loc"][:-1])
    if others in _EITHER:
        expected = _EITHER[others]
    if "where" in first["loc"]:
        expected = "text, a number, true or false, or a list of them"
    if kind == "tuple_type" and "grid" in first["loc"]:
        expected = "a list of learning rates, or a table with low and high"
    return Refusal(f"{key} is {_shown(first['input'])}; expected {expected}")


def check_values(data: Any, path: KeyPath = ()) -> None:
    """Check what holds for every value of a study file, whatever its key.

    Raises Refusal for a date or a time (TOML has them, but no key takes one), for a whole number
    that random generators and databases cannot hold, and for text that is blank, very long or has
    unprintable characters. Keys are not checked: an unknown one is refused with the nearest name.
    """
    key = ".".join(_printed(part) for part in path)
    if isinstance(data, Mapping):
        for name, value in data.items():
            check_values(value, [*path, name])
    elif isinstance(data, list):
        for value in data:
            check_values(value, path)
    elif isinstance(data, datetime.date | datetime.time):
        raise Refusal(f"{key} is the date or time {data}; write a text in quotes, or a number")
    elif isinstance(data, int) and abs(data) > MAX_INTEGER:
        raise Refusal(f"{key} is too large a number; expected at most {MAX_INTEGER:,}")
    elif isinstance(data, str):
        _check_text(key, data)


def _check_text(key: str, text: str) -> None:
    if not text.strip():
        raise Refusal(f"{key} is {text!r}, a blank text; write something, or leave the key out")
    if len(text) > MAX_TEXT:
        raise Refusal(
            f"{key} has {len(text):,} characters ({text[:40]!r}...); expected at most {MAX_TEXT:,}"
        )
    if not text.isprintable():
        raise Refusal(f"{key} is {text!r}, which has a line break or a control character")


def _printed(part: str | int) -> str:
    """A key as it is written in the file; Python's `repr` of it where it holds unprintable
    characters."""
    text = str(part)
    return text if text.isprintable() else repr(text)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _path_in_file(loc: KeyPath, data: Any, *, is_there: bool) -> list[str | int]:
    """The keys of `loc` as they are written in the file, without pydantic's names for
    alternatives. `is_there` says that the file has the key."""
    path: list[str | int] = []
    for depth, part in enumerate(loc):
        is_new = depth == len(loc) - 1 and not is_there
        if isinstance(data, Mapping) and (part in data or is_new):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        path.append(part)
    return path


def _known_keys(path: KeyPath, model: type[BaseModel]) -> list[str]:
    """The keys that the table at `path` may have."""
    kinds: list[Any] = [model]
    for part in (part for part in path if isinstance(part, str)):
        kinds = [inner for kind in kinds for inner in _inner(kind, part)]
    return sorted({name for kind in kinds for name in _fields(kind)})


def _inner(kind: Any, key: str) -> Iterable[Any]:
    """The types that a table allows under a key (under any key, where the table is a dict)."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        annotation: Any = kind.model_fields[key].annotation
    elif get_origin(kind) is dict:
        annotation = get_args(kind)[1]
    else:
        return []
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
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
