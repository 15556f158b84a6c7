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
