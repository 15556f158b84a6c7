"""Writes folders of rows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

MakeRows = Callable[[Mapping[str, list[dict[str, Any]]]], Path]


@pytest.fixture
def make_rows(tmp_path: Path) -> MakeRows:
    """Writes JSONL files, given by their path without ending, below a folder `rows`."""

    def make(files: Mapping[str, list[dict[str, Any]]]) -> Path:
        for name, rows in files.items():
            path = tmp_path / "rows" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return tmp_path / "rows"

    return make
