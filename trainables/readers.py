"""One reader a family of data sets: a raw row of the hub to an example."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from spaces.languages import get_language
from spaces.task import Task
from trainables.examples import (
    Answer,
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.formats.base import RowError

PLACEHOLDER = "NS"  # stands in PAWS-X for a sentence that nobody translated
PIVOT = "eng"


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


def _mnli(row: Row) -> Reading:
    return Reading(
        PairExample(
            id=row.id,
            text_a=row.text("premise"),
            text_b=row.text("hypothesis"),
            label=row.label("label"),
        )
    )


def _pawsx(row: Row) -> Reading:
    first, second = row.text("sentence1"), row.text("sentence2")
    if PLACEHOLDER in (first.strip(), second.strip()):
        return Reading(None, is_dropped=True)
    label = row.label("label")
    name = {"0": "different", "1": "paraphrase"}.get(label, label)
    return Reading(PairExample(id=row.id, text_a=first, text_b=second, label=name))


def _squad(row: Row) -> Reading:
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


def _tydiqa(row: Row) -> Reading:
    """One config holds all languages: which one stands before the id's first hyphen."""
    name, _, _ = row.id.partition("-")
    known = {get_language(code).name.lower(): code for code in row.task.languages}
    if name not in known:
        raise row.error(
            f"its language {name!r} is none of the task's: {', '.join(sorted(known))}; an id "
            "starts with it"
        )
    return _squad(row) if known[name] == row.language else Reading(None)


def _hellaswag(row: Row) -> Reading:
    endings = row.texts("endings")
    numbers = tuple(map(str, range(len(endings))))
    label = row.position("label", numbers)
    return Reading(ChoiceExample(id=row.id, text=row.text("ctx"), choices=endings, label=label))


def _csqa(row: Row) -> Reading:
    choices = row.content.get("choices")
    if not isinstance(choices, Mapping) or not {"text", "label"} <= choices.keys():
        raise row.error(f"column 'choices' is {choices!r}, expected text and label")
    label = row.position("answerKey", tuple(choices["label"]))
    texts = tuple(choices["text"])
    return Reading(ChoiceExample(id=row.id, text=row.text("question"), choices=texts, label=label))


def _cosmosqa(row: Row) -> Reading:
    """The question stands first: what is too long loses the end of its context."""
    numbers = ("0", "1", "2", "3")
    choices = tuple(row.text(f"answer{number}") for number in numbers)
    text = f"{row.text('question')} {row.text('context')}"
    label = row.position("label", numbers)
    return Reading(ChoiceExample(id=row.id, text=text, choices=choices, label=label))


def _udpos(row: Row) -> Reading:
    return _tagged(row, "pos_tags")


def _panx(row: Row) -> Reading:
    others = {*row.texts("langs")} - {row.language}
    if others:
        raise row.error(
            f"words of {', '.join(sorted(others))} in rows of {row.language}: mixed languages"
        )
    return _tagged(row, "ner_tags")


def _tagged(row: Row, column: str) -> Reading:
    example = TaggingExample(id=row.id, words=row.texts("tokens"), tags=row.texts(column))
    return Reading(example)


def _tatoeba(row: Row) -> Reading:
    """Sentences end in a newline; `source_lang` is a path of a cache, or the language's code."""
    expected = {"source_lang": get_language(row.language).iso3, "target_lang": PIVOT}
    for column, code in expected.items():
        named = row.text(column)
        if len(named) == len(code) and named != code:
            raise row.error(f"{column} is {named!r}, expected {code!r}: mixed languages")
    text, pivot = row.text("source_sentence").strip(), row.text("target_sentence").strip()
    return Reading(RetrievalExample(id=row.id, text=text, pivot=pivot))


def _flores(row: Row) -> Reading:
    return Reading(TextExample(id=row.id, text=row.text("sentence").strip(), pair=None))


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "cosmosqa": _cosmosqa,
        "csqa": _csqa,
        "flores": _flores,
        "hellaswag": _hellaswag,
        "mnli": _mnli,
        "panx": _panx,
        "pawsx": _pawsx,
        "squad": _squad,
        "tatoeba": _tatoeba,
        "tydiqa": _tydiqa,
        "udpos": _udpos,
    }
)


def read_row(content: Mapping[str, Any], task: Task, language: str, *, place: str) -> Reading:
    """Raises RowError with the row's id; `place` is its name where it has none."""
    own = next((content[name] for name in ("id", "pairID") if content.get(name)), place)
    return READERS[task.reader](Row(content, task, language, str(own)))
