"""Raw rows from your own folders, one file per language and split."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spaces.refusal import Refusal, first_line
from spaces.tasks.origin import Layout, Origin
from trainables.row_files.conll import conll_rows, conllu_rows
from trainables.row_files.delimited import csv_rows, tsv_rows
from trainables.rows.hub import NoRowsError, with_names
from trainables.rows.raw import json_object

SUFFIXES = (".jsonl", ".parquet", ".csv", ".tsv", ".conll", ".conllu")
NAMES = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
HINT = f"expected your own rows there as LANGUAGE/SPLIT{NAMES}"


def own_root(origin: Origin, data_root: str | None, rows_folder: str | None) -> str | None:
    """The folder that the origin's folder is relative to: the data root where it has it there, else
    the study's `rows_folder`. A data set of the hub has the data root alone."""
    is_hub = origin.layout is Layout.HUB
    if is_hub or rows_folder is None or is_below(origin.dataset, data_root):
        return data_root
    return rows_folder


def is_below(dataset: str, data_root: str | None) -> bool:
    """Whether the data root has this folder."""
    return data_root is not None and (Path(data_root) / dataset).is_dir()


def find_own_folder(dataset: str, data_root: str | None, *, hint: str) -> Path:
    """The folder that `dataset` names: an absolute path, or a path below the data root, or, without
    a data root, below the current folder. `hint` says what belongs there. Raises Refusal where it
    does not exist."""
    named = Path(dataset).expanduser()
    folder = named if named.is_absolute() else Path(data_root or ".") / named
    if not folder.is_dir():
        raise Refusal(f"there is no folder {str(folder)!r}: {hint}")
    return folder


def read_own_rows(
    folder: Path, config: str | None, split: str, *, header: bool = True
) -> list[dict[str, Any]]:
    """The rows in the files of a config and split. Class labels are names where a Parquet file
    lists them. `header` says whether the first line of a CSV or TSV file names its columns. Raises
    as `find_own_files` does, and Refusal for a file that cannot be read."""
    files = find_own_files(folder, config, split)
    return [row for path in files for row in read_file(path, header=header)]


def read_file(path: Path, *, header: bool = True) -> list[dict[str, object]]:
    """The rows of one file, read by the end of its name. Raises Refusal where it cannot be read."""
    if path.suffix == ".parquet":
        return _read_parquet(path)
    text = read_text(path)
    if path.suffix in (".csv", ".tsv"):
        parse = csv_rows if path.suffix == ".csv" else tsv_rows
        return parse(text, str(path), header=header)
    return _PARSERS[path.suffix](text, str(path))


def find_own_files(folder: Path, config: str | None, split: str) -> list[Path]:
    """FOLDER/CONFIG/SPLIT with one of SUFFIXES, or several files SPLIT-*.parquet.

    Raises:
        NoRowsError: there is no such file.
        Refusal: there are files of two kinds, or one is not a regular file.
    """
    below = folder / config if config else folder
    single = [below / f"{split}{suffix}" for suffix in SUFFIXES]
    files = [path for path in single if path.exists()] or sorted(below.glob(f"{split}-*.parquet"))
    if not files:
        there = sorted(path.name for path in below.glob("*.*"))[:6]
        holds = f"; it holds {', '.join(there)}" if there else ""
        raise NoRowsError(f"folder {str(below)!r} has no {split}{NAMES}{holds}")
    if len({path.suffix for path in files}) > 1:
        raise Refusal(f"{files[0]} and {files[1].name} both exist; remove one of them")
    for path in files:
        if not path.is_file():  # a pipe gives its rows once, but they are read several times
            raise Refusal(f"{path} is not a regular file; write the rows into a file of this name")
    return files


def copy_own(
    dataset: str, config: str | None, split: str, root: Path, *, data_root: str | None
) -> None:
    """Copy the files of a config and split below `root`, where they lie as in a data root. Raises
    as `find_own_files` does."""
    folder = find_own_folder(dataset, data_root, hint=HINT)
    for path in find_own_files(folder, config, split):
        target = root / dataset / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _jsonl_rows(text: str, name: str) -> list[dict[str, Any]]:
    # Not splitlines: texts may hold U+2028, which does not end a line here.
    return [
        json_object(line, f"{name}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]


_PARSERS: Mapping[str, Callable[[str, str], list[dict[str, Any]]]] = MappingProxyType(
    {".jsonl": _jsonl_rows, ".conll": conll_rows, ".conllu": conllu_rows}
)


def read_text(path: Path) -> str:
    """The text of a file, without a byte-order mark. Raises Refusal where it is not UTF-8 or cannot
    be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} cannot be read as UTF-8 text: {error}") from error


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    from datasets import Features

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise Refusal(f"{path} cannot be read as Parquet: {error}") from error
    columns = [_values(column) for column in table.columns]
    names = table.column_names
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    features = {}
    for field in table.schema:
        # Column by column: `datasets` has no feature for some types of Arrow, such as maps.
        with suppress(ValueError, TypeError, KeyError, AttributeError, pa.ArrowException):
            alone = pa.schema([field], metadata=table.schema.metadata)
            features.update(Features.from_arrow_schema(alone))
    return with_names(rows, features)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A value that Python cannot hold, such as a date of the year 30,000. A reader that uses the
    column refuses it, and other readers ignore it."""

    reason: str

    def __repr__(self) -> str:
        return f"unreadable ({self.reason})"


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError, TypeError, pa.ArrowException) as error:
        return [_Unreadable(f"{column.type}: {first_line(error)}")] * len(column)
    return values
