"""The rows of one file, read by the end of its name."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spaces.refusal import Refusal, first_line
from trainables.row_files.class_labels import with_names
from trainables.row_files.conll import conll_rows, conllu_rows
from trainables.row_files.delimited import csv_rows, tsv_rows
from trainables.row_files.raw import json_object

SUFFIXES = (".jsonl", ".parquet", ".csv", ".tsv", ".conll", ".conllu")


def read_file(path: Path, *, header: bool = True) -> list[dict[str, object]]:
    """The rows of one file, read by the end of its name. Raises Refusal where it cannot be read."""
    if path.suffix == ".parquet":
        return _read_parquet(path)
    text = read_text(path)
    if path.suffix in (".csv", ".tsv"):
        parse = csv_rows if path.suffix == ".csv" else tsv_rows
        return parse(text, str(path), header=header)
    return _PARSERS[path.suffix](text, str(path))


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
