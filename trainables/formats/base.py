"""Format: the interface of every task kind: encode, head, loss, predict, decode and judge."""

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

from spaces.refusal import Refusal, one_line, shown
from spaces.tasks.task import Task
from trainables.examples import Example
from trainables.scoring import metrics
from trainables.scoring.outcomes import Outcomes, of_values

Ints = npt.NDArray[np.int32]
IGNORED = -100  # the label of a position that the loss leaves out

E = TypeVar("E", bound=Example)
P = TypeVar("P")


class RowError(Refusal):
    """A row cannot be used. The message names the task, the id of the row and how to mend it."""

    def __init__(self, task: Task, row: str, message: str) -> None:
        super().__init__(f"task {task.name!r}, row {shown(row)}: {one_line(message)}")


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths in one array. Row i is `values[offsets[i] : offsets[i + 1]]`."""

    values: Ints
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """The rows of a list of lists, as int32."""
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
        """The length of each row: [rows]."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Features:
    """The encoded sequences of the rows of one (task, language, split).

    `example[s]` is the index of the row that sequence `s` came from; it never decreases. Most kinds
    have one sequence per row, CHOICE one per choice, SPAN and TAGGING one per window, RETRIEVAL two
    (text, then pivot). `second[s]` is the index of the first token of the second segment (the
    sequence's length where there is none). `labels[s]` is what the loss of the kind reads.
    `origins[s]` is what its decoding reads: for SPAN two numbers per token (its first and past-last
    character in the context, or -1, -1), for TAGGING one number per token (the index of the word
    whose first sub-word it is, or -1), for other kinds nothing.
    """

    input_ids: Ragged
    second: Ints
    example: Ints
    labels: Ragged
    origins: Ragged
    num_truncated: int  # rows that lost tokens to `max_length`
    fertility: float | None = None  # tokens per word (fertility.py); set in cached rows

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sequences: ids, mask and segments are [sequences, tokens], labels [sequences, width],
    padded by IGNORED."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor


class Judgement(NamedTuple):
    """Every metric by name, each in [0, 1], and the outcomes of single rows for the main metric."""

    metrics: Mapping[str, float]
    outcomes: Outcomes


class Format(ABC, Generic[E, P]):
    """The interface of one task kind. It has no state except the options it is made with.

    E is the example type of the kind. P is the type of one prediction: a label name, an index of a
    choice, an answer text, a tuple of tags and so on. A head is a module from hidden states to
    logits. In shapes S is sequences, L tokens, H the width of hidden states.
    """

    example_type: ClassVar[type[Any]]
    reads_all_layers: ClassVar[bool] = False

    @abstractmethod
    def check(self, example: E, task: Task) -> None:
        """Raises RowError where the row contradicts its task or itself."""

    @abstractmethod
    def encode(
        self,
        examples: Sequence[E],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Token sequences of rows that passed `check`, of at most `max_length` tokens with special
        tokens."""

    @abstractmethod
    def build_head(self, task: Task, encoder: nn.Module) -> nn.Module | None:
        """A new head, drawn from torch's global generator; None where the kind has no head."""

    @abstractmethod
    def num_items(self, batch: Batch) -> int:
        """The number of terms that `loss` sums: examples, tagged words or masked tokens."""

    @abstractmethod
    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        """The *sum* of the cross-entropies of the batch's items. `hidden` is [S, L, H]."""

    @abstractmethod
    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """One array per sequence, without padding. `hidden` holds the states of the last layer, or,
        where `reads_all_layers`, those of the embeddings and of every layer; each [S, L, H]."""

    @abstractmethod
    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[E],
        task: Task,
    ) -> list[P]:
        """One prediction per row, from the outputs of `predict` for all sequences in order."""

    @abstractmethod
    def judge(
        self, predictions: Sequence[P], examples: Sequence[E], task: Task, language: str
    ) -> Judgement:
        """Every metric of the kind, and the outcomes of the rows. Among the metrics is the main one
        of the task."""

    def scoring_version(self, task: Task) -> int:
        """The version of what `judge` computes as the task's main metric: it is raised where equal
        predictions get another number than before. It belongs to the protocol of a score."""
        return 1

    def score(
        self, predictions: Sequence[P], examples: Sequence[E], task: Task, language: str
    ) -> Mapping[str, float]:
        """The metrics of `judge` without the outcomes."""
        return self.judge(predictions, examples, task, language).metrics


def judge_equal(predictions: Sequence[Hashable], golds: Sequence[Hashable]) -> Judgement:
    """The accuracy, and for each row whether its prediction is right."""
    accuracy = metrics.accuracy(predictions, golds)
    return Judgement({"accuracy": accuracy}, of_values(map(eq, predictions, golds)))


def collate(features: Features, sequences: Sequence[int], *, pad_id: int) -> Batch:
    """A batch of the chosen sequences, padded to the longest of them."""
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
