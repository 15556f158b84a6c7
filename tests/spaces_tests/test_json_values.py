"""JSON of typed results: keys in the order of the fields, plain values, nothing but objects."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from spaces.json_values import to_json


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    values: tuple[float, ...]
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    z_first: Inner
    a_second: Mapping[str, Inner] = field(default_factory=dict)
    folder: Path = Path("/tmp/x")


RESULT = Outer(Inner((1.0, 2.5), Colour.RED), {"b": Inner(()), "a": Inner((0.1,))})


def test_a_dataclass_becomes_an_object_with_its_fields_in_order() -> None:
    assert json.dumps(to_json(RESULT)) == (
        '{"z_first": {"values": [1.0, 2.5], "colour": "red"}, "a_second": '
        '{"b": {"values": [], "colour": null}, "a": {"values": [0.1], "colour": null}}, '
        '"folder": "/tmp/x"}'
    )


def test_it_is_what_json_makes_of_the_fields() -> None:
    inner = Inner((0.1 + 0.2, 1e-30, float(np.float32(0.3))), Colour.RED)
    assert json.dumps(to_json(inner)) == json.dumps(asdict(inner))
    assert to_json({"mean": np.float64(0.1)}) == {"mean": 0.1}


def test_nothing_but_an_object() -> None:
    with pytest.raises(TypeError, match="expected a dataclass or a mapping, got tuple"):
        to_json((1, 2))
