"""Rows of CSV and TSV files. Every value is text; an empty cell is None.

CSV follows RFC 4180: cells may be in double quotes, and may then hold line breaks. Its delimiter is
the comma, or the semicolon where the first line has no comma. A line of a TSV file is a row, and
quotes are those of CSV if the whole file follows their rules, else letters like any other; a cell
holds a tab or a line break only where the lines have no equal number of columns otherwise.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from spaces.refusal import Refusal, shown

Quoting = Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE
Record = tuple[int, list[str]]  # the number of its first line, and its cells


def csv_rows(text: str, name: str, *, header: bool) -> list[dict[str, object]]:
    """The rows of a CSV file. Without a `header` the columns are called `1`, `2` and so on.

    Args:
        name: the name of the file, for messages.

    Raises:
        Refusal: a line has more or fewer cells than the first one, or breaks the rules of quotes;
            two columns have one name.
    """
    first, _, _ = text.partition("\n")
    delimiter = ";" if ";" in first and "," not in first else ","
    return _rows(_records(text, name, delimiter, quoting=csv.QUOTE_MINIMAL), name, header)


def tsv_rows(text: str, name: str, *, header: bool) -> list[dict[str, object]]:
    """The rows of a TSV file. Raises as `csv_rows` does."""
    quoted = None
    with suppress(Refusal):
        quoted = _records(text, name, "\t", quoting=csv.QUOTE_MINIMAL)
    try:
        plain = _records(text, name, "\t", quoting=csv.QUOTE_NONE)
    except Refusal:
        if quoted is None:
            raise
        return _rows(quoted, name, header)
    if quoted is not None and len(quoted) == len(plain):
        return _rows(quoted, name, header)
    return _rows(plain, name, header)


def _rows(records: list[Record], name: str, header: bool) -> list[dict[str, object]]:
    if not records:
        return []
    _, first = records[0]
    names = [cell.strip() for cell in first]
    if not header:
        names = [str(number) for number in range(1, len(first) + 1)]
    twice = [column for column in names if names.count(column) > 1]
    if twice:
        raise Refusal(
            f"{name} has two columns with the name {shown(twice[0])}; rename one of them, or write "
            "header = false if the first line is a row"
        )
    rows = [cells for _, cells in (records[1:] if header else records) if any(cells)]
    return [dict(zip(names, (cell or None for cell in cells), strict=True)) for cells in rows]


def _records(text: str, name: str, delimiter: str, *, quoting: Quoting) -> list[Record]:
    """The records of all lines that are not blank, each with as many cells as the first."""
    records: list[Record] = []
    with _cells_of_any_length(len(text)):
        for number, cells in _numbered(text, name, delimiter, quoting):
            if not cells:
                continue
            if records and len(cells) != len(records[0][1]):
                raise Refusal(
                    f"{name}, line {number} has {_columns(len(cells))}, expected "
                    f"{len(records[0][1])} as in line {records[0][0]}"
                )
            records.append((number, cells))
    return records


def _numbered(text: str, name: str, delimiter: str, quoting: Quoting) -> Iterator[Record]:
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True
    )
    number = 1
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise Refusal(
                f"{name}, line {number} cannot be read: {error}; expected a quote inside a quoted "
                "cell to be written twice"
            ) from error
        yield number, cells
        number = lines.line_num + 1


def _columns(count: int) -> str:
    return f"{count} column{'s' * (count != 1)}"


@contextmanager
def _cells_of_any_length(longest: int) -> Iterator[None]:
    """The module `csv` refuses long cells, by a limit that all of its readers share."""
    before = csv.field_size_limit(max(longest, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)
