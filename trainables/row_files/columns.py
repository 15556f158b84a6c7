"""Gives raw rows our columns and labels, and keeps those that a filter names (see `Origin`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spaces.refusal import unknown
from spaces.tasks.origin import Origin

# The columns of labels: those of the kinds, and those of the shipped readers.
LABELS = ("label", "tags", "pos_tags", "ner_tags", "answerKey")
LISTS = (
    "choices",
    "tokens",
    *LABELS,
)  # several columns become a list here, a longer text elsewhere
_NOTHING = object()

Raw = Mapping[str, object]


def check_columns(rows: Sequence[Raw], origin: Origin, name: str) -> None:
    """Raises Refusal where no row has a column that `columns` or `where` of the origin name.
    `name` is that of the rows, for the message."""
    wanted = [*(theirs for _, theirs in origin.columns), *(column for column, _ in origin.where)]
    if not wanted or not rows:
        return
    there = {column for row in rows for column in row}
    for named in wanted:
        for column in _parts(named, there):
            if column not in there:
                raise unknown(f"column of {name}", column, there)


def is_kept(row: Raw, where: Iterable[tuple[str, Sequence[Any]]]) -> bool:
    """Whether every column of the filter has one of its values. Values are compared as text, since
    the cells of a CSV file have no types; true and false are equal to `True` and `False`."""
    return all(
        _as_text(_value(row, column)) in {_as_text(value) for value in values}
        for column, values in where
    )


def with_our_columns(row: Raw, origin: Origin) -> dict[str, object]:
    """The row with our names of columns and labels.

    A column that has got another name loses its own. `a+b` names several columns: their texts are
    joined by a blank, and choices become a list. `a.b` is the column `b` inside the column `a`.
    """
    renamed = dict(row)
    for _, theirs in origin.columns:
        renamed.pop(theirs, None)
    for ours, theirs in origin.columns:
        value = _value(row, theirs)
        if value is not _NOTHING:
            is_text = isinstance(value, list) and ours not in LISTS and theirs not in row
            renamed[ours] = _joined(value) if is_text else value
    if origin.label_names:
        names = dict(origin.label_names)
        for column in LABELS:
            if column in renamed:
                renamed[column] = _named(renamed[column], names)
    return renamed


def _parts(named: str, there: Iterable[str]) -> list[str]:
    """The columns of the file that a name reads."""
    if named in there:
        return [named]
    if "+" in named:
        return [column for part in named.split("+") for column in _parts(part.strip(), there)]
    return [named.partition(".")[0]]


def _value(row: Raw, named: str) -> Any:
    """The value of the named column; `_NOTHING` where the row has none."""
    if named in row:
        return row[named]
    if "+" in named:
        values = [_value(row, part.strip()) for part in named.split("+")]
        return [None if value is _NOTHING else value for value in values]
    outer, dot, inner = named.partition(".")
    if not dot or outer not in row:
        return _NOTHING
    value = row[outer]
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return [None if item is _NOTHING else item for item in (_value(v, inner) for v in value)]
    return _value(value, inner) if isinstance(value, Mapping) else _NOTHING


def _joined(values: list[Any]) -> Any:
    """The texts as one. Unchanged where one is not text, so that the reader refuses the value."""
    texts = [value for value in values if value not in (None, "")]
    return " ".join(texts) if all(isinstance(text, str) for text in texts) else values


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names.get(_as_text(value), value)


def _as_text(value: Any) -> str:
    """A value as a study file and a CSV file write it: 1.0 is `1`, and True is `true`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text.lower() if text in ("True", "False") else text
