"""Guesses the kind of a task from its rows: which column is the text, which one the label.

Columns with the names that the kinds have (docs/how-to/own-task.md) come first, then names that
data sets often have, then what the values look like.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType

from search.init.table import Column, Row, Shape, Table, plain_name
from spaces.refusal import Refusal
from spaces.tasks.task import TaskKind

TEXTS = (
    "text", "sentence", "content", "body", "review", "utterance", "message", "tweet", "question",
    "query", "premise", "ctx", "context", "document", "title",
)  # fmt: skip
CONTEXTS = ("context", "passage", "paragraph", "document", "article")
LABELS = (
    "label", "labels", "gold_label", "category", "class", "intent", "topic", "sentiment",
    "answerKey",
)  # fmt: skip
MARKS = ("answer", "correct", "target", "stars", "rating")  # of choices and texts, but of more too
TOKENS = ("tokens", "words", "token", "word", "form")
TAGS = ("tags", "ner_tags", "pos_tags", "upos", "ner", "pos", "labels")
CHOICES = ("choices", "options", "endings", "choices.text", "options.text", "answers")
TRANSLATIONS = (
    "translation",
    "english",
    "target_sentence",
    "target",
    "tgt",
    "en",
    "eng",
    "text_en",
)
SENTENCES = ("sentence", "source_sentence", "source", "src", "text")
PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("question", "passage"),
    ("question", "sentence"), ("query", "passage"), ("query", "document"), ("claim", "evidence"),
)  # fmt: skip
IDS = ("id", "guid", "uid", "idx", "index", "pairID", "sent_id")
MAX_LABELS = 100  # of a few rows; of many a third of their number

Columns = Mapping[str, str]  # our column -> theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What some rows are. `columns` has their name of each of our columns, `label_names` the
    positions of choices by the labels in the rows, `unread` the columns with other texts."""

    kind: TaskKind
    columns: Columns
    unread: tuple[str, ...] = ()
    label_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_pair(self) -> bool:
        """Whether a classification has two texts."""
        return "sentence2" in self.columns


def guess_task(rows: Sequence[Row], kind: TaskKind | None = None) -> Guess:
    """The kind of these rows and their columns; with `kind`, the columns alone.

    Raises:
        Refusal: no kind has columns like these.
    """
    table = Table.of(rows)
    for matches in (_named_as_ours, _described):
        for candidate, columns in matches(table):
            if kind in (None, candidate) and columns:
                names = _positions(table, columns) if candidate is TaskKind.CHOICE else {}
                if names is not None:
                    unread = _unread(table, columns)
                    return Guess(kind=candidate, columns=columns, unread=unread, label_names=names)
    listed = ", ".join(table.columns) or "none"
    wanted = "the kind of the task" if kind is None else f"which columns a {kind} task reads"
    raise Refusal(
        f"{wanted} could not be guessed from the columns {listed}; give them the names in "
        "docs/how-to/own-task.md, or write the study file yourself"
    )


def _unread(table: Table, columns: Columns) -> tuple[str, ...]:
    read = [name for theirs in columns.values() for name in (theirs, *theirs.split("+"))]
    texts = table.those(Shape.TEXT, without=read)
    return tuple(column.name for column in texts if not _is_id(column))


Matches = Iterator[tuple[TaskKind, Columns | None]]

# The columns that rows of a kind have, and those that they may have.
OURS: Mapping[TaskKind, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        TaskKind.SPAN: (("question", "context"), ("answers", "answer", "answer_start")),
        TaskKind.TAGGING: (("tokens", "tags"), ()),
        TaskKind.CHOICE: (("text", "choices", "label"), ()),
        TaskKind.RETRIEVAL: (("sentence", "translation"), ()),
        TaskKind.CLASSIFICATION: (("sentence1", "label"), ("sentence2",)),
    }
)


def _named_as_ours(table: Table) -> Matches:
    there = {name for name, column in table.columns.items() if column.shape is not Shape.EMPTY}
    for kind, (needed, more) in OURS.items():
        has_answers = kind is not TaskKind.SPAN or {"answers", "answer"} & there
        if there >= {*needed} and has_answers:
            yield kind, {name: name for name in (*needed, *more) if name in there}
    if "text" in there and there <= {"text", "pair", *IDS}:
        yield TaskKind.MLM, {name: name for name in ("text", "pair") if name in there}


def _described(table: Table) -> Matches:
    yield TaskKind.SPAN, _span(table)
    yield TaskKind.CHOICE, _choice(table)
    yield TaskKind.TAGGING, _tagging(table)
    yield TaskKind.CLASSIFICATION, _classification(table, table.find(LABELS, _is_label))
    yield TaskKind.RETRIEVAL, _retrieval(table)
    yield TaskKind.CLASSIFICATION, _classification(table, _label_by_values(table))
    yield TaskKind.MLM, _mlm(table)


def _is_text(column: Column) -> bool:
    return column.shape is Shape.TEXT


def _is_texts(column: Column) -> bool:
    return column.shape is Shape.TEXTS


def _span(table: Table) -> Columns | None:
    context = table.find(CONTEXTS, _is_text)
    question = table.find(("question", "query"), _is_text)
    if context is None or question is None:
        return None
    found = {"question": question.name, "context": context.name}
    for column in table.those(Shape.ANSWERS):
        return {**found, "answers": column.name}

    def is_inside(column: Column) -> bool:
        pairs = zip(column.texts, context.texts, strict=True)
        return _is_text(column) and all(text in whole for text, whole in pairs)

    answer = table.find(("answer", "answer_text"), is_inside, without=list(found.values()))
    if answer is None:
        return None
    start = table.find(("answer_start", "start"), lambda column: column.shape is not Shape.OTHER)
    return {**found, "answer": answer.name} | ({"answer_start": start.name} if start else {})


