"""The readers of one's own rows: for each kind, the columns that docs/how-to/own-task.md lists."""

from collections.abc import Mapping
from types import MappingProxyType

from spaces.task import TaskKind
from trainables.examples import ChoiceExample, PairExample, RetrievalExample, TextExample
from trainables.rows.raw_row import Reader, Reading, Row, read_squad, read_tagged


def _classification(row: Row) -> Reading:
    """`sentence1`, `sentence2` where it is a pair, `label` by name."""
    second = None if row.content.get("sentence2") is None else row.text("sentence2")
    return Reading(
        PairExample(
            id=row.id, text_a=row.text("sentence1"), text_b=second, label=row.label("label")
        )
    )


def _choice(row: Row) -> Reading:
    """`text`, `choices`, `label`: a position in them, from 0."""
    choices = row.texts("choices")
    label = row.position("label", tuple(map(str, range(len(choices)))))
    return Reading(ChoiceExample(id=row.id, text=row.text("text"), choices=choices, label=label))


def _tagging(row: Row) -> Reading:
    """`tokens`, `tags`: one name a token."""
    return read_tagged(row, "tags")


def _retrieval(row: Row) -> Reading:
    """`sentence`, `translation`: its English."""
    text, pivot = row.text("sentence").strip(), row.text("translation").strip()
    return Reading(RetrievalExample(id=row.id, text=text, pivot=pivot))


def _mlm(row: Row) -> Reading:
    """`text`, and `pair` where its translation is masked beside it."""
    pair = None if row.content.get("pair") is None else row.text("pair").strip()
    return Reading(TextExample(id=row.id, text=row.text("text").strip(), pair=pair))


KIND_READERS: Mapping[TaskKind, Reader] = MappingProxyType(
    {
        TaskKind.CLASSIFICATION: _classification,
        TaskKind.CHOICE: _choice,
        TaskKind.SPAN: read_squad,
        TaskKind.TAGGING: _tagging,
        TaskKind.RETRIEVAL: _retrieval,
        TaskKind.MLM: _mlm,
    }
)
