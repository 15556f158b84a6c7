"""The sequences of every training step: length buckets, token budgets, and shares of workers.

Everything here is a pure function of lengths, seed and step. So all workers agree, and a resumed
phase continues without stored state.
"""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerFast

from spaces.mixture import Mixture
from spaces.phases import Phase
from spaces.tasks.source import Source
from spaces.tasks.task import TaskKind
from trainables.formats.base import Batch, Features, collate
from trainables.formats.mlm import mask_tokens

POOL_BATCHES = 50  # the rows of so many batches are sorted by length together
GOLDEN = (5**0.5 - 1) / 2  # the multiples of it, modulo 1, fill [0, 1) evenly at every count


def source_at(mixture: Mixture, *, draws: str, step: int) -> Source:
    """The source that every worker trains on at `step`. Its share is its probability over all
    values of `draws` (`Phase.draws`).

    A low-discrepancy sequence: from a random start, each step moves by the golden ratio around a
    circle that the sources share. After any number of steps a source has had its share of them, up
    to two steps (four after 20,000). With independent draws, 50 steps at a share of 0.1 would give
    5 plus or minus 2.
    """
    start = random.Random(f"source:{draws}").random()
    ends = list(accumulate(share for _, share in mixture.shares))
    point = (start + step * GOLDEN) % 1.0 * ends[-1]
    return mixture.sources[min(bisect_right(ends, point), len(ends) - 1)]


@dataclass(frozen=True, slots=True)
class Step:
    """The global batch of one step. `sizes` are the numbers of sequences of its units."""

    source: Source
    batch: Batch
    sizes: tuple[int, ...]


class Steps:
    """Every step of a phase, read in order from any step on; a function of the phase alone."""

    def __init__(
        self,
        phase: Phase,
        features: Mapping[Source, Features],
        tokenizer: PreTrainedTokenizerFast,
        *,
        start: int,
    ) -> None:
        self._phase = phase
        self._features = features
        self._tokenizer = tokenizer
        self._batches = {
            source: Batches(
                features[source],
                source.task.kind,
                batch_size=phase.recipe.batch_size,
                max_batch_tokens=phase.recipe.max_batch_tokens,
                seed=f"{phase.draws}:{source}",
            )
            for source in phase.mixture.sources
        }
        self._drawn = Counter(self._source(step) for step in range(start))

    def read(self, step: int) -> Step:
        """The global batch of the next step, with masks where its source is mlm."""
        source = self._source(step)
        units = self._batches[source][self._drawn[source]]
        self._drawn[source] += 1
        sequences = [sequence for unit in units for sequence in unit]
        pad_id = self._tokenizer.pad_token_id
        batch = collate(self._features[source], sequences, pad_id=pad_id)
        if source.task.kind is TaskKind.MLM:
            batch = mask_tokens(
                batch,
                generator=torch.Generator().manual_seed(step_seed("mask", self._phase.draws, step)),
                mask_id=self._tokenizer.mask_token_id,
                vocab_size=len(self._tokenizer),
                special_ids=self._tokenizer.all_special_ids,
                share=self._phase.recipe.mask_share,
            )
        return Step(source, batch, tuple(len(unit) for unit in units))

    def _source(self, step: int) -> Source:
        return source_at(self._phase.mixture, draws=self._phase.draws, step=step)


def step_seed(purpose: str, draws: str, step: int, rank: int = 0) -> int:
    """A seed that differs for every purpose, step and worker, so that no generator state is
    stored."""
    return random.Random(f"{purpose}:{draws}:{step}:{rank}").getrandbits(63)


