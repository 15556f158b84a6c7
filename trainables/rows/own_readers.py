"""The readers of your own rows. docs/how-to/own-task.md lists the columns of each task kind."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from spaces.tasks.task import TaskKind
from trainables.examples import ChoiceExample, PairExample, RetrievalExample, TextExample
from trainables.rows.reading import Reader, Reading, Row, read_squad, read_tagged


def _classification(row: Row) -> Reading:
    """Columns `sentence1`, `sentence2` for pairs, and `label` as a name."""
    second = None if row.content.get("sentence2") is None else row.text("sentence2")
    return Reading(
        PairExample(
            id=row.id, text_a=row.text("sentence1"), text_b=second, label=row.label("label")
        )
    )


def _choice(row: Row) -> Reading:
    """Columns `text`, `choices` and `label`, an index into the choices from 0."""
    choices = row.texts("choices")
    label = row.position("label", tuple(map(str, range(len(choices)))))
    return Reading(ChoiceExample(id=row.id, text=row.text("text"), choices=choices, label=label))


def _span(row: Row) -> Reading:
    """Columns of SQuAD. A file that has no tables in a column (CSV) has `answer`, empty where there
    is none, and `answer_start` in place of `answers`. Without `answer_start` the answer is where
    the context first has it."""
    if "answers" in row.content or "answer" not in row.content:
        return read_squad(row)
    answers: dict[str, list[Any]] = {"text": [], "answer_start": []}
    if row.content["answer"] not in (None, ""):
        start = row.content.get("answer_start")
        if isinstance(start, str) and start.strip().isdecimal():
            start = int(start)
        answers = {"text": [row.text("answer")], "answer_start": [0 if start is None else start]}
    return read_squad(replace(row, content={**row.content, "answers": answers}))


def _tagging(row: Row) -> Reading:
    """Columns `tokens` and `tags`, one name per token: lists, or texts with blanks between them."""
    lists = {
        column: row.content[column].split()
        for column in ("tokens", "tags")
        if isinstance(row.content.get(column), str)
    }
    return read_tagged(replace(row, content={**row.content, **lists}) if lists else row, "tags")


def _retrieval(row: Row) -> Reading:
    """Columns `sentence` and `translation`, which is English."""
    text, pivot = row.text("sentence").strip(), row.text("translation").strip()
    return Reading(RetrievalExample(id=row.id, text=text, pivot=pivot))


def _mlm(row: Row) -> Reading:
    """Column `text`, and `pair`, its translation, for translation language modelling."""
    pair = None if row.content.get("pair") is None else row.text("pair").strip()
    return Reading(TextExample(id=row.id, text=row.text("text").strip(), pair=pair))


KIND_READERS: Mapping[TaskKind, Reader] = MappingProxyType(
    {
        TaskKind.CLASSIFICATION: _classification,
        TaskKind.CHOICE: _choice,
        TaskKind.SPAN: _span,
        TaskKind.TAGGING: _tagging,
        TaskKind.RETRIEVAL: _retrieval,
        TaskKind.MLM: _mlm,
    }
)
