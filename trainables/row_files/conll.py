"""Rows of CoNLL and CoNLL-U files: one word per line, an empty line after each sentence.

A row has a list per column, by the column's number from 1. `tokens` and `tags` are its words and
their tags.
"""

import io
import re
from collections.abc import Iterator
from typing import Any

from spaces.refusal import Refusal, one_line

DOCUMENT = "-DOCSTART-"  # in CoNLL 2003 in place of a word, where a document begins

Line = tuple[int, str]


def conll_rows(text: str, name: str) -> list[dict[str, list[str]]]:
    """The sentences of a CoNLL file. Its columns are separated by tabs, or by blanks in a line
    without a tab. The words are in the first column and the tags in the last one.

    Every line has as many columns as the first one. Before the first word of a sentence, a line
    that starts with `# ` and has another number of columns is a comment.

    Args:
        name: the name of the file, for messages.

    Raises:
        Refusal: a line has another number of columns, or there is only one column.
    """
    width, rows = 0, []
    for sentence in _sentences(text):
        words: list[list[str]] = []
        for number, line in sentence:
            cells = line.split("\t") if "\t" in line else line.split()
            if not words and line.startswith("# ") and len(cells) != width:
                continue
            width = width or len(cells)
            if len(cells) != width or width < 2:
                expected = "a word and its tag" if width < 2 else f"{width} as in the lines before"
                columns = f"{len(cells)} column{'s' * (len(cells) != 1)}"
                raise Refusal(f"{name}, line {number} has {columns}, expected {expected}")
            words.append([cell.strip() for cell in cells])
        if words and not (len(words) == 1 and words[0][0] == DOCUMENT):
            columns_of = [list(column) for column in zip(*words, strict=True)]
            numbered = {str(place): column for place, column in enumerate(columns_of, start=1)}
            rows.append({**numbered, "tokens": columns_of[0], "tags": columns_of[-1]})
    return rows


def conllu_rows(text: str, name: str) -> list[dict[str, object]]:
    """The sentences of a CoNLL-U file, with their syntactic words (`form`) and UPOS tags (`upos`).

    Columns have their names in CoNLL-U as well as numbers, and are text as in the file. A comment
    `# key = value` is a column of text: `text`, for example. `sent_id` is the id of the row.

    Universal Dependencies tags syntactic words. Therefore the lines of multiword tokens (`3-4`) and
    of empty nodes (`8.1`) are left out; the words of a multiword token are kept.
    (https://universaldependencies.org/format.html)

    Raises:
        Refusal: a line has not ten columns, or its first one is no id.
    """
    return [_annotated(sentence, name) for sentence in _sentences(text)]


def _annotated(sentence: list[Line], name: str) -> dict[str, object]:
    from conllu import parse_token_and_metadata
    from conllu.exceptions import ParseException
    from conllu.parser import DEFAULT_FIELDS, parse_id_value

    for number, line in sentence:
        columns = line.count("\t") + 1
        if not line.startswith("#") and columns != len(DEFAULT_FIELDS):
            raise Refusal(
                f"{name}, line {number} has {columns} column{'s' * (columns != 1)}, expected the "
                f"{len(DEFAULT_FIELDS)} of CoNLL-U with tabs between them"
            )
    # The library also splits a line at two blanks in a row.
    content = re.sub(" {2,}", " ", "\n".join(line for _, line in sentence))
    parsers: dict[str, Any] = dict.fromkeys(DEFAULT_FIELDS, _as_written)
    parsers["id"] = lambda cells, place: parse_id_value(cells[place])
    try:
        parsed = parse_token_and_metadata(content, field_parsers=parsers)
    except ParseException as error:
        reason = one_line(str(error))
        raise Refusal(f"{name}, the sentence from line {sentence[0][0]}: {reason}") from error
    words = [word for word in parsed if isinstance(word["id"], int)]
    row: dict[str, object] = dict(parsed.metadata)
    if isinstance(row.get("sent_id"), str):
        row["id"] = row["sent_id"]
    for place, field in enumerate(DEFAULT_FIELDS[1:], start=2):
        row[field] = row[str(place)] = [word[field] for word in words]
    return {**row, "tokens": row["form"], "tags": row["upos"]}


def _as_written(cells: list[str], place: int) -> str:
    return cells[place]


def _sentences(text: str) -> Iterator[list[Line]]:
    """The lines of each sentence with their numbers from 1."""
    sentence: list[Line] = []
    # Not splitlines: a word may hold U+2028, which does not end a line here.
    for number, line in enumerate(io.StringIO(text), start=1):
        if line.strip():
            sentence.append((number, line.rstrip("\n")))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence
