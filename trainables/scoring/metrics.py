"""Metrics: pure functions of predictions and gold values, with results in [0, 1]. No torch."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trainables.scoring.normalization import normalize

_QUERIES_AT_ONCE = 1024  # bounds the similarity matrix of `nearest`

_PREFIXES = ("B", "I", "E", "S", "O", ".")  # of a span, without a type

MIN_PREDICTED, MIN_WRONG = 0.99, 0.95  # shares of rows, for `collapsed_to`

T = TypeVar("T", bound=Hashable)
Normalize = Callable[[str], str]
Counts = tuple[int, int, int]  # right, predicted, gold


def accuracy(predictions: Sequence[Hashable], golds: Sequence[Hashable]) -> float:
    """The share of predictions that equal the gold value. Source: GLUE and XTREME score pairs and
    choices by it. Raises ValueError without rows."""
    _refuse_unequal(len(predictions), len(golds))
    return sum(p == g for p, g in zip(predictions, golds, strict=True)) / len(golds)


def collapsed_to(predictions: Sequence[T], golds: Sequence[Hashable]) -> T | None:
    """The label that a model predicts whatever the gold label is; None where it has not collapsed.

    The label is predicted for at least 99 % of all rows, and for at least 95 % of the rows with
    another gold label. The second condition follows from the first where the most common gold label
    has at most 80 %. It separates a model that predicts a common label too often from one that
    finds the rare labels: where 99.5 % of the gold labels are equal, so are 99.5 % of the right
    predictions. Where all gold labels and predictions are one label, no row could show a collapse,
    and the result is None.
    """
    _refuse_unequal(len(predictions), len(golds))
    label, count = Counter(predictions).most_common(1)[0]
    on_others = [p == label for p, gold in zip(predictions, golds, strict=True) if gold != label]
    if count < MIN_PREDICTED * len(predictions) or not on_others:
        return None
    return label if sum(on_others) >= MIN_WRONG * len(on_others) else None


def tag_accuracy(predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]) -> float:
    """The share of words with the right tag, over all sentences. Source: the UPOS accuracy of
    Universal Dependencies."""
    return micro_f1(tag_counts(predictions, golds))


def tag_counts(
    predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]
) -> list[Counts]:
    """Per sentence the words with the right tag, and twice the number of words: their `micro_f1` is
    the accuracy."""
    _refuse_unequal(len(predictions), len(golds))
    right = [
        sum(p == g for p, g in zip(*rows, strict=True))
        for rows in zip(predictions, golds, strict=True)
    ]
    if not any(golds):
        raise ValueError("no words to score")
    return [(hits, len(words), len(words)) for hits, words in zip(right, golds, strict=True)]


def micro_f1(counts: Sequence[Counts]) -> float:
    """2pr / (p + r) with p = right / predicted and r = right / gold, each summed over the rows; 0
    where nothing is predicted and nothing is gold."""
    right, predicted, gold = (sum(column) for column in zip(*counts, strict=True))
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


def has_cut_types(labels: Sequence[str]) -> bool:
    """Whether two types of these tags are one without the first letter of what has no prefix (CCONJ
    and SCONJ; X and the gap between sentences). Then `span_f1` and seqeval's number differ."""
    types = {_type(tag): _cut_type(tag) for tag in (*labels, "O")}
    return len(set(types.values())) < len(types)


def span_f1(
    predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]], *, cut: bool = False
) -> float:
    """Micro F1 over labelled spans; 0 where there is no span at all.

    A tag with a prefix (`B-PER`) has the type after it. A tag without one (`NOUN`) is its own type,
    and its first letter counts as the prefix as well, so that runs of an equal tag merge, unless it
    is a `B`, `I`, `E` or `S` and is read as a chunk's begin, inside, end or single.

    Sources: `seqeval.metrics.f1_score` in its default mode, which follows the CoNLL-2000 script
    `conlleval`. XTREME scores POS with it too, by seqeval 0.0.12 (google-research/xtreme,
    install_tools.sh and evaluate_test.py).

    Args:
        cut: take the first letter off a type without prefix, as seqeval does from 0.0.16 on, so
            that CCONJ and SCONJ are one type.
    """
    return micro_f1(span_counts(predictions, golds, cut=cut))


