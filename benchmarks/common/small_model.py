"""Builds the small encoder of the CPU benchmarks and adapts it to the Hugging Face Trainer.

The encoder has random weights and XLM-R's architecture. Its tokenizer is trained on FLORES or on
the pocket's text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from spaces.phases import Phase
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import TransferModel
from trainables.examples import TextExample
from trainables.formats.base import IGNORED, Batch, Features
from trainables.pocket.tokenizer import fast_tokenizer, train_pieces
from trainables.pretraining.corpus import PocketText
from trainables.training.loop import READ_EVERY, Saving, rate_factor

MAX_LENGTH = 128
NO_SAVING = Saving(save=lambda step, tensors, documents: None, every_seconds=float("inf"))
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of an encoder of XLM-R's architecture."""

    vocabulary: int = 16_000
    hidden_size: int = 192
    num_layers: int = 3
    num_heads: int = 6
    feed_forward_size: int = 768

    def __str__(self) -> str:
        return (
            f"XLM-R's architecture, {self.num_layers} layers of {self.hidden_size}, feed-forward "
            f"{self.feed_forward_size}, at most {self.vocabulary} pieces, random weights, no "
            "dropout"
        )


TINY = Shape(vocabulary=1500, hidden_size=64, num_layers=2, num_heads=2, feed_forward_size=128)


def write_pocket_encoder(folder: Path, languages: Sequence[str], shape: Shape) -> Path:
    """Write an encoder whose tokenizer is trained on the pocket's text."""
    text = PocketText(languages=tuple(languages), num_rows=20_000, seed=0)
    return write_encoder(folder, text.rows(), shape)


def write_encoder(folder: Path, text: Sequence[TextExample], shape: Shape) -> Path:
    """Write a Hugging Face folder with random weights and a tokenizer trained on `text`."""
    pieces = train_pieces(text, shape.vocabulary)
    tokenizer = fast_tokenizer(pieces, max_length=MAX_LENGTH)
    torch.manual_seed(0)
    encoder = XLMRobertaModel(config_of(shape, tokenizer), add_pooling_layer=False)
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def config_of(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=shape.feed_forward_size,
        max_position_embeddings=MAX_LENGTH + 2,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


class ForTrainer(nn.Module):
    """The same encoder and head with the interface that the Trainer expects; returns a mean loss,
    as Hugging Face models do."""

    def __init__(self, model: TransferModel, task: Task) -> None:
        super().__init__()
        self.model = model
        self.head = task.name
        self.is_pooled = task.kind is TaskKind.CLASSIFICATION

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        output = self.model.encoder(input_ids=input_ids, attention_mask=attention_mask)
        given = (attention_mask,) if self.is_pooled else ()
        logits = self.model.heads[self.head](output.last_hidden_state, *given).float()
        width = logits.shape[-1]
        loss = cross_entropy(logits.view(-1, width), labels.view(-1), ignore_index=IGNORED)
        return {"loss": loss, "logits": logits}


def rows_of(
    features: Features, *, is_tagged: bool, padded_to: int | None, pad_id: int
) -> list[Row]:
    """Return the sequences in the form of a tokenised data set; `padded_to` has the effect of
    `pad_to_max_length`."""
    rows = []
    for sequence in range(len(features)):
        ids = features.input_ids[sequence].tolist()
        labels = features.labels[sequence].tolist()
        missing = max(0, padded_to - len(ids)) if padded_to else 0
        row: Row = {
            "input_ids": ids + [pad_id] * missing,
            "attention_mask": [1] * len(ids) + [0] * missing,
            "labels": labels + [IGNORED] * missing if is_tagged else labels[0],
        }
        rows.append(row)
    return rows


def trainer_arguments(folder: Path, **further: Any) -> TrainingArguments:
    """Return the Trainer's arguments with everything switched off that is not compared."""
    return TrainingArguments(
        output_dir=str(folder),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        **further,
    )


def phase_arguments(folder: Path, phase: Phase, **further: Any) -> TrainingArguments:
    """Return the settings of a phase as arguments of the Trainer."""
    recipe = phase.recipe
    return trainer_arguments(
        folder,
        per_device_train_batch_size=recipe.batch_size,
        max_steps=recipe.num_steps,
        learning_rate=phase.learning_rate,
        warmup_steps=max(1, round(recipe.num_steps * recipe.warmup_share)),
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.adam_beta2,
        max_grad_norm=recipe.max_grad_norm,
        logging_steps=READ_EVERY,
        seed=phase.seed,
        **further,
    )


class QuietTrainer(Trainer):
    """The Trainer without the lines that it prints when it has no progress bar."""

    def __init__(self, **further: Any) -> None:
        super().__init__(**further)
        self.remove_callback(PrinterCallback)


class SameBatches(QuietTrainer):
    """The Trainer's loop over our batches with our learning rates; its losses must equal ours at
    every step."""

    def __init__(self, *, batches: Sequence[Batch], phase: Phase, **further: Any) -> None:
        super().__init__(**further)
        self.batches = [dict(_inputs(batch)) for batch in batches]
        self.phase = phase

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = LambdaLR(
            optimizer or self.optimizer, lambda step: rate_factor(self.phase.recipe, step)
        )
        return self.lr_scheduler


def _inputs(batch: Batch) -> Iterator[tuple[str, Tensor]]:
    yield "input_ids", batch.input_ids
    yield "attention_mask", batch.attention_mask
    yield "labels", batch.labels[:, 0]