class Batches:
    """The endless sequence of global batches of one source.

    An epoch is a permutation of the units, drawn from (seed, epoch). It is cut into pools. Each
    pool is sorted by length and cut into batches within both limits; then the batches are shuffled.
    A unit is what must stay together: a row with all its choices, otherwise one sequence. All units
    of a batch have the same number of sequences, and its last unit is the longest.
    """

    def __init__(
        self,
        features: Features,
        kind: TaskKind,
        *,
        batch_size: int,
        max_batch_tokens: int | None,
        seed: str,
    ) -> None:
        self._units = units_of(features, kind)
        lengths = features.input_ids.lengths
        self._lengths = np.array([lengths[unit].max() for unit in self._units])
        self._sizes = np.array([len(unit) for unit in self._units])
        self._batch_size = batch_size
        self._max_tokens = max_batch_tokens
        self._seed = seed
        self._epochs: list[list[list[int]]] = []

    def __getitem__(self, index: int) -> list[list[int]]:
        """The units (lists of sequences) of batch `index`, counted over all epochs."""
        for epoch in range(index + 1):
            if epoch == len(self._epochs):
                self._epochs.append(self._epoch(epoch))
            if index < len(self._epochs[epoch]):
                return [self._units[u] for u in self._epochs[epoch][index]]
            index -= len(self._epochs[epoch])
        raise AssertionError("an epoch has at least one batch")

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng(np.frombuffer(f"{self._seed}:{epoch}".encode(), np.uint8))
        order = rng.permutation(len(self._units))
        batches: list[list[int]] = []
        pool_size = self._batch_size * POOL_BATCHES
        for start in range(0, len(order), pool_size):
            pool = order[start : start + pool_size]
            pool = pool[np.lexsort((self._lengths[pool], self._sizes[pool]))]
            batches.extend(self._cut(pool))
        rng.shuffle(batches)
        return batches

    def _cut(self, pool: npt.NDArray[np.int64]) -> Iterator[list[int]]:
        batch: list[int] = []
        for unit in pool.tolist():
            tokens = int(self._lengths[unit] * self._sizes[unit]) * (len(batch) + 1)
            full = len(batch) == self._batch_size
            over = self._max_tokens is not None and tokens > self._max_tokens
            if batch and (full or over or self._sizes[unit] != self._sizes[batch[0]]):
                yield batch
                batch = []
            batch.append(unit)
        if batch:
            yield batch


def units_of(features: Features, kind: TaskKind) -> list[list[int]]:
    """The sequences that must stay in one micro-batch, in order."""
    if kind is not TaskKind.CHOICE:
        return [[sequence] for sequence in range(len(features))]
    units: list[list[int]] = []
    for sequence, row in enumerate(features.example.tolist()):
        if units and features.example[units[-1][0]] == row:
            units[-1].append(sequence)
        else:
            units.append([sequence])
    return units


def by_length(
    lengths: npt.NDArray[np.int64], units: Sequence[list[int]], *, max_tokens: int
) -> list[list[int]]:
    """Units in batches of at most `max_tokens` padded tokens, the longest first: if any batch runs
    out of memory, the first one does. A unit over the limit is a batch alone."""
    widest = [int(lengths[unit].max()) for unit in units]
    order = sorted(range(len(units)), key=lambda u: (-widest[u], u))
    batches: list[list[int]] = []
    width = count = 0
    for u in order:
        if not batches or width * (count + len(units[u])) > max_tokens:
            batches.append([])
            width, count = widest[u], 0
        batches[-1].extend(units[u])
        count += len(units[u])
    return batches


def shard(
    batch: Batch, sizes: Sequence[int], *, rank: int, size: int, max_tokens: int
) -> list[Batch]:
    """A worker's part of a global batch, in micro-batches of at most `max_tokens` padded tokens.

    `sizes` are the numbers of sequences of the units. Units are dealt to the workers in turn. A
    worker without a unit gets an empty list; it must still take part in the reduction.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)])
    lengths = batch.attention_mask.sum(dim=1).numpy()
    units = [list(range(starts[u], starts[u + 1])) for u in range(rank, len(sizes), size)]
    return [select_rows(batch, part) for part in by_length(lengths, units, max_tokens=max_tokens)]


def select_rows(batch: Batch, chosen: Sequence[int]) -> Batch:
    """The chosen rows of a batch, cut to the longest of them."""
    index = list(chosen)
    length = int(batch.attention_mask[index].sum(dim=1).max())
    wide = batch.labels.shape[1] == batch.input_ids.shape[1]
    labels = batch.labels[index]
    return replace(
        batch,
        input_ids=batch.input_ids[index, :length],
        attention_mask=batch.attention_mask[index, :length],
        token_type_ids=batch.token_type_ids[index, :length],
        labels=labels[:, :length] if wide else labels,
    )