def span_counts(
    predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]], *, cut: bool = False
) -> list[Counts]:
    """The right, predicted and gold spans of each sentence, counted as in `span_f1`."""
    _refuse_unequal(len(predictions), len(golds))
    for predicted, gold in zip(predictions, golds, strict=True):
        if len(predicted) != len(gold):
            raise ValueError(f"{len(predicted)} predicted tags for a sentence of {len(gold)} words")
    predicted_spans, gold_spans = _spans(predictions, cut=cut), _spans(golds, cut=cut)
    ends = list(accumulate(len(tags) + 1 for tags in golds))
    # A span belongs to the sentence of its last word: a malformed one may begin in an earlier one.
    right_by_row, predicted_by_row, gold_by_row = (
        Counter(bisect_right(ends, last) for _, _, last in spans)
        for spans in (predicted_spans & gold_spans, predicted_spans, gold_spans)
    )
    return [
        (right_by_row[row], predicted_by_row[row], gold_by_row[row]) for row in range(len(golds))
    ]


def _spans(sentences: Sequence[Sequence[str]], *, cut: bool) -> set[tuple[str, int, int]]:
    """(type, first word, last word) of every span. Words are counted over all sentences, with a gap
    between two sentences.

    `first` is deliberately kept when a span ends: a malformed tag may end a span twice, and
    conlleval counts both.
    """
    words = [tag for sentence in sentences for tag in (*sentence, "O")]
    spans = set()
    last_part, last_type, first = "O", "", 0
    for i, word in enumerate([*words, "O"]):
        part, kind = word[0], _cut_type(word) if cut else _type(word)
        other = kind != last_type
        ends = (
            last_part in "ES"
            or (last_part in "BI" and part in "BSO")
            or (last_part not in "O." and other)
        )
        begins = (
            part in "BS" or (last_part in "ESO" and part in "EI") or (part not in "O." and other)
        )
        if ends:
            spans.add((last_type, first, i - 1))
        if begins:
            first = i
        last_part, last_type = part, kind
    return spans


def _type(tag: str) -> str:
    """What follows the prefix, `_` if nothing does; the tag itself where it has no prefix."""
    return _cut_type(tag) if tag[1:2] == "-" or tag in _PREFIXES else tag


def _cut_type(tag: str) -> str:
    """What follows the prefix, or the first letter of a tag without prefix."""
    return tag[1:].split("-", maxsplit=1)[-1] or "_"


def exact_match(
    prediction: str, golds: Sequence[str], *, normalize: Normalize = normalize
) -> float:
    """1 if the prediction equals a gold answer after `normalize`, else 0.

    A row without gold answers is unanswerable, and the empty prediction is right. Sources: the
    evaluation scripts of SQuAD v1.1 and, for unanswerable rows, v2.0; MLQA's script with its
    normalisation.
    """
    normalized = normalize(prediction)
    return float(any(normalized == normalize(gold) for gold in golds) if golds else not normalized)


def token_f1(prediction: str, golds: Sequence[str], *, normalize: Normalize = normalize) -> float:
    """The best F1 over the gold answers' bags of white-space tokens, after `normalize`.

    Without gold answers it is 1 for the empty prediction, else 0. As in the script of SQuAD v1.1, a
    gold answer that `normalize` leaves empty (`%`) matches no prediction. Sources: those of
    `exact_match`.
    """
    if not golds:
        return exact_match(prediction, golds, normalize=normalize)
    predicted_tokens = Counter(normalize(prediction).split())
    best = 0.0
    for gold in golds:
        gold_tokens = Counter(normalize(gold).split())
        shared = (predicted_tokens & gold_tokens).total()
        if shared:
            best = max(best, 2 * shared / (predicted_tokens.total() + gold_tokens.total()))
    return best


def qa_score(f1: float, exact: float) -> float:
    """XTREME's score of a question answering task: the mean of F1 and exact match. Source:
    google-research/xtreme, evaluate.py."""
    return (f1 + exact) / 2


def nearest(
    queries: npt.NDArray[np.float32], candidates: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """The index of the candidate [C, H] with the highest cosine for each query [Q, H]: [Q]. The
    first one wins a tie.

    Source: XTREME's Tatoeba script searches by L2 distance between normalised vectors, which gives
    the same order. A zero vector has cosine 0 with every vector. Raises ValueError without
    candidates.
    """
    if len(candidates) == 0:
        raise ValueError("no candidates to retrieve from")
    directions = _unit(candidates).T
    best = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        rows = slice(start, start + _QUERIES_AT_ONCE)
        best[rows] = (_unit(queries[rows]) @ directions).argmax(axis=1)
    return best


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    single = vectors.astype(np.float32, copy=False)
    norms = np.sqrt(np.square(single).sum(axis=1, keepdims=True, dtype=np.float32))
    norms[norms == 0] = 1
    unit: npt.NDArray[np.float32] = single / norms
    return unit


def _refuse_unequal(num_predictions: int, num_golds: int) -> None:
    if num_predictions != num_golds:
        raise ValueError(f"{num_predictions} predictions for {num_golds} gold values")
    if num_golds == 0:
        raise ValueError("no rows to score")
