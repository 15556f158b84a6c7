"""Predictor: an exported model that answers new rows of its task's kind."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spaces.phases import Pooling
from spaces.refusal import Refusal, shown
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import BaseEncoder, TransferModel
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
)
from trainables.exporting.model_folder import ABOUT, HEAD, ModelDescription
from trainables.formats.base import Features, Format, collate
from trainables.formats.kinds import format_of_task
from trainables.formats.mining import MiningFormat
from trainables.formats.span import SpanFormat
from trainables.row_files.raw import half_pair
from trainables.training.batches import by_length, units_of
from trainables.training.loop import to_device
from trainables.training.workers import best_device, reading_tokens

COLUMNS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.CLASSIFICATION: ("text_a",),
    TaskKind.CHOICE: ("text", "choices"),
    TaskKind.SPAN: ("question", "context"),
    TaskKind.TAGGING: ("words",),
    TaskKind.RETRIEVAL: ("text",),
}
MAX_COLUMNS = 20  # names of a row's columns that a message lists
LISTS = ("choices", "words")  # columns that hold a list of texts
Vectors = Sequence[npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The model's output for some rows: one array per sequence, with the features and examples that
    it belongs to."""

    outputs: Vectors
    features: Features
    examples: Sequence[Any]
    task: Task
    format: Format[Any, Any]


