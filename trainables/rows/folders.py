"""Raw rows from folders of one's own: JSONL or Parquet, one file a language and split."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spaces.refusal import Refusal
from trainables.rows.hub import NoRowsError, with_names

SUFFIXES = (".jsonl", ".parquet")
HINT = "rows of one's own are expected there as LANGUAGE/SPLIT.jsonl or LANGUAGE/SPLIT.parquet"


def own_folder(dataset: str, data_root: str | None, *, hint: str) -> Path:
    """The folder that `dataset` names: an absolute path, or one below the data root, or, without
    one, below the current folder. Raises Refusal, with a `hint` of what belongs there."""
    named = Path(dataset).expanduser()
    folder = named if named.is_absolute() else Path(data_root or ".") / named
    if not folder.is_dir():
        raise Refusal(f"there is no folder {str(folder)!r}: {hint}")
    return folder


def own_rows(folder: Path, config: str | None, split: str) -> list[dict[str, Any]]:
    """The rows of the files of a config and split, class labels by name where a Parquet file says
    their names. Raises as `own_files`, and Refusal if a file cannot be read."""
    found = own_files(folder, config, split)
    read = _read_jsonl if found[0].suffix == ".jsonl" else _read_parquet
    return [row for path in found for row in read(path)]


def own_files(folder: Path, config: str | None, split: str) -> list[Path]:
    """FOLDER/CONFIG/SPLIT.jsonl or .parquet (or SPLIT-*.parquet, several files).

    Raises:
        NoRowsError: there is no such file.
        Refusal: it is there in both forms.
    """
    below = folder / config if config else folder
    files = [below / f"{split}{suffix}" for suffix in SUFFIXES]
    found = [path for path in files if path.exists()] or sorted(below.glob(f"{split}-*.parquet"))
    if not found:
        expected = " nor ".join(path.name for path in files)
        raise NoRowsError(f"folder {str(below)!r} has neither {expected}")
    if len({path.suffix for path in found}) > 1:
        raise Refusal(f"{found[0]} and {found[1].name} are both there; leave one of them")
    return found


def copy_own(
    dataset: str, config: str | None, split: str, root: Path, *, data_root: str | None
) -> None:
    """Copy the files of a config and split to where `root` as a data root has them. Raises as
    `own_files`."""
    folder = own_folder(dataset, data_root, hint=HINT)
    for path in own_files(folder, config, split):
        target = root / dataset / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Refusal(f"{path}, line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise Refusal(f"{path}, line {number} is {row!r}, expected an object of columns")
        rows.append(row)
    return rows


def _lines(path: Path) -> list[str]:
    # Not splitlines: texts may hold U+2028, which is no end of a line here.
    return read_text(path).split("\n")


def read_text(path: Path) -> str:
    """Raises Refusal if it is no UTF-8 or cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} cannot be read as UTF-8 text: {error}") from error


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    from datasets import Features

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise Refusal(f"{path} cannot be read as Parquet: {error}") from error
    rows: list[dict[str, Any]] = table.to_pylist()
    return with_names(rows, Features.from_arrow_schema(table.schema))
