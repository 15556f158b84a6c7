"""The readers of your own rows. docs/how-to/own-task.md lists the columns of each task kind."""

from collections.abc import Mapping
from types import MappingProxyType

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


def _tagging(row: Row) -> Reading:
    """Columns `tokens` and `tags`, one name per token."""
    return read_tagged(row, "tags")


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
        TaskKind.SPAN: read_squad,
        TaskKind.TAGGING: _tagging,
        TaskKind.RETRIEVAL: _retrieval,
        TaskKind.MLM: _mlm,
    }
)
