"""What is in the columns of some rows: texts, lists of texts or other values, and how many
different ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

Row = Mapping[str, object]


class Shape(Enum):
    """What the values of a column are."""

    TEXT = auto()
    TEXTS = auto()  # a list of texts
    SCALAR = auto()  # numbers, or true and false
    ANSWERS = auto()  # as in SQuAD: text and answer_start
    OTHER = auto()
    EMPTY = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of some rows. `values` has one for every row; None where it is missing."""

    name: str
    shape: Shape
    values: tuple[object, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The values that are text, and "" for others."""
        return tuple(value if isinstance(value, str) else "" for value in self.values)

    @property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """The values that are lists, and empty ones for others."""
        return tuple(tuple(value) if isinstance(value, list) else () for value in self.values)

    @property
    def distinct(self) -> frozenset[str]:
        """The different values as text; of lists, the different items."""
        if self.shape is Shape.TEXTS:
            return frozenset(item for items in self.lists for item in items)
        return frozenset(str(value) for value in self.values if value is not None)

    @property
    def mean_length(self) -> float:
        """Characters of a value, on average."""
        lengths = [len(str(value)) for value in self.values if value is not None]
        return sum(lengths) / len(lengths) if lengths else 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of some rows. A table inside a column has columns of its own: `choices.text`."""

    columns: Mapping[str, Column]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Table":
        """The table of these rows."""
        flat = [dict(_flat(row)) for row in rows]
        names = list(dict.fromkeys(name for row in flat for name in row))
        columns = {}
        for name in names:
            values = tuple(row.get(name) for row in flat)
            columns[name] = Column(name, _shape(values), values)
        return cls(columns)

    def find(
        self, names: Sequence[str], suits: Callable[[Column], bool], *, without: Sequence[str] = ()
    ) -> Column | None:
        """The first column with one of these names that suits, in the order of the names; capitals,
        blanks and `_` in a name do not matter."""
        plain: dict[str, Column] = {}
        for column in self.columns.values():
            plain.setdefault(plain_name(column.name), column)
        for name in names:
            found = self.columns.get(name) or plain.get(plain_name(name))
            if found is not None and found.name not in without and suits(found):
                return found
        return None

    def those(self, *shapes: Shape, without: Sequence[str] = ()) -> list[Column]:
        """The columns of these shapes, in the order of the file."""
        return [
            column
            for column in self.columns.values()
            if column.shape in shapes and column.name not in without
        ]


def plain_name(name: str) -> str:
    """The letters and digits of a name, in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter == ".")


def _flat(row: Row) -> Iterator[tuple[str, Any]]:
    """The columns of a row; of tables inside a column, their columns."""
    for name, value in row.items():
        if _is_answers(value):
            yield name, value
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", item) for inner, item in value.items())
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for inner in value[0]:
                yield f"{name}.{inner}", [item.get(inner) for item in value]
        else:
            yield name, None if value == "" else value


def _is_answers(value: Any) -> bool:
    return isinstance(value, Mapping) and {"text", "answer_start"} <= value.keys()


def _shape(values: Sequence[Any]) -> Shape:
    shapes = {_shape_of(value) for value in values if value is not None}
    if not shapes:
        return Shape.EMPTY
    return shapes.pop() if len(shapes) == 1 else Shape.OTHER


def _shape_of(value: Any) -> Shape:
    if isinstance(value, str):
        return Shape.TEXT
    if isinstance(value, int | float):
        return Shape.SCALAR
    if _is_answers(value):
        return Shape.ANSWERS
    is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return Shape.TEXTS if is_texts else Shape.OTHER
