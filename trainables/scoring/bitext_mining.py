"""Mining translation pairs from two corpora by their vectors: the margin criterion, and its scores.

Sources: Artetxe and Schwenk 2019 (margin-based mining, ratio margin, k neighbours in both
directions) and XTREME's BUCC script (google-research/xtreme, third_party/utils_retrieve.py:
retrieval `max`, k = 4, the threshold that is best on the development pairs). Pure functions without
torch.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_NEIGHBOURS = 4
TEXTS_AT_ONCE, PIVOTS_AT_ONCE = 2048, 4096

Vectors = npt.NDArray[np.float32]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest sentences in the other corpus for each sentence, best first: their cosines and
    their indices, both [sentences, k]."""

    cosines: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int64]

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """The mean cosine of each sentence with its neighbours: [sentences]."""
        mean: npt.NDArray[np.float32] = self.cosines.mean(axis=1, dtype=np.float32)
        return mean


def neighbours(
    texts: Vectors, pivots: Vectors, *, num: int = NUM_NEIGHBOURS
) -> tuple[Neighbours, Neighbours]:
    """The `num` pivots [P, H] of highest cosine for each text [T, H], and the `num` texts for each
    pivot.

    Cosines are computed in blocks, each once for both directions, so that memory beside the result
    does not grow with the corpora. A side with fewer than `num` sentences gives all of them. Raises
    ValueError where a side has none.
    """
    if not len(texts) or not len(pivots):
        raise ValueError(f"{len(texts)} texts and {len(pivots)} pivots: nothing to mine from")
    forward = _start(len(texts), min(num, len(pivots)))
    backward = _start(len(pivots), min(num, len(texts)))
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        text_rows = slice(first, first + TEXTS_AT_ONCE)
        block = _unit(texts[text_rows])
        for first_pivot in range(0, len(pivots), PIVOTS_AT_ONCE):
            pivot_rows = slice(first_pivot, first_pivot + PIVOTS_AT_ONCE)
            cosines = block @ _unit(pivots[pivot_rows]).T
            _keep_best(forward, text_rows, cosines, first_pivot)
            _keep_best(backward, pivot_rows, cosines.T, first)
    return forward, backward


def _start(count: int, num: int) -> Neighbours:
    return Neighbours(np.full((count, num), -np.inf, np.float32), np.zeros((count, num), np.int64))


def _keep_best(near: Neighbours, rows: slice, cosines: Vectors, first: int) -> None:
    """Keep the best of the candidates that these rows have and of new ones; the first new one has
    the index `first`."""
    num = near.cosines.shape[1]
    row, column = _candidates(near.cosines[rows][:, -1:], cosines, num)
    values = np.concatenate([near.cosines[rows].ravel(), cosines[row, column]])
    indices = np.concatenate([near.indices[rows].ravel(), column + first])
    row = np.concatenate([np.repeat(np.arange(len(cosines)), num), row])
    order = np.lexsort((indices, -values, row))
    row = row[order]
    rank = np.arange(len(row)) - np.searchsorted(
        row, row
    )  # within the row, which has at least `num`
    best = order[rank < num]
    near.cosines[rows] = values[best].reshape(-1, num)
    near.indices[rows] = indices[best].reshape(-1, num)


def _candidates(
    worst: Vectors, cosines: Vectors, num: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows and columns of cosines that may be among a row's `num` best; `worst` is the last of
    its best so far. Cosines that are no better are skipped unsorted; after a few blocks these are
    nearly all."""
    if np.isneginf(worst).any():  # the first block
        num_best = min(num, cosines.shape[1])
        columns = np.argpartition(cosines, -num_best, axis=1)[:, -num_best:]
        return np.repeat(np.arange(len(cosines)), num_best), columns.ravel()
    if cosines.flags.c_contiguous:
        row, column = np.divmod(np.flatnonzero(cosines > worst), cosines.shape[1])
    else:  # transposed: searched in the order of memory
        column, row = np.divmod(np.flatnonzero(cosines.T > worst.T), len(cosines))
    return row, column


def mine(texts: Vectors, pivots: Vectors) -> list[tuple[int, int, float]]:
    """(text, pivot, margin) of the mined pairs, best first. Every sentence is in at most one pair.

    The margin of a candidate is its cosine divided by the mean of both sides' mean cosines with
    their neighbours. Every sentence of both corpora proposes its candidate of the highest margin.
    Proposals are accepted in the order of their margins.
    """
    forward, backward = neighbours(texts, pivots)
    of_texts, to_pivots = _proposals(forward, backward.mean)
    of_pivots, to_texts = _proposals(backward, forward.mean)
    first = np.concatenate([np.arange(len(texts)), to_texts])
    second = np.concatenate([to_pivots, np.arange(len(pivots))])
    margins = np.concatenate([of_texts, of_pivots])
    pairs, used, used_pivots = [], set(), set()
    for proposal in np.argsort(-margins, kind="stable").tolist():
        text, pivot = int(first[proposal]), int(second[proposal])
        if text not in used and pivot not in used_pivots:
            used.add(text)
            used_pivots.add(pivot)
            pairs.append((text, pivot, float(margins[proposal])))
    return pairs


def _proposals(
    near: Neighbours, their_mean: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The highest margin of each sentence, and the index of the sentence that it is with."""
    margins = near.cosines / ((near.mean[:, None] + their_mean[near.indices]) / 2)
    best = margins.argmax(axis=1)
    rows = np.arange(len(best))
    return margins[rows, best], near.indices[rows, best]


def best_threshold(margins: Mapping[Pair, float], gold: Set[Pair]) -> float:
    """The margin from which pairs are accepted, for the highest F1 against the gold pairs: half way
    to the next lower margin. Without any right pair it is 0, and all pairs are accepted, as in
    XTREME's script (third_party/utils_retrieve.py, bucc_optimize)."""
    ranked = sorted(margins.items(), key=lambda item: -item[1])
    best, threshold, num_right = 0.0, 0.0, 0
    for num_mined, (pair, margin) in enumerate(ranked, start=1):
        num_right += pair in gold
        f1 = 2 * num_right / (num_mined + len(gold))
        if f1 > best:
            lower = ranked[num_mined][1] if num_mined < len(ranked) else margin
            best, threshold = f1, (margin + lower) / 2
    return threshold


def pair_scores(mined: Set[Pair], gold: Set[Pair]) -> dict[str, float]:
    """`f1`, `precision` and `recall` of mined pairs; 0 where none is right. Source: BUCC's shared
    task (Zweigenbaum et al. 2018), as in XTREME's evaluate.py. Raises ValueError without gold
    pairs."""
    if not gold:
        raise ValueError("no gold pairs to score by")
    num_right = len(mined & gold)
    precision = num_right / len(mined) if mined else 0.0
    recall = num_right / len(gold)
    return {
        "f1": 2 * num_right / (len(mined) + len(gold)),
        "precision": precision,
        "recall": recall,
    }


def _unit(vectors: Vectors) -> Vectors:
    single = vectors.astype(np.float32, copy=False)
    norms = np.linalg.norm(single, axis=1, keepdims=True)
    norms[norms == 0] = 1
    unit: Vectors = single / norms
    return unit
