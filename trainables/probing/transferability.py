"""Probes of a frozen encoder before anything is trained: how much it knows about labels, and where
it maps texts. Both estimate transfer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spaces.tasks.task import TaskKind
from trainables.encoders.model import BaseEncoder, hidden_states
from trainables.examples import Example, RetrievalExample, SentenceExample
from trainables.features.features import Data, RowsToEncode
from trainables.formats.base import IGNORED, Batch, Features, collate
from trainables.formats.heads import masked_mean, to_numpy
from trainables.formats.retrieval import middle_layer
from trainables.probing.logme import evidence_gain
from trainables.training.batches import by_length
from trainables.training.loop import to_device
from trainables.training.workers import autocast, best_precision

BATCH_TOKENS = 4096  # padded tokens of one pass, which keeps the states of all layers
MAX_VECTORS = (
    4000  # the evidence is computed from at most so many: it needs a singular value decomposition
)
SPAN_TOKENS = 32  # tokens of a window, evenly spaced

Vectors = npt.NDArray[np.float32]
Labelled = tuple[Vectors, npt.NDArray[np.int64]]  # vectors [n, H] and their classes [n]


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """The probe of one (task, language, split): `text`, the mean text vector [H] at the chosen
    layer, and `evidence`, what the last layer adds to the evidence of the labels, in nats per label
    (logme.py); None where the kind has no labels, or all rows have one label."""

    text: Vectors
    evidence: float | None
    num_rows: int


@contextmanager
def on_device(base: BaseEncoder, device: torch.device) -> Iterator[None]:
    """Moves the encoder to a device, and back at the end."""
    before = next(base.encoder.parameters()).device
    base.encoder.to(device).eval()
    try:
        yield
    finally:
        base.encoder.to(before)


def layer_of_texts(base: BaseEncoder, layer: int | None) -> int:
    """The layer at which texts of several languages are compared: the layer of retrieval."""
    return min(layer or middle_layer(base.num_layers), base.num_layers)


def probe_rows(wanted: RowsToEncode, data: Data, *, layer: int, with_labels: bool) -> TextEvidence:
    """The probe of these rows, in one pass of the encoder on its present device. Raises
    NoRowsError.

    Labels are predicted from the vector that the head of the kind reads: the masked mean of a
    sequence for classification; for choice the masked mean of each text with one choice, minus the
    mean over the row's choices (classes: right or wrong); the first sub-word of a word for tagging.
    Span heads read first and last tokens, which are one in hundreds; so SPAN_TOKENS tokens of each
    window's context are used instead (classes: inside the answer or not). Masked language modelling
    and retrieval have no labels.
    """
    examples = data.examples(wanted.task, wanted.language, wanted.split, max_rows=wanted.max_rows)
    features = data.features(
        wanted.task,
        wanted.language,
        wanted.split,
        max_rows=wanted.max_rows,
        max_length=wanted.max_length,
    )
    kind = wanted.task.kind
    texts: dict[int, Vectors] = {}
    labelled: dict[int, Labelled] = {}
    for sequences, batch, hidden in _passes(
        features, _own_sequences(features, examples), data.base
    ):
        means = to_numpy(masked_mean(hidden[layer].float(), batch.attention_mask))
        texts.update(zip(sequences, means, strict=True))
        if with_labels:
            labelled.update(_labelled(kind, features, sequences, batch, hidden[-1].float()))
    if kind is TaskKind.CHOICE:
        labelled = _within_rows(labelled, features)
    mean: Vectors = np.stack([texts[s] for s in sorted(texts)]).mean(axis=0)
    return TextEvidence(mean, _evidence(labelled), len(examples))


def cosine(first: Vectors, second: Vectors) -> float:
    """The cosine of two vectors [H]; 0 where one of them is zero."""
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norms if norms else 0.0


@torch.inference_mode()
def _passes(
    features: Features, sequences: Sequence[int], base: BaseEncoder
) -> Iterator[tuple[list[int], Batch, tuple[Tensor, ...]]]:
    """Batches of sequences with the states of every layer [S, L, H], the embeddings first."""
    device = next(base.encoder.parameters()).device
    units = [[sequence] for sequence in sequences]
    pad_id = base.tokenizer.pad_token_id
    for chosen in by_length(features.input_ids.lengths, units, max_tokens=BATCH_TOKENS):
        batch = to_device(collate(features, chosen, pad_id=pad_id), device)
        with autocast(device, best_precision(device)):
            hidden = hidden_states(base.encoder, batch, all_layers=True)
        yield chosen, batch, hidden


def _own_sequences(features: Features, examples: Sequence[Example]) -> list[int]:
    """The sequences in the language of the rows, without the English sides of translations."""
    rows = features.example.tolist()
    if examples and isinstance(examples[0], RetrievalExample):
        return list(range(0, len(rows), 2))
    pivots = {
        row
        for row, example in enumerate(examples)
        if isinstance(example, SentenceExample) and example.is_pivot
    }
    return [sequence for sequence, row in enumerate(rows) if row not in pivots]


def _labelled(
    kind: TaskKind, features: Features, sequences: Sequence[int], batch: Batch, hidden: Tensor
) -> Mapping[int, Labelled]:
    """Sequence -> vectors [n, H] and their classes [n]; empty for kinds without labels."""
    labelled: dict[int, Labelled] = {}
    if kind in (TaskKind.CLASSIFICATION, TaskKind.CHOICE):
        means = to_numpy(masked_mean(hidden, batch.attention_mask))
        for s, vector in zip(sequences, means, strict=True):
            label = int(features.labels[s][0])
            if kind is TaskKind.CHOICE:
                first = int(np.searchsorted(features.example, features.example[s]))
                label = int(s - first == label)
            labelled[s] = (vector[None], np.array([label]))
    elif kind in (TaskKind.TAGGING, TaskKind.SPAN):
        pick = _tags if kind is TaskKind.TAGGING else _inside
        for row, s in enumerate(sequences):
            tokens, classes = pick(features, s)
            labelled[s] = (
                to_numpy(hidden[row, torch.from_numpy(tokens).to(hidden.device)]),
                classes,
            )
    return labelled


def _within_rows(labelled: Mapping[int, Labelled], features: Features) -> dict[int, Labelled]:
    """The vector of each choice minus the mean vector over the choices of its row, because a head
    compares choices with each other."""
    rows: dict[int, list[int]] = {}
    for sequence in labelled:
        rows.setdefault(int(features.example[sequence]), []).append(sequence)
    means = {
        row: np.mean([labelled[s][0] for s in members], axis=0) for row, members in rows.items()
    }
    return {
        sequence: (vectors - means[int(features.example[sequence])], classes)
        for sequence, (vectors, classes) in labelled.items()
    }


def _tags(features: Features, sequence: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The token indices of words' first sub-words, and their tags."""
    labels = features.labels[sequence].astype(np.int64)
    (tokens,) = np.nonzero(labels != IGNORED)
    return tokens, labels[tokens]


def _inside(
    features: Features, sequence: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The indices of some of the context's tokens, and whether the answer covers them."""
    start, end, first, past = features.labels[sequence].tolist()
    tokens = _spaced(past - first, SPAN_TOKENS) + first
    inside = (tokens >= start) & (tokens <= end) & (end > 0)
    return tokens, inside.astype(np.int64)


def _spaced(count: int, at_most: int) -> npt.NDArray[np.int64]:
    """At most `at_most` of the first `count` numbers, evenly spaced."""
    if count <= at_most:
        return np.arange(count)
    return np.linspace(0, count - 1, at_most).round().astype(np.int64)


def _evidence(labelled: Mapping[int, Labelled]) -> float | None:
    if not labelled:
        return None
    ordered = [labelled[sequence] for sequence in sorted(labelled)]
    vectors = np.concatenate([vectors for vectors, _ in ordered])
    classes = np.concatenate([classes for _, classes in ordered])
    chosen = _spaced(len(classes), MAX_VECTORS)
    if len(np.unique(classes[chosen])) < 2:
        return None
    return evidence_gain(vectors[chosen], classes[chosen])
