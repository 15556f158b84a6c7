"""predict: rows of a file or of standard input, answered by a model, one JSON line a row."""

import contextlib
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from search.addresses import refusing
from search.callbacks import OnDone, ignore
from search.record.registry import SCHEME, Registry
from spaces.refusal import Refusal, unknown
from trainables.exporting.predictor import LISTS, Predictor, load_predictor
from trainables.quiet import quiet_libraries

ENDINGS: Mapping[str, str] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
BATCH_ROWS = 256  # as many rows as are in memory at once


def load_model(model: str, *, tracking_uri: str) -> Predictor:
    """The predictor of an exported folder, or of a version in the registry.

    Raises Refusal: there is no such folder, model, version or alias; its files are damaged.
    """
    quiet_libraries()
    if not model.startswith(SCHEME):
        if not Path(model).is_dir():
            raise Refusal(
                f"{model!r} is no folder; expected one that `export` wrote, "
                f"{SCHEME}NAME/VERSION or {SCHEME}NAME@champion"
            )
        return load_predictor(Path(model))
    with refusing():
        registry = Registry.open(tracking_uri)
        with registry.files(registry.find(model)) as folder:
            return load_predictor(folder)


def format_of(file: Path | None, given: str | None) -> str:
    """`jsonl` or `csv`: as asked for, else by the file's ending, else jsonl. Raises Refusal."""
    known = sorted(set(ENDINGS.values()))
    if given is not None:
        if given not in known:
            raise unknown("format", given, known)
        return given
    if file is None:
        return "jsonl"
    if file.suffix.lower() not in ENDINGS:
        raise Refusal(
            f"{file}: its ending says neither of {', '.join(ENDINGS)}; give --format "
            f"{' or '.join(known)}"
        )
    return ENDINGS[file.suffix.lower()]


def predict_rows(
    predictor: Predictor,
    file: Path | None,
    *,
    form: str,
    out: Path | None,
    on_done: OnDone = ignore,
) -> int:
    """Answer every row of a file (None: of standard input), in order; how many there were.

    Every row is looked at before the first answer is written, and few are in memory at once.

    Args:
        out: a new file, which is there whole or not at all; None is standard output.
        on_done: gets how many of how many rows are answered.

    Raises:
        Refusal: a row that cannot be used, with its line; `out` is there already.
    """
    if out is not None and out.exists():
        raise Refusal(f"{out} is there already; name a new file")
    with _rereadable(file) as rows_file:
        num_rows = sum(1 for _ in _checked(predictor, rows_file, form))
        with _writing(out) as written:
            done = 0
            rows = (row for _, row in read_rows(rows_file, form))
            while batch := list(islice(rows, BATCH_ROWS)):
                for row, answer in zip(batch, predictor.answer(batch), strict=True):
                    named = {"id": row["id"], **answer} if "id" in row else answer
                    written.write(json.dumps(named, ensure_ascii=False) + "\n")
                done += len(batch)
                on_done(done, num_rows)
    return num_rows


def read_rows(file: Path, form: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) of a file: a JSON object a line, or CSV with a header, where cells of columns
    that hold lists are JSON and an empty `text_b` is none. Raises Refusal, which names the line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from _csv_rows(lines) if form == "csv" else _json_rows(lines)
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{file} is not UTF-8 text: {error}; convert it first") from error


def _json_rows(lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Refusal(
                f"line {number} is no JSON: {error}; expected one object a line"
            ) from None
        if not isinstance(row, dict):
            raise Refusal(f"line {number} is {line.strip()[:40]!r}; expected a JSON object")
        yield number, row


def _csv_rows(lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    table = csv.DictReader(lines, strict=True)
    number = 1
    try:
        number = table.line_num + 1 if table.fieldnames is not None else 1
        for row in table:
            if None in row or None in row.values():
                raise Refusal(
                    f"line {number} has not as many cells as the header: expected "
                    f"{', '.join(table.fieldnames or ())}"
                )
            yield number, _cells(row, number)
            number = table.line_num + 1
    except csv.Error as error:
        raise Refusal(f"line {number} is no CSV: {error}") from None


def _cells(row: dict[str, Any], number: int) -> dict[str, Any]:
    for column in LISTS:
        if column in row:
            try:
                row[column] = json.loads(row[column])
            except ValueError:
                raise Refusal(
                    f"line {number}: {column} is {row[column]!r}; expected a list as JSON, "
                    'such as ["a", "b"]'
                ) from None
    if row.get("text_b") == "":
        row["text_b"] = None
    return row


def _checked(predictor: Predictor, file: Path, form: str) -> Iterator[None]:
    for number, row in read_rows(file, form):
        predictor.check(row, f"line {number}")
        yield


@contextlib.contextmanager
def _rereadable(file: Path | None) -> Iterator[Path]:
    """The file, or a copy of standard input, which can be read only once."""
    if file is not None:
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="transfer-search-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


@contextlib.contextmanager
def _writing(out: Path | None) -> Iterator[TextIO]:
    """A new file, removed again where not all answers are in it; or standard output."""
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        written = out.open("x", encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{out} cannot be written: {error.strerror}") from error
    try:
        with written:
            yield written
    except BaseException:
        out.unlink()
        raise
