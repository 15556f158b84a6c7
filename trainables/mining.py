"""Mining translation pairs from two corpora by vectors: the margin criterion, and its scores.

Sources: Artetxe and Schwenk 2019 (margin-based mining, ratio, k neighbours in both directions) and
XTREME's BUCC script (google-research/xtreme, third_party/utils_retrieve.py: retrieval `max`, k = 4,
the threshold that is best on the development pairs). Pure; no torch.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_NEIGHBOURS = 4
QUERIES_AT_ONCE, CANDIDATES_AT_ONCE = 1024, 8192

Vectors = npt.NDArray[np.float32]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Of each query its nearest candidates, best first: cosines and places, both [Q, k]."""

    cosines: npt.NDArray[np.float32]
    places: npt.NDArray[np.int64]

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        mean: npt.NDArray[np.float32] = self.cosines.mean(axis=1, dtype=np.float32)
        return mean


def neighbours(queries: Vectors, candidates: Vectors, *, num: int = NUM_NEIGHBOURS) -> Neighbours:
    """The `num` candidates [C, H] of highest cosine for each query [Q, H].

    Similarities are made in blocks, so that memory beside the result does not grow with the
    corpora. Fewer candidates than `num` are all taken. ValueError where there are none.
    """
    if len(candidates) == 0:
        raise ValueError("no candidates to mine from")
    num = min(num, len(candidates))
    cosines = np.empty((len(queries), num), np.float32)
    places = np.empty((len(queries), num), np.int64)
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        some = slice(start, start + QUERIES_AT_ONCE)
        cosines[some], places[some] = _best(_unit(queries[some]), candidates, num)
    return Neighbours(cosines, places)


def _best(
    queries: Vectors, candidates: Vectors, num: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Cosines and places of the best candidates, kept while the candidates pass by in blocks."""
    best = np.empty((len(queries), 0), np.float32)
    places = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(candidates), CANDIDATES_AT_ONCE):
        cosines = queries @ _unit(candidates[start : start + CANDIDATES_AT_ONCE]).T
        few = min(num, cosines.shape[1])
        here = np.argpartition(-cosines, few - 1, axis=1)[:, :few]
        best = np.concatenate([best, np.take_along_axis(cosines, here, axis=1)], axis=1)
        places = np.concatenate([places, here + start], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :num]
        best = np.take_along_axis(best, order, axis=1)
        places = np.take_along_axis(places, order, axis=1)
    return best, places


def mine(texts: Vectors, pivots: Vectors) -> list[tuple[int, int, float]]:
    """(text, pivot, margin) of the pairs that are found, best first, every sentence in one at most.

    A candidate's margin is its cosine over the mean of both sides' mean cosines with their
    neighbours. Every sentence of either corpus proposes its candidate of the highest margin; the
    proposals are taken in the order of their margins.
    """
    forward, backward = neighbours(texts, pivots), neighbours(pivots, texts)
    of_texts, to_pivots = _proposals(forward, backward.mean)
    of_pivots, to_texts = _proposals(backward, forward.mean)
    first = np.concatenate([np.arange(len(texts)), to_texts])
    second = np.concatenate([to_pivots, np.arange(len(pivots))])
    margins = np.concatenate([of_texts, of_pivots])
    found, used, used_pivots = [], set(), set()
    for place in np.argsort(-margins, kind="stable").tolist():
        text, pivot = int(first[place]), int(second[place])
        if text not in used and pivot not in used_pivots:
            used.add(text)
            used_pivots.add(pivot)
            found.append((text, pivot, float(margins[place])))
    return found


def _proposals(
    near: Neighbours, their_mean: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The highest margin of each query and whose it is."""
    margins = near.cosines / ((near.mean[:, None] + their_mean[near.places]) / 2)
    best = margins.argmax(axis=1)
    rows = np.arange(len(best))
    return margins[rows, best], near.places[rows, best]


def best_threshold(margins: Mapping[Pair, float], gold: Set[Pair]) -> float:
    """The margin from which on pairs are taken, for the highest F1 against the gold pairs: half way
    to the next lower margin. Without any right pair it is infinite, and nothing is taken."""
    ranked = sorted(margins.items(), key=lambda item: -item[1])
    best, threshold, num_right = 0.0, float("inf"), 0
    for place, (pair, margin) in enumerate(ranked, start=1):
        num_right += pair in gold
        f1 = 2 * num_right / (place + len(gold))
        if f1 > best:
            lower = ranked[place][1] if place < len(ranked) else margin
            best, threshold = f1, (margin + lower) / 2
    return threshold


def pair_scores(mined: Set[Pair], gold: Set[Pair]) -> dict[str, float]:
    """`f1`, `precision` and `recall` of mined pairs, 0 where none is right. Source: BUCC's shared
    task (Zweigenbaum et al. 2018), as XTREME's evaluate.py. ValueError without gold pairs."""
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