class Predictor:
    """An exported model that answers rows of its task's kind."""

    def __init__(
        self, model: TransferModel, base: BaseEncoder, about: ModelDescription, task: Task
    ) -> None:
        self.about = about
        self._device = best_device()
        self._model = model.eval().to(self._device)
        self._base = base
        self._task = task
        self._format = _format_of_exported(task, about)

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """One prediction per row: a label, the index of a choice, an answer, a list of tags, or the
        vector of a sentence. Rows and errors are as in `answer`."""
        return [next(iter(answer.values())) for answer in self.answer(rows)]

    def answer(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One answer per row, as JSON values, with the prediction first.

        | kind | columns of a row | answer |
        |---|---|---|
        | classification | `text_a`, optionally `text_b` | `label`, `probabilities` by label |
        | choice | `text`, `choices` | `choice` (an index), `probabilities` by index |
        | span | `question`, `context` | `answer`, `start` and `end` in the context |
        | tagging | `words` | `tags` |
        | retrieval | `text` | `vector` |

        Raises:
            Refusal: a row lacks a column or contradicts the kind, or the kind predicts nothing.
        """
        examples = [self.check(row, f"row {i}") for i, row in enumerate(rows)]
        if not examples:
            return []
        return _ANSWERS[self._task.kind](self._ask(examples))

    def check(self, row: Mapping[str, Any], row_name: str) -> Example:
        """The row as an example. Raises Refusal, which starts with `row_name` (`row 3`), where it
        cannot be one."""
        broken = half_pair(row)
        if broken is not None:
            raise Refusal(f"{row_name}: {broken}")
        example = _example(self._task, row_name, row)
        self._format.check(example, self._task)
        return example

    @torch.inference_mode()
    def _ask(self, examples: Sequence[Example]) -> _Outputs:
        task, task_format, tokenizer = self._task, self._format, self._base.tokenizer
        features = task_format.encode(
            examples, task, tokenizer=tokenizer, max_length=self.about.max_length
        )
        head = self._model.heads[task.training_task.name] if task.trains else None
        lengths, units = features.input_ids.lengths, units_of(features, task.kind)
        by_sequence: dict[int, npt.NDArray[np.float32]] = {}
        for sequences in by_length(lengths, units, max_tokens=reading_tokens(self._device)):
            batch = collate(features, sequences, pad_id=tokenizer.pad_token_id)
            batch = to_device(batch, self._device)
            hidden = self._model(batch, all_layers=task_format.reads_all_layers)
            by_sequence.update(
                zip(sequences, task_format.predict(head, hidden, batch), strict=True)
            )
        outputs = [by_sequence[sequence] for sequence in range(len(features))]
        return _Outputs(outputs, features, examples, task, task_format)


def load_predictor(folder: Path) -> Predictor:
    """The predictor of a folder that `export_target` wrote. Raises Refusal for any other folder."""
    try:
        content = json.loads((folder / ABOUT).read_text())
        about = ModelDescription(**{**content, "labels": tuple(content["labels"])})
        described = about.described_task()
        pooling = Pooling(about.pooling)
        heads = load_file(folder / HEAD)
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise Refusal(f"{folder} is not a folder that `export` wrote: {error}") from error
    task = SHIPPED.get(about.task) if about.task in SHIPPED or not described else described
    if about.labels != task.labels:
        raise Refusal(
            f"the model was trained for the labels {list(about.labels)}, but task {task.name!r} "
            f"now has {list(task.labels)}; train it again, or restore the labels"
        )
    base = BaseEncoder.load(str(folder))
    tasks = (task.training_task,) if task.trains else ()
    model = base.model(tasks, encoder=None, seed=0, pooling=pooling)
    try:
        model.heads.load_state_dict(heads)
    except RuntimeError as error:
        raise Refusal(
            f"the head in {folder} does not fit task {task.name!r}; export it again"
        ) from error
    return Predictor(model, base, about, task)


def _format_of_exported(task: Task, about: ModelDescription) -> Format[Any, Any]:
    """The format of the task; for retrieval one that reads single sentences."""
    if task.kind is TaskKind.RETRIEVAL:
        return MiningFormat(layer=about.layer)
    return format_of_task(task)


def _labels(result: _Outputs) -> list[dict[str, Any]]:
    names = result.format.decode(result.outputs, result.features, result.examples, result.task)
    shares = [_softmax(logits) for logits in result.outputs]
    return [
        {"label": name, "probabilities": dict(zip(result.task.labels, share, strict=True))}
        for name, share in zip(names, shares, strict=True)
    ]


def _choices(result: _Outputs) -> list[dict[str, Any]]:
    chosen = result.format.decode(result.outputs, result.features, result.examples, result.task)
    logits = np.concatenate(result.outputs)
    by_row = [logits[result.features.example == row] for row in range(len(result.examples))]
    return [
        {"choice": choice, "probabilities": _softmax(row_logits)}
        for choice, row_logits in zip(chosen, by_row, strict=True)
    ]


def _spans(result: _Outputs) -> list[dict[str, Any]]:
    assert isinstance(result.format, SpanFormat)
    spans = result.format.locate(result.outputs, result.features, len(result.examples))
    return [
        {"answer": example.context[start:end], "start": start, "end": end}
        for example, (start, end) in zip(result.examples, spans, strict=True)
    ]


def _tags(result: _Outputs) -> list[dict[str, Any]]:
    predicted = result.format.decode(result.outputs, result.features, result.examples, result.task)
    return [{"tags": list(tags)} for tags in predicted]


def _vectors(result: _Outputs) -> list[dict[str, Any]]:
    return [{"vector": vector.tolist()} for vector in result.outputs]


_ANSWERS = {
    TaskKind.CLASSIFICATION: _labels,
    TaskKind.CHOICE: _choices,
    TaskKind.SPAN: _spans,
    TaskKind.TAGGING: _tags,
    TaskKind.RETRIEVAL: _vectors,
}


def _softmax(logits: npt.NDArray[np.float32]) -> list[float]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    return [float(share) for share in exponentials / exponentials.sum()]


def _example(task: Task, row_name: str, row: Mapping[str, Any]) -> Example:
    """The row as an example. The answer, which it lacks, is set to a value that the checks
    accept."""
    if task.kind not in COLUMNS:
        raise Refusal(f"task {task.name!r} is a {task.kind} task, which predicts nothing for a row")
    row_id = row_name.removeprefix("row ")

    def text(column: str) -> str:
        value = _cell(task, row_name, row, column)
        if not isinstance(value, str):
            raise Refusal(f"{row_name}: {column} is {shown(value)}; expected text")
        return value

    def texts(column: str) -> tuple[str, ...]:
        values = _cell(task, row_name, row, column)
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise Refusal(f"{row_name}: {column} is {shown(values)}; expected a list of texts")
        listed = list(values)
        for value in listed:
            if value is None or isinstance(value, bytes | Mapping | list | tuple):
                raise Refusal(f"{row_name}: {column} holds {shown(value)}; expected only texts")
        return tuple(map(str, listed))

    if task.kind is TaskKind.CLASSIFICATION:
        # A data frame has NaN where a row has no second text.
        text_b = row.get("text_b")
        second = text("text_b") if text_b is not None and text_b == text_b else None
        return PairExample(id=row_id, text_a=text("text_a"), text_b=second, label=task.labels[0])
    if task.kind is TaskKind.CHOICE:
        return ChoiceExample(id=row_id, text=text("text"), choices=texts("choices"), label=0)
    if task.kind is TaskKind.SPAN:
        question, context = text("question"), text("context")
        return SpanExample(id=row_id, question=question, context=context, answers=())
    if task.kind is TaskKind.RETRIEVAL:
        return SentenceExample(id=row_id, text=text("text"), is_pivot=False, partners=())
    words = texts("words")
    return TaggingExample(id=row_id, words=words, tags=(task.labels[0],) * len(words))


def _cell(task: Task, row_name: str, row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        expected = ", ".join(COLUMNS[task.kind])
        columns = ", ".join(shown(str(name))[1:-1] for name in islice(row, MAX_COLUMNS))
        columns += ", ..." if len(row) > MAX_COLUMNS else ""
        raise Refusal(
            f"{row_name} has no column {column!r}: a {task.kind} task reads {expected}; the row "
            f"has {columns or 'no column'}"
        )
    return row[column]
