"""The formats of task kinds and of tasks."""

from collections.abc import Mapping
from typing import Any

from spaces.tasks.task import AnswerRules, Task, TaskKind
from trainables.formats.base import Format
from trainables.formats.choice import ChoiceFormat
from trainables.formats.classification import ClassificationFormat
from trainables.formats.mining import MiningFormat
from trainables.formats.mlm import MlmFormat
from trainables.formats.retrieval import RetrievalFormat
from trainables.formats.span import SpanFormat
from trainables.formats.tagging import TaggingFormat


def format_of_kind(
    kind: TaskKind, *, retrieval_layer: int | None = None, to_english: bool = False
) -> Format[Any, Any]:
    """The format of a kind with default options; `retrieval_layer` and `to_english` as in
    `RetrievalFormat`."""
    formats: Mapping[TaskKind, Format[Any, Any]] = {
        TaskKind.CLASSIFICATION: ClassificationFormat(),
        TaskKind.CHOICE: ChoiceFormat(),
        TaskKind.SPAN: SpanFormat(),
        TaskKind.TAGGING: TaggingFormat(),
        TaskKind.RETRIEVAL: RetrievalFormat(layer=retrieval_layer, to_english=to_english),
        TaskKind.MLM: MlmFormat(),
    }
    return formats[kind]


def format_of_task(
    task: Task, *, retrieval_layer: int | None = None, to_english: bool = False
) -> Format[Any, Any]:
    """The format that reads, decodes and scores this task: that of its kind, with the rules of the
    task."""
    if task.kind is TaskKind.RETRIEVAL and task.metric == "f1":
        return MiningFormat(layer=retrieval_layer)
    if task.answer_rules is AnswerRules.SQUAD_V2:
        return SpanFormat(may_abstain=True)
    return format_of_kind(task.kind, retrieval_layer=retrieval_layer, to_english=to_english)
