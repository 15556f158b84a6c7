"""A trained target as a plain Hugging Face folder, and the predictor that reads it back.

`AutoModel` and `AutoTokenizer` load the folder; the head lies beside the encoder in
`head.safetensors`, and `transfer_search.json` says what it is for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from spaces.refusal import Refusal, unknown
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
from trainables.formats.kinds import format_of
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
    if folder.exists() and any(folder.iterdir()):
        raise Refusal(f"{folder} is not empty; export into a new folder")
    task = get_task(about.task)
    tasks = (task.training_task,) if task.trains else ()
    model = model_after(about.phase_key, tasks, shop)
    folder.mkdir(parents=True, exist_ok=True)
    model.encoder.save_pretrained(folder)  # type: ignore[operator]
    shop.base.tokenizer.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, folder / HEAD)
    (folder / ABOUT).write_text(json.dumps(asdict(about), indent=1, sort_keys=True))
    (folder / "README.md").write_text(card)


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
        task = get_task(self.about.task)
        form = format_of(task.kind)
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
    except (OSError, ValueError, TypeError) as error:
        raise Refusal(f"{folder} is not a folder that `export` wrote: {error}") from error
    task = get_task(about.task)
    if about.labels != task.labels:
        raise Refusal(
            f"the model was trained for the labels {list(about.labels)} of task {task.name!r}, "
            f"which are now {list(task.labels)}"
        )
    base = BaseEncoder.load(str(folder))
    model = base.model((task.training_task,) if task.trains else (), encoder=None, seed=0)
    model.heads.load_state_dict(heads)
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
    for column in _COLUMNS[task.kind]:
        if column not in row:
            raise unknown(f"row {row_id}: no column {column!r}; column", column, row)
    if task.kind is TaskKind.CLASSIFICATION:
        text_b = row.get("text_b")
        return PairExample(id=row_id, text_a=row["text_a"], text_b=text_b, label=task.labels[0])
    if task.kind is TaskKind.CHOICE:
        return ChoiceExample(id=row_id, text=row["text"], choices=tuple(row["choices"]), label=0)
    if task.kind is TaskKind.SPAN:
        return SpanExample(id=row_id, question=row["question"], context=row["context"], answers=())
    words = tuple(row["words"])
    return TaggingExample(id=row_id, words=words, tags=(task.labels[0],) * len(words))
