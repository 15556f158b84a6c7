"""The examples of every task kind: the form into which each source of rows (pocket, hub, folder) is
read.

Labels and tags are names, never indices: an index has no meaning without its list.
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
    """Multiple choice: which of `choices` goes with `text`. `label` is an index into `choices`.
    `document` identifies the document that the row was made from ("": not known); no model reads
    it."""

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
    """Extractive question answering. Without any answer the question is unanswerable."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingExample:
    """A sentence with one tag name per word."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalExample:
    """Two sentences of the same meaning: `text` in the language of the row, `pivot` in English."""

    id: str
    text: str
    pivot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceExample:
    """A sentence of one of two corpora that are mined for pairs; `is_pivot` for the English corpus.
    `partners` are the ids of its known translations in the other corpus."""

    id: str
    text: str
    is_pivot: bool
    partners: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextExample:
    """Running text for masked language modelling. With a `pair`, its translation, it is used for
    translation language modelling."""

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
