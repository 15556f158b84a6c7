"""JSON of typed results: what `--json` prints and what MLflow stores."""

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

JsonObject = dict[str, JsonValue]


def to_json(result: object) -> JsonObject:
    """The JSON object of a dataclass or a mapping: one key for each field, in their order.

    Dataclasses inside become objects too, tuples become lists, enums their values, paths and times
    text. Raises TypeError where the result is something else than an object.
    """
    json_value = to_jsonable_python(result)
    if not isinstance(json_value, dict):
        raise TypeError(f"expected a dataclass or a mapping, got {type(result).__name__}")
    return json_value
