"""Row, Reading and the parts that all readers share."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spaces.refusal import shown, unknown
from spaces.tasks.task import Task
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
        value = self._value(column)
        if not isinstance(value, str):
            raise self.error(f"column {self._named(column)} is {shown(value)}, expected text")
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        """The list of texts in a column. Raises RowError where it is not one."""
        value = self._value(column)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(
                f"column {self._named(column)} is {shown(value)}, expected a list of texts"
            )
        return tuple(value)

    def label(self, column: str) -> str:
        """The label in a column, as text. Raises RowError for a hidden label (-1, empty or
        missing), and for what is neither text nor a number."""
        value = self._value(column)
        if value in (None, "", -1, "-1"):
            raise self.error(
                f"its label is hidden ({self._theirs(column)} is {value!r}), as in the test rows "
                "of shared tasks; such a row can be neither trained on nor scored"
            )
        if not isinstance(value, str | int | float):
            raise self.error(f"column {self._named(column)} is {shown(value)}, expected a label")
        return str(value)

    def position(self, column: str, names: tuple[str, ...]) -> int:
        """The index of the label in `names`, the names of the choices. Raises RowError where it is
        not one of them."""
        label = self.label(column)
        if label not in names:
            raise self.error(f"label {shown(label)} is not one of its choices {', '.join(names)}")
        return names.index(label)

    def error(self, message: str) -> RowError:
        """A RowError with the id of the row."""
        return RowError(self.task, self.id, message)

    def _value(self, column: str) -> Any:
        """The value in a column. Raises RowError where the row has no such column."""
        if column not in self.content:
            theirs = self._theirs(column)
            there = unknown("column", theirs, self.content)
            mend = f"; say which column it is: columns = {{ {column} = NAME }}"
            raise self.error(f"{there}{mend if theirs == column else ''}")
        return self.content[column]

    def _theirs(self, column: str) -> str:
        """The name of a column in the file, where the study file says that it has another one."""
        return dict(self.task.origin_of(self.language).columns).get(column, column)

    def _named(self, column: str) -> str:
        return shown(self._theirs(column))


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading a row. Without an example the row was dropped, or belongs to another
    language."""

    example: Example | None
    num_mended: int = 0
    is_dropped: bool = False


Reader = Callable[[Row], Reading]


def read_squad(row: Row) -> Reading:
    """Columns of SQuAD. An answer with a wrong offset gets the offset of its nearest occurrence. An
    answer in another Unicode form (NFC, NFD) gets the spelling of the context."""
    context = row.text("context")
    stored = _stored_answers(row)
    found = [_found(context, answer) for answer in stored]
    example = SpanExample(
        id=row.id, question=row.text("question"), context=context, answers=tuple(found)
    )
    num_mended = sum(new != old for new, old in zip(found, stored, strict=True))
    return Reading(example, num_mended=num_mended)


def _stored_answers(row: Row) -> list[Answer]:
    """The answers with the offsets that the row states. A single text with a single offset is one
    answer, and 7.0 is the offset 7. Raises RowError for all other types."""
    answers = row.content.get("answers")
    if not isinstance(answers, Mapping) or not {"text", "answer_start"} <= answers.keys():
        raise row.error(f"column 'answers' is {shown(answers)}, expected text and answer_start")
    texts, starts = (
        value if isinstance(value, list) else [value]
        for value in (answers["text"], answers["answer_start"])
    )
    if len(texts) != len(starts):
        raise row.error(
            f"{len(texts)} answers and {len(starts)} offsets, expected one offset per answer"
        )
    for index, (text, start) in enumerate(zip(texts, starts, strict=True)):
        if not isinstance(text, str):
            raise row.error(f"text {index} of its answers is {shown(text)}, expected text")
        is_number = isinstance(start, int | float) and not isinstance(start, bool)
        if not is_number or (isinstance(start, float) and not start.is_integer()):
            raise row.error(
                f"answer_start {index} of its answers is {shown(start)}, expected a whole number: "
                "the place of the answer's first character in the context, from 0"
            )
    return [Answer(text=t, start=int(s)) for t, s in zip(texts, starts, strict=True)]


def _found(context: str, answer: Answer) -> Answer:
    """The answer as and where the context has it; unchanged where the context does not have it."""
    if answer.text in context:
        return Answer(text=answer.text, start=nearest(context, answer.text, answer.start))
    spans = _equivalent_spans(context, answer.text)
    if not spans:
        return answer
    start, past = min(spans, key=lambda span: abs(span[0] - answer.start))
    return Answer(text=context[start:past], start=start)


def _equivalent_spans(context: str, answer: str) -> list[tuple[int, int]]:
    """The first and past-last character of every piece of the context that is canonically
    equivalent to the answer: equal in NFD (Unicode Standard Annex 15)."""
    sought = unicodedata.normalize("NFD", answer)
    if not sought or sought not in unicodedata.normalize("NFD", context):
        return []
    places: dict[int, int] = {}  # offset in the NFD of the context -> offset in the context
    parts: list[str] = []
    offset = 0
    for start, part in _combined(context):
        places[offset] = start
        parts.append(unicodedata.normalize("NFD", part))
        offset += len(parts[-1])
    places[offset] = len(context)
    decomposed = "".join(parts)
    spans = []
    first = decomposed.find(sought)
    while first >= 0:
        past = first + len(sought)
        if first in places and past in places:
            spans.append((places[first], places[past]))
        first = decomposed.find(sought, first + 1)
    return spans


def _combined(text: str) -> Iterator[tuple[int, str]]:
    """(start, piece) of each character with the combining marks after it. NFD reorders marks only
    inside such a piece."""
    start = 0
    for index, char in enumerate(text):
        if index and not unicodedata.combining(unicodedata.normalize("NFD", char)[0]):
            yield start, text[start:index]
            start = index
    if text:
        yield start, text[start:]


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
