"""One row of a task, in the form every source of rows (pocket, hub, folder) brings it to.

Labels and tags are names, never indices: an index means nothing without the list it points into.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PairExample:
    """Classification: one text or a pair of them, and a label name."""

    id: str
    text_a: str
    text_b: str | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceExample:
    """Multiple choice: which of `choices` goes with `text`; `label` is a position in `choices`.
    `document` is what several rows were made from ("": not known); no model reads it."""

    id: str
    text: str
    choices: tuple[str, ...]
    label: int
    document: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`context[start : start + len(text)] == text`; `start` counts characters."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanExample:
    """Extractive question answering; no answers at all means the question is unanswerable."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingExample:
    """One tag name per word."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalExample:
    """Two sentences with one meaning: `text` in the language asked for, `pivot` in English."""

    id: str
    text: str
    pivot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceExample:
    """A sentence of one of two corpora to mine for pairs: the English one where `is_pivot`.
    `partners` are the ids of its translations in the other corpus, as far as they are known."""

    id: str
    text: str
    is_pivot: bool
    partners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextExample:
    """Running text for masked language modelling; a `pair` (its translation) makes it TLM."""

    id: str
    text: str
    pair: str | None


Example = (
    PairExample
    | ChoiceExample
    | SpanExample
    | TaggingExample
    | RetrievalExample
    | SentenceExample
    | TextExample
)
