"""The files of an entry of the record, as a folder. Pure but for that folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet


def write_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Text as it stands, rows as a table where the name ends in `.parquet`, anything else as JSON.

    Args:
        files: name -> content; a name may have folders in it.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content), path)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            text = json.dumps(content, ensure_ascii=False, indent=1)
            path.write_text(text, encoding="utf-8")
