import json

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from spaces.phases import Recipe
from spaces.refusal import Refusal
from spaces.study_file.messages import first_refusal


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    inner: Inner | None = None
    tables: dict[str, Recipe] = {}
    others: dict[str, str | float] = {}


def reported(content: dict) -> str:
    with pytest.raises(ValidationError) as error:
        Outer.model_validate_json(json.dumps(content))
    refusal = first_refusal(error.value, content, Outer)
    assert isinstance(refusal, Refusal)
    return str(refusal)


def test_unknown_keys_are_looked_up_where_they_stand() -> None:
    message = reported({"iner": 1})
    assert message == "unknown section 'iner'. Did you mean 'inner'? Known: inner, others, tables"
    message = reported({"inner": {"count": 1, "cuont": 2}})
    assert message == "unknown key in [inner] 'cuont'. Did you mean 'count'? Known: count"
    message = reported({"tables": {"x": {"num_step": 1}}})
    assert message.startswith("unknown key in [tables.x] 'num_step'. Did you mean 'num_steps'?")


def test_alternatives_are_named_together() -> None:
    assert reported({"others": {"a": []}}) == "others.a is []; expected text in quotes or a number"


def test_a_long_value_is_cut() -> None:
    message = reported({"inner": "x" * 200})
    assert len(message) < 140
    assert message.endswith("...; expected a table")


def test_line_ends_in_a_key_end_no_line() -> None:
    message = reported({"others": {"a\rb\u2028": []}})
    assert message.splitlines() == [message]
    assert message.startswith("others.'a\\rb\\u2028' is []")