def _tagging(table: Table) -> Columns | None:
    lists = sorted(table.those(Shape.TEXTS), key=lambda column: -len(column.distinct))
    tokens = table.find(TOKENS, _is_texts) or next(iter(lists), None)
    if tokens is not None and len(lists) > 1:

        def is_as_long(column: Column) -> bool:
            return _is_texts(column) and _lengths(column) == _lengths(tokens)

        rest = [column for column in reversed(lists) if column.name != tokens.name]
        tags = table.find(TAGS, is_as_long, without=[tokens.name])
        tags = tags or next(filter(is_as_long, rest), None)
        return {"tokens": tokens.name, "tags": tags.name} if tags else None
    words, marks = table.find(TOKENS, _is_text), table.find(TAGS, _is_text)
    if words and marks and _num_words(words) == _num_words(marks) and max(_num_words(words)) > 1:
        return {"tokens": words.name, "tags": marks.name}
    return None


def _lengths(column: Column) -> list[int]:
    return [len(items) for items in column.lists]


def _num_words(column: Column) -> list[int]:
    return [len(text.split()) for text in column.texts]


def _choice(table: Table) -> Columns | None:
    listed = table.find(CHOICES, _is_texts)
    parts = [listed.name] if listed else _numbered(table)
    if not parts:
        return None
    label = table.find((*LABELS, *MARKS), _is_label, without=parts)
    used = [*parts, *([label.name] if label else [])]
    text = _main_text(table, without=used)
    if label is None or text is None:
        return None
    return {"text": text.name, "choices": "+".join(parts), "label": label.name}


def _numbered(table: Table) -> list[str]:
    """The columns of texts whose names differ only in a number or letter at their end: choice1,
    choice2."""
    pattern = re.compile(
        r"(choice|option|ending|answer|alternative|sol|solution)[ _-]?(\d|[a-e])", re.IGNORECASE
    )
    found = [
        (match[1].lower(), column.name)
        for column in table.those(Shape.TEXT)
        if (match := pattern.fullmatch(column.name))
    ]
    for _, group in groupby(sorted(found), key=lambda pair: pair[0]):
        names = [name for _, name in group]
        if len(names) > 1:
            return names
    return []


def _positions(table: Table, columns: Columns) -> Mapping[str, str] | None:
    """What turns the labels of choices into positions from 0: nothing where they are positions,
    else the names. None where they are something else, such as the text of the right choice."""
    choices = table.columns.get(columns["choices"])
    count = max(_lengths(choices)) if choices else columns["choices"].count("+") + 1
    labels = {str(value) for value in table.columns[columns["label"]].values} - {"None", "", "-1"}
    numbers = [str(place) for place in range(count)]
    if labels <= {*numbers}:
        return {}
    if labels <= {str(place) for place in range(1, count + 1)}:
        return {str(place + 1): str(place) for place in range(count)}
    for first in "Aa":
        letters = [chr(ord(first) + place) for place in range(min(count, 26))]
        if labels <= {*letters}:
            return dict(zip(letters, numbers, strict=False))
    return None


def _label_by_values(table: Table) -> Column | None:
    """The column that may be a label and whose values occur three times on average."""

    def is_repeated(column: Column) -> bool:
        return _is_label(column) and len(column.values) >= 3 * len(column.distinct)

    repeated = filter(is_repeated, table.those(Shape.TEXT, Shape.SCALAR))
    named = table.find(MARKS, is_repeated)
    return named or min(repeated, key=lambda column: len(column.distinct), default=None)


def _classification(table: Table, label: Column | None) -> Columns | None:
    if label is None:
        return None
    for first, second in PAIRS:
        one = table.find((first,), _is_text, without=[label.name])
        two = table.find((second,), _is_text, without=[label.name])
        if one is not None and two is not None:
            return {"sentence1": one.name, "sentence2": two.name, "label": label.name}
    text = table.find(("sentence1",), _is_text) or _main_text(table, without=[label.name])
    return {"sentence1": text.name, "label": label.name} if text else None


def _is_label(column: Column) -> bool:
    """Whether a column may be a label: few different values, and short ones."""
    is_scalar = column.shape in (Shape.TEXT, Shape.SCALAR)
    few = 2 <= len(column.distinct) <= max(MAX_LABELS, len(column.values) // 3)
    return is_scalar and few and column.mean_length <= 40 and not _is_id(column)


def _is_id(column: Column) -> bool:
    return plain_name(column.name) in {plain_name(name) for name in IDS}


def _main_text(table: Table, *, without: Sequence[str]) -> Column | None:
    """The column of the text: by its name, else the one with the longest texts."""
    named = table.find(TEXTS, _is_text, without=without)
    rest = [column for column in table.those(Shape.TEXT, without=without) if not _is_id(column)]
    return named or max(rest, key=lambda column: column.mean_length, default=None)


def _retrieval(table: Table) -> Columns | None:
    def differs(column: Column) -> bool:  # the values of a label do not
        return _is_text(column) and 2 * len(column.distinct) > len(column.values)

    translation = table.find(TRANSLATIONS, differs)
    if translation is None:
        return None
    text = table.find(SENTENCES, _is_text, without=[translation.name])
    text = text or _main_text(table, without=[translation.name])
    return {"sentence": text.name, "translation": translation.name} if text else None


def _mlm(table: Table) -> Columns | None:
    texts = [column for column in table.those(Shape.TEXT) if not _is_id(column)]
    return {"text": texts[0].name} if len(texts) == 1 else None
