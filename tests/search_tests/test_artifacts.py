"""What is written for an entry: text, tables and JSON by name."""

import json
from pathlib import Path

import pyarrow.parquet

from search.artifacts import write_files


def test_by_name(tmp_path: Path) -> None:
    rows = [{"task": "rel", "value": 0.5, "num_rows": None}, {"task": "ä", "value": 1.0}]
    content = {"name": "ä", "value": [0.1]}
    write_files(tmp_path, {"figures/a.svg": "<svg/>", "matrix.parquet": rows, "plan.json": content})
    assert (tmp_path / "figures" / "a.svg").read_text() == "<svg/>"
    assert json.loads((tmp_path / "plan.json").read_text(encoding="utf-8")) == content
    table = pyarrow.parquet.read_table(tmp_path / "matrix.parquet")
    assert table.column_names == ["task", "value", "num_rows"]
    assert table.column("value").to_pylist() == [0.5, 1.0]
