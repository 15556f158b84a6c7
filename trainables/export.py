"""A trained target as a plain Hugging Face folder, and the predictor that reads it back.

`AutoModel` and `AutoTokenizer` load the folder; the head lies beside the encoder in
`head.safetensors`, and `transfer_search.json` says what it is for.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spaces.refusal import Refusal
from spaces.tasks import Task, TaskKind, get_task
from trainables.batches import by_length, units_of
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    SpanExample,
    TaggingExample,
)
from trainables.formats.base import collate
from trainables.formats.kinds import format_for
from trainables.model import BaseEncoder, TransferModel
from trainables.stage import model_after
from trainables.workshop import Workshop

HEAD, ABOUT = "head.safetensors", "transfer_search.json"
MAX_BATCH_TOKENS = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a model folder is: the task it was trained for and the plan it was trained by."""

    task: str
    labels: tuple[str, ...]
    max_length: int
    phase_key: str | None
    plan: Mapping[str, Any]


def export_target(folder: Path, shop: Workshop, about: About, *, card: str) -> None:
    """Write the encoder and head of one target, the tokenizer and the card into a new folder."""
    check_new(folder)
    task = get_task(about.task)
    tasks = (task.training_task,) if task.trains else ()
    model = model_after(about.phase_key, tasks, shop)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{folder} cannot be written: {error.strerror}") from error
    model.encoder.save_pretrained(folder)  # type: ignore[operator]
    shop.base.tokenizer.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, folder / HEAD)
    (folder / ABOUT).write_text(json.dumps(asdict(about), indent=1, sort_keys=True))
    (folder / "README.md").write_text(card)


def check_new(folder: Path) -> None:
    """Refuse a folder that something is in already."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refusal(f"{folder} is there already and not an empty folder; name a new one")


class Predictor:
    """An exported model that answers rows of its task's kind."""

    def __init__(self, model: TransferModel, base: BaseEncoder, about: About) -> None:
        self.about = about
        self._model = model.eval()
        self._base = base

    @torch.inference_mode()
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """One prediction a row: a label, the position of a choice, an answer, a list of tags.

        Args:
            rows: `text_a` and `text_b` for classification, `text` and `choices` for choice,
                `question` and `context` for span, `words` for tagging.

        Raises:
            Refusal: a row lacks a column, or the task is retrieval, which predicts nothing.
        """
        if not rows:
            return []
        task = get_task(self.about.task)
        form = format_for(task)
        examples = [_example(task, str(i), row) for i, row in enumerate(rows)]
        for example in examples:
            form.check(example, task)
        features = form.encode(
            examples, task, tokenizer=self._base.tokenizer, max_length=self.about.max_length
        )
        found: dict[int, Any] = {}
        units = units_of(features, task.kind)
        lengths = features.input_ids.lengths
        for sequences in by_length(lengths, units, max_tokens=MAX_BATCH_TOKENS):
            pad_id = self._base.tokenizer.pad_token_id
            batch = collate(features, sequences, pad_id=pad_id)
            head = self._model.heads[task.training_task]
            outputs = form.predict(head, self._model(batch), batch)
            found.update(zip(sequences, outputs, strict=True))
        ordered = [found[sequence] for sequence in range(len(features))]
        return form.decode(ordered, features, examples, task)


def load_predictor(folder: Path) -> Predictor:
    """Read a folder that `export_target` wrote. Raises Refusal if it is not one."""
    try:
        content = json.loads((folder / ABOUT).read_text())
        about = About(**{**content, "labels": tuple(content["labels"])})
        heads = load_file(folder / HEAD)
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise Refusal(f"{folder} is not a folder that `export` wrote: {error}") from error
    task = get_task(about.task)
    if about.labels != task.labels:
        raise Refusal(
            f"the model was trained for the labels {list(about.labels)} of task {task.name!r}, "
            f"which are now {list(task.labels)}"
        )
    base = BaseEncoder.load(str(folder))
    model = base.model((task.training_task,) if task.trains else (), encoder=None, seed=0)
    try:
        model.heads.load_state_dict(heads)
    except RuntimeError as error:
        raise Refusal(f"the head in {folder} is not one of task {task.name!r}") from error
    return Predictor(model, base, about)


_COLUMNS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.CLASSIFICATION: ("text_a",),
    TaskKind.CHOICE: ("text", "choices"),
    TaskKind.SPAN: ("question", "context"),
    TaskKind.TAGGING: ("words",),
}


def _example(task: Task, row_id: str, row: Mapping[str, Any]) -> Example:
    """A row without its answer, which is filled with something that the checks accept."""
    if task.kind not in _COLUMNS:
        raise Refusal(f"task {task.name!r} is a {task.kind} task: it predicts nothing for a row")

    def text(column: str) -> str:
        value = _cell(task, row_id, row, column)
        if not isinstance(value, str):
            raise Refusal(f"row {row_id}: {column} is {value!r}; expected text")
        return value

    def texts(column: str) -> tuple[str, ...]:
        values = _cell(task, row_id, row, column)
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise Refusal(f"row {row_id}: {column} is {values!r}; expected a list of texts")
        return tuple(str(value) for value in values)

    if task.kind is TaskKind.CLASSIFICATION:
        # A table has a not-a-number where a row has no second text.
        text_b = row.get("text_b")
        second = text("text_b") if text_b is not None and text_b == text_b else None
        return PairExample(id=row_id, text_a=text("text_a"), text_b=second, label=task.labels[0])
    if task.kind is TaskKind.CHOICE:
        return ChoiceExample(id=row_id, text=text("text"), choices=texts("choices"), label=0)
    if task.kind is TaskKind.SPAN:
        question, context = text("question"), text("context")
        return SpanExample(id=row_id, question=question, context=context, answers=())
    words = texts("words")
    return TaggingExample(id=row_id, words=words, tags=(task.labels[0],) * len(words))


def _cell(task: Task, row_id: str, row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        wanted, given = ", ".join(_COLUMNS[task.kind]), ", ".join(map(str, row))
        raise Refusal(
            f"row {row_id} has no column {column!r}: a {task.kind} task reads {wanted}; the row "
            f"has {given or 'no column'}"
        )
    return row[column]
