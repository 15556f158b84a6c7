"""A raw row, what it is read for, and what became of it: what all readers share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spaces.task import Task
from trainables.examples import Answer, Example, SpanExample, TaggingExample
from trainables.formats.base import RowError


@dataclass(frozen=True, slots=True)
class Row:
    """A raw row, what it is read for, and its id: its own, or its place in the split."""

    content: Mapping[str, Any]
    task: Task
    language: str
    id: str

    def text(self, column: str) -> str:
        value = self.content.get(column)
        if not isinstance(value, str):
            raise self.error(f"column {column!r} is {value!r}, expected text")
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        value = self.content.get(column)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"column {column!r} is {value!r}, expected a list of texts")
        return tuple(value)

    def label(self, column: str) -> str:
        """As text, whatever its type. Hidden ones are -1, empty or nothing."""
        value = self.content.get(column)
        if value in (None, "", -1, "-1"):
            raise self.error(
                f"its label is hidden ({column} is {value!r}), as in the test rows of shared "
                "tasks: such rows can be neither trained on nor scored"
            )
        return str(value)

    def position(self, column: str, names: tuple[str, ...]) -> int:
        """The place of a label among the names of the choices."""
        label = self.label(column)
        if label not in names:
            raise self.error(f"label {label!r} is none of its choices {', '.join(names)}")
        return names.index(label)

    def error(self, message: str) -> RowError:
        return RowError(self.task, self.id, message)


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a row. Without an example it was dropped, or is another language's."""

    example: Example | None
    num_mended: int = 0
    is_dropped: bool = False


Reader = Callable[[Row], Reading]


def read_squad(row: Row) -> Reading:
    """Answers whose offset is wrong are found again: the occurrence nearest to it."""
    context, answers = row.text("context"), row.content.get("answers")
    if not isinstance(answers, Mapping) or not {"text", "answer_start"} <= answers.keys():
        raise row.error(f"column 'answers' is {answers!r}, expected text and answer_start")
    texts, starts = answers["text"], answers["answer_start"]
    if len(texts) != len(starts):
        raise row.error(f"{len(texts)} answers and {len(starts)} offsets, expected one an answer")
    found = [nearest(context, text, start) for text, start in zip(texts, starts, strict=True)]
    example = SpanExample(
        id=row.id,
        question=row.text("question"),
        context=context,
        answers=tuple(Answer(text=t, start=s) for t, s in zip(texts, found, strict=True)),
    )
    num_mended = sum(mended != given for mended, given in zip(found, starts, strict=True))
    return Reading(example, num_mended=num_mended)


def nearest(context: str, answer: str, start: int) -> int:
    """Where the answer stands, next to `start`; `start` itself if it stands nowhere."""
    before = context.rfind(answer, 0, max(start, 0) + len(answer))
    after = context.find(answer, max(start, 0))
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=start)


def read_tagged(row: Row, column: str) -> Reading:
    """One tag a token; `column` holds the tags."""
    example = TaggingExample(id=row.id, words=row.texts("tokens"), tags=row.texts(column))
    return Reading(example)
