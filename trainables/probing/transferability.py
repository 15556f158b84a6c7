"""What the frozen encoder makes of rows: how much it knows of their labels, and where their texts
lie. Two estimates of transfer before anything is trained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spaces.task_catalog import TaskKind, get_task
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

BATCH_TOKENS = 4096  # padded, of one pass: the states of all layers are kept
MAX_VECTORS = 4000  # that the evidence is taken of: a singular value decomposition each time
SPAN_TOKENS = 32  # of a window, evenly spaced

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """What the encoder says of the rows of one (task, language, split): their mean text vector [H]
    at the chosen layer, and `evidence`, what its last layer adds to the evidence of the labels, in
    nats a label (logme.py); None where the kind has no labels to look for, or one alone."""

    text: Vectors
    evidence: float | None
    num_rows: int


@contextmanager
def placed(base: BaseEncoder, device: torch.device) -> Iterator[None]:
    """The encoder on a device, and where it was afterwards."""
    before = next(base.encoder.parameters()).device
    base.encoder.to(device).eval()
    try:
        yield
    finally:
        base.encoder.to(before)


def layer_of_texts(base: BaseEncoder, layer: int | None) -> int:
    """The layer at which texts of several languages are compared: that of retrieval."""
    return min(layer or middle_layer(base.num_layers), base.num_layers)


def look(wanted: RowsToEncode, data: Data, *, layer: int, with_labels: bool) -> TextEvidence:
    """One pass over rows, with the encoder as and where it is. Raises NoRowsError.

    Labels are looked for where the head of their kind reads: the masked mean of a sequence
    (classification), the same of each text with one choice, from which the mean of the row's
    choices is taken off (choice: right or wrong), the first sub-word of a word (tagging). What a
    span head reads, first and last tokens, is one in hundreds; instead, of SPAN_TOKENS tokens of
    each window's context: inside the answer or not. Masked language modelling and retrieval have
    no labels.
    """
    examples = data.examples(wanted.task, wanted.language, wanted.split, max_rows=wanted.max_rows)
    features = data.features(
        wanted.task,
        wanted.language,
        wanted.split,
        max_rows=wanted.max_rows,
        max_length=wanted.max_length,
    )
    kind = get_task(wanted.task).kind
    texts: dict[int, Vectors] = {}
    found: dict[int, tuple[Vectors, npt.NDArray[np.int64]]] = {}
    for sequences, batch, hidden in _passes(features, _own(features, examples), data.base):
        means = to_numpy(masked_mean(hidden[layer].float(), batch.attention_mask))
        texts.update(zip(sequences, means, strict=True))
        if with_labels:
            found.update(_labelled(kind, features, sequences, batch, hidden[-1].float()))
    if kind is TaskKind.CHOICE:
        found = _within_rows(found, features)
    mean: Vectors = np.stack([texts[s] for s in sorted(texts)]).mean(axis=0)
    return TextEvidence(mean, _evidence(found), len(examples))


def cosine(one: Vectors, other: Vectors) -> float:
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else 0.0


@torch.inference_mode()
def _passes(
    features: Features, sequences: Sequence[int], base: BaseEncoder
) -> Iterator[tuple[list[int], Batch, tuple[Tensor, ...]]]:
    """Batches of sequences with every layer's states [S, L, H], the embeddings first."""
    device = next(base.encoder.parameters()).device
    units = [[sequence] for sequence in sequences]
    pad_id = base.tokenizer.pad_token_id
    for chosen in by_length(features.input_ids.lengths, units, max_tokens=BATCH_TOKENS):
        batch = to_device(collate(features, chosen, pad_id=pad_id), device)
        with autocast(device, best_precision(device)):
            hidden = hidden_states(base.encoder, batch, all_layers=True)
        yield chosen, batch, hidden


def _own(features: Features, examples: Sequence[Example]) -> list[int]:
    """The sequences in the rows' own language: without the English sides of translations."""
    rows = features.example.tolist()
    if examples and isinstance(examples[0], RetrievalExample):
        return list(range(0, len(rows), 2))
    pivots = {
        row for row, one in enumerate(examples) if isinstance(one, SentenceExample) and one.is_pivot
    }
    return [sequence for sequence, row in enumerate(rows) if row not in pivots]


def _labelled(
    kind: TaskKind, features: Features, sequences: Sequence[int], batch: Batch, hidden: Tensor
) -> Mapping[int, tuple[Vectors, npt.NDArray[np.int64]]]:
    """Sequence -> vectors [n, H] and their classes [n]; nothing for kinds without labels."""
    found: dict[int, tuple[Vectors, npt.NDArray[np.int64]]] = {}
    if kind in (TaskKind.CLASSIFICATION, TaskKind.CHOICE):
        means = to_numpy(masked_mean(hidden, batch.attention_mask))
        for s, vector in zip(sequences, means, strict=True):
            label = int(features.labels[s][0])
            if kind is TaskKind.CHOICE:
                first = int(np.searchsorted(features.example, features.example[s]))
                label = int(s - first == label)
            found[s] = (vector[None], np.array([label]))
    elif kind in (TaskKind.TAGGING, TaskKind.SPAN):
        pick = _tags if kind is TaskKind.TAGGING else _inside
        for row, s in enumerate(sequences):
            places, classes = pick(features, s)
            found[s] = (to_numpy(hidden[row, torch.from_numpy(places).to(hidden.device)]), classes)
    return found


def _within_rows(
    found: Mapping[int, tuple[Vectors, npt.NDArray[np.int64]]], features: Features
) -> dict[int, tuple[Vectors, npt.NDArray[np.int64]]]:
    """Each choice's vector without what it shares with the other choices of its row: a head
    compares choices with each other."""
    rows: dict[int, list[int]] = {}
    for sequence in found:
        rows.setdefault(int(features.example[sequence]), []).append(sequence)
    means = {row: np.mean([found[s][0] for s in members], axis=0) for row, members in rows.items()}
    return {
        sequence: (vectors - means[int(features.example[sequence])], classes)
        for sequence, (vectors, classes) in found.items()
    }


def _tags(features: Features, sequence: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places of words' first sub-words, and their tags."""
    labels = features.labels[sequence].astype(np.int64)
    (places,) = np.nonzero(labels != IGNORED)
    return places, labels[places]


def _inside(
    features: Features, sequence: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places of some of the context's tokens, and whether the answer covers them."""
    start, end, first, past = features.labels[sequence].tolist()
    places = _spaced(past - first, SPAN_TOKENS) + first
    inside = (places >= start) & (places <= end) & (end > 0)
    return places, inside.astype(np.int64)


def _spaced(count: int, at_most: int) -> npt.NDArray[np.int64]:
    """So many of the first `count` numbers, evenly spaced."""
    if count <= at_most:
        return np.arange(count)
    return np.linspace(0, count - 1, at_most).round().astype(np.int64)


def _evidence(found: Mapping[int, tuple[Vectors, npt.NDArray[np.int64]]]) -> float | None:
    if not found:
        return None
    ordered = [found[sequence] for sequence in sorted(found)]
    vectors = np.concatenate([vectors for vectors, _ in ordered])
    classes = np.concatenate([classes for _, classes in ordered])
    chosen = _spaced(len(classes), MAX_VECTORS)
    if len(np.unique(classes[chosen])) < 2:
        return None
    return evidence_gain(vectors[chosen], classes[chosen])
