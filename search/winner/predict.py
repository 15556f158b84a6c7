"""predict: answer the rows of a file or of standard input with a model, one JSON line per row."""

import contextlib
import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TextIO

from search.addresses import refusing
from search.callbacks import OnDone, ignore
from search.record.registry import SCHEME, Registry
from spaces.json_values import JsonObject
from spaces.refusal import Refusal, shown, unknown
from trainables.exporting.predictor import LISTS, Predictor, load_predictor
from trainables.quiet import quiet_libraries
from trainables.row_files.raw import json_object

ENDINGS: Mapping[str, str] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
BATCH_ROWS = 256  # as many rows as are in memory at once
CHUNK_BYTES = 2**20  # of standard input that are read at once
MAX_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072


def load_model(model: str, *, tracking_uri: str) -> Predictor:
    """The predictor in an exported folder, or of a version in the registry.

    Raises Refusal: there is no such folder, model, version or alias, or its files are damaged.
    """
    quiet_libraries()
    if not model.startswith(SCHEME):
        if not Path(model).is_dir():
            raise Refusal(
                f"{model!r} is not a folder; expected a folder that `export` wrote, "
                f"{SCHEME}NAME/VERSION or {SCHEME}NAME@champion"
            )
        return load_predictor(Path(model))
    with refusing():
        registry = Registry.open(tracking_uri)
        with registry.files(registry.find(model)) as folder:
            return load_predictor(folder)


def format_of(file: Path | None, given: str | None) -> str:
    """`jsonl` or `csv`: the format given, else by the file's ending. Standard input and a pipe
    without a known ending (`/dev/stdin`, `<(...)`) are jsonl. Raises Refusal for an unknown format
    or ending."""
    known = sorted(set(ENDINGS.values()))
    if given is not None:
        if given not in known:
            raise unknown("format", given, known)
        return given
    if file is None:
        return "jsonl"
    if file.suffix.lower() not in ENDINGS and _is_stream(file):
        return "jsonl"
    if file.suffix.lower() not in ENDINGS:
        raise Refusal(
            f"{file} does not end in {', '.join(ENDINGS)}; give its format with --format "
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
    """Answer every row of a file (None: of standard input), in order; returns the number of rows.

    Every row is checked before the first answer is written. At most BATCH_ROWS rows are in memory
    at once.

    Args:
        out: a new file, which is written completely or not at all; None is standard output.
        on_done: called with the number of answered rows and the number of all rows.

    Raises:
        Refusal: a row cannot be used (the message names its line), or `out` exists already.
    """
    if out is not None and out.exists():
        raise Refusal(f"{out} exists already; name a new file")
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


def read_rows(file: Path, form: str) -> Iterator[tuple[int, JsonObject]]:
    """(line, row) of a file: one JSON object per line, or CSV with a header. In CSV, the cells of
    columns that hold lists are JSON, and an empty `text_b` means that there is none. Raises
    Refusal, which names the line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from _csv_rows(lines) if form == "csv" else _json_rows(lines)
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{file} is not UTF-8 text: {error}; convert it first") from error


def _json_rows(lines: TextIO) -> Iterator[tuple[int, JsonObject]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        yield number, json_object(line, f"line {number}")


def _csv_rows(lines: TextIO) -> Iterator[tuple[int, JsonObject]]:
    csv.field_size_limit(MAX_CELL)
    table = csv.DictReader(lines, strict=True)
    number = 1
    try:
        names = table.fieldnames or ()
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise Refusal(f"the header names the column {shown(twice[0])} more than once")
        number = table.line_num + 1
        for row in table:
            if None in row or None in row.values():
                raise Refusal(
                    f"line {number} does not have as many cells as the header: expected "
                    f"{shown(', '.join(names))[1:-1]}"
                )
            yield number, _parsed(row, number)
            number = table.line_num + 1
    except csv.Error as error:
        raise Refusal(f"line {number} is not CSV: {error}") from None


def _parsed(cells: Mapping[str, str], number: int) -> JsonObject:
    """The row of a line's cells, by column."""
    row: JsonObject = dict(cells)
    for column in LISTS:
        if column in cells:
            try:
                row[column] = json.loads(cells[column])
            except (ValueError, RecursionError):
                raise Refusal(
                    f"line {number}: {column} is {shown(cells[column])}; expected a list as JSON, "
                    'such as ["a", "b"]'
                ) from None
    if row.get("text_b") == "":
        row["text_b"] = None
    return row


def _checked(predictor: Predictor, file: Path, form: str) -> Iterator[None]:
    for number, row in read_rows(file, form):
        if isinstance(row.get("id"), dict | list):  # an answer repeats it
            raise Refusal(f"line {number}: id is {shown(row['id'])}; expected text or a number")
        predictor.check(row, f"line {number}")
        yield


def _is_stream(file: Path) -> bool:
    """Whether the file can be read only once: a pipe, a socket or a terminal. Raises Refusal for
    another device, which may have no end (`/dev/zero`)."""
    try:
        if file.is_char_device() and file.resolve() != Path(os.devnull):
            with file.open("rb") as opened:
                if not opened.isatty():
                    raise Refusal(f"{file} is a device; expected a file or a pipe with rows")
            return True
        return file.is_fifo() or file.is_socket()
    except OSError:
        return False  # reading it says what is wrong


@contextlib.contextmanager
def _rereadable(file: Path | None) -> Iterator[Path]:
    """The file, or a copy of standard input or of a pipe, which can be read only once."""
    if file is not None and not _is_stream(file):
        yield file
        return
    name = "standard input" if file is None else str(file)
    with tempfile.NamedTemporaryFile(prefix="transfer-search-") as copy:
        try:
            with contextlib.ExitStack() as opened:
                rows = sys.stdin.buffer if file is None else opened.enter_context(file.open("rb"))
                while chunk := rows.read(CHUNK_BYTES):
                    if b"\0" in chunk:  # `/dev/zero` has no end
                        raise Refusal(f"{name} has a NUL byte; expected rows as UTF-8 text")
                    copy.write(chunk)
            copy.flush()
        except OSError as error:
            raise Refusal(
                f"{name} cannot be copied to {tempfile.gettempdir()}: {error.strerror}"
            ) from error
        yield Path(copy.name)


@contextlib.contextmanager
def _writing(out: Path | None) -> Iterator[TextIO]:
    """A new file, removed again if not all answers could be written; or standard output."""
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
