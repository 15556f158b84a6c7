"""What every task kind has to say: how to encode, lose, predict, decode and score."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from spaces.refusal import Refusal
from spaces.task_catalog import Task
from trainables.examples import Example
from trainables.scoring import metrics
from trainables.scoring.outcomes import Outcomes, of_values

Ints = npt.NDArray[np.int32]
IGNORED = -100  # a label position that takes no part in the loss

E = TypeVar("E", bound=Example)
P = TypeVar("P")


class RowError(Refusal):
    """A row that cannot be used. The message names the task, the row's id and how to mend it."""

    def __init__(self, task: Task, row: str, message: str) -> None:
        super().__init__(f"task {task.name!r}, row {row!r}: {message}")


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths in one array: row i is `values[offsets[i] : offsets[i + 1]]`."""

    values: Ints
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        flat = [value for row in rows for value in row]
        return cls(np.asarray(flat, np.int32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ints:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Features:
    """The encoded sequences of the rows of one (task, language, split).

    `example[s]` is the row that sequence `s` came from: one for most kinds, one a choice for
    CHOICE, one a window for SPAN and TAGGING, text then pivot for RETRIEVAL; it never decreases.
    `second[s]` is where the second segment starts (the sequence's length if there is none).
    `labels[s]` is what the kind's loss reads; `origins[s]` is what its decoding reads: for SPAN
    two numbers a token (first and last character + 1 in the context, or -1, -1), for TAGGING one
    number a token (the word it is the first sub-word of, or -1), otherwise nothing.
    """

    input_ids: Ragged
    second: Ints
    example: Ints
    labels: Ragged
    origins: Ragged
    num_truncated: int  # rows that lost tokens to `max_length`
    fertility: float | None = None  # tokens a word (fertility.py), measured where rows are cached

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some sequences, padded: ids, mask, segments are [S, L]; labels [S, M], padded by IGNORED."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor


class Judgement(NamedTuple):
    """Every metric by name, each in [0, 1], and what the task's main one is made of, row by row."""

    metrics: Mapping[str, float]
    outcomes: Outcomes


class Format(ABC, Generic[E, P]):
    """One task kind. Stateless but for the options it is made with.

    E is the kind's example, P what one prediction is (a label name, a choice, an answer text,
    a tuple of tags, ...). A head is a module from hidden states to logits.
    """

    example_type: ClassVar[type[Any]]
    reads_all_layers: ClassVar[bool] = False

    @abstractmethod
    def check(self, example: E, task: Task) -> None:
        """Raise RowError if the row contradicts its task or itself."""

    @abstractmethod
    def encode(
        self,
        examples: Sequence[E],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Rows to token sequences of at most `max_length` tokens, special tokens included."""

    @abstractmethod
    def build_head(self, task: Task, encoder: nn.Module) -> nn.Module | None:
        """A new head with fresh weights (drawn from torch's global generator), None if none."""

    @abstractmethod
    def num_items(self, batch: Batch) -> int:
        """How many terms `loss` sums: examples, tagged words, masked tokens."""

    @abstractmethod
    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        """The *sum* of the cross-entropies of the batch's items; hidden is [S, L, H]."""

    @abstractmethod
    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """One array a sequence, padding cut off. `hidden` is (last,) or, where
        `reads_all_layers`, every layer's states with the embeddings first; each [S, L, H]."""

    @abstractmethod
    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[E],
        task: Task,
    ) -> list[P]:
        """What `predict` gave for all sequences, in order, to one prediction a row."""

    @abstractmethod
    def judge(
        self, predictions: Sequence[P], examples: Sequence[E], task: Task, language: str
    ) -> Judgement:
        """Every metric of the kind, the task's main one among them, and its rows."""

    def score(
        self, predictions: Sequence[P], examples: Sequence[E], task: Task, language: str
    ) -> Mapping[str, float]:
        """The metrics of `judge` alone."""
        return self.judge(predictions, examples, task, language).metrics


def judge_equal(predictions: Sequence[Hashable], golds: Sequence[Hashable]) -> Judgement:
    """Accuracy, and which rows are right."""
    accuracy = metrics.accuracy(predictions, golds)
    return Judgement({"accuracy": accuracy}, of_values(map(eq, predictions, golds)))


def collate(features: Features, sequences: Sequence[int], *, pad_id: int) -> Batch:
    """Pad the chosen sequences to their longest."""
    rows = [features.input_ids[s] for s in sequences]
    labels = [features.labels[s] for s in sequences]
    length = max(len(row) for row in rows)
    width = max(len(row) for row in labels)
    input_ids = np.full((len(rows), length), pad_id, np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    segments = np.zeros((len(rows), length), np.int64)
    padded = np.full((len(rows), width), IGNORED, np.int64)
    for i, (s, row, label) in enumerate(zip(sequences, rows, labels, strict=True)):
        input_ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
        segments[i, features.second[s] : len(row)] = 1
        padded[i, : len(label)] = label
    arrays = (input_ids, mask, segments, padded)
    return Batch(*(torch.from_numpy(array) for array in arrays))
