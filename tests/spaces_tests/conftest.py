"""A small study over the pocket tasks, as tables."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

RECIPE = {"num_steps": 40, "batch_size": 16, "max_length": 64}
TABLES: dict[str, dict[str, Any]] = {
    "study": {"name": "tiny", "encoder": "folder", "seed": 0},
    "space": {
        "intermediate": ["none", "fact", "rel", "fact+rel", "all"],
        "intermediate_learning_rate": [1e-3, 2e-3],
        "target_learning_rate": [1e-3, 3e-3],
        "targets": ["coh", "fact", "retrieval"],
    },
    "training": {"intermediate": dict(RECIPE), "target": dict(RECIPE)},
    "budget": {"num_trials": 4},
}
PRETRAINING: dict[str, Any] = {
    "text": "flores",
    "max_vocabulary": 500,
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_size": 64,
    "learning_rate": 1e-3,
    "recipe": {"num_steps": 3, "batch_size": 8, "max_length": 128},
}


@pytest.fixture
def tables() -> Callable[..., dict[str, Any]]:
    """The tables with some keys set otherwise, named by dotted keys; None leaves a key out."""

    def change(changes: dict[str, Any] | None = None) -> dict[str, Any]:
        content = deepcopy(TABLES)
        for dotted, value in (changes or {}).items():
            *path, key = dotted.split(".")
            table: dict[str, Any] = content
            for part in path:
                table = table.setdefault(part, {})
            if value is None:
                del table[key]
            else:
                table[key] = value
        return content

    return change


@pytest.fixture
def pretrained(tables: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The tables of a study that makes its encoder, with some keys of [pretraining] otherwise."""

    def make(**keys: Any) -> dict[str, Any]:
        content = tables({"study.encoder": "pretrained"})
        return {**content, "pretraining": {**PRETRAINING, **keys}}

    return make
