"""Row, Reading and the parts that all readers share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spaces.task import Task
from trainables.examples import Answer, Example, SpanExample, TaggingExample
from trainables.formats.base import RowError


@dataclass(frozen=True, slots=True)
class Row:
    """A raw row with its task and language. `id` is its own id, or its number in the split."""

    content: Mapping[str, Any]
    task: Task
    language: str
    id: str

    def text(self, column: str) -> str:
        """The text in a column. Raises RowError where it is not text."""
        value = self.content.get(column)
        if not isinstance(value, str):
            raise self.error(f"column {column!r} is {value!r}, expected text")
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        """The list of texts in a column. Raises RowError where it is not one."""
        value = self.content.get(column)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"column {column!r} is {value!r}, expected a list of texts")
        return tuple(value)

    def label(self, column: str) -> str:
        """The label in a column, as text. Raises RowError for a hidden label: -1, empty or
        missing."""
        value = self.content.get(column)
        if value in (None, "", -1, "-1"):
            raise self.error(
                f"its label is hidden ({column} is {value!r}), as in the test rows of shared "
                "tasks; such a row can be neither trained on nor scored"
            )
        return str(value)

    def position(self, column: str, names: tuple[str, ...]) -> int:
        """The index of the label in `names`, the names of the choices. Raises RowError where it is
        not one of them."""
        label = self.label(column)
        if label not in names:
            raise self.error(f"label {label!r} is not one of its choices {', '.join(names)}")
        return names.index(label)

    def error(self, message: str) -> RowError:
        """A RowError with the id of the row."""
        return RowError(self.task, self.id, message)


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading a row. Without an example the row was dropped, or belongs to another
    language."""

    example: Example | None
    num_mended: int = 0
    is_dropped: bool = False


Reader = Callable[[Row], Reading]


def read_squad(row: Row) -> Reading:
    """Columns of SQuAD. An answer with a wrong offset gets the offset of its nearest occurrence."""
    context, answers = row.text("context"), row.content.get("answers")
    if not isinstance(answers, Mapping) or not {"text", "answer_start"} <= answers.keys():
        raise row.error(f"column 'answers' is {answers!r}, expected text and answer_start")
    texts, starts = answers["text"], answers["answer_start"]
    if len(texts) != len(starts):
        raise row.error(
            f"{len(texts)} answers and {len(starts)} offsets, expected one offset per answer"
        )
    mended = [nearest(context, text, start) for text, start in zip(texts, starts, strict=True)]
    example = SpanExample(
        id=row.id,
        question=row.text("question"),
        context=context,
        answers=tuple(Answer(text=t, start=s) for t, s in zip(texts, mended, strict=True)),
    )
    num_mended = sum(new != old for new, old in zip(mended, starts, strict=True))
    return Reading(example, num_mended=num_mended)


def nearest(context: str, answer: str, start: int) -> int:
    """The start of the answer's occurrence nearest to `start`, in characters; `start` itself where
    the context does not hold it."""
    before = context.rfind(answer, 0, max(start, 0) + len(answer))
    after = context.find(answer, max(start, 0))
    occurrences = [i for i in (before, after) if i >= 0]
    return min(occurrences, key=lambda i: abs(i - start), default=start)


def read_tagged(row: Row, column: str) -> Reading:
    """Tokens with one tag per token; `column` holds the tags."""
    example = TaggingExample(id=row.id, words=row.texts("tokens"), tags=row.texts(column))
    return Reading(example)
