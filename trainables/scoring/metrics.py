"""What is measured: pure functions over predictions and gold, all results in [0, 1]. No torch."""

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

SAID, MISSED = 0.99, 0.95  # shares of `collapsed_to`

T = TypeVar("T", bound=Hashable)
Normalize = Callable[[str], str]
Counts = tuple[int, int, int]  # right, predicted, gold


def accuracy(predictions: Sequence[Hashable], golds: Sequence[Hashable]) -> float:
    """Share of equal pairs. Source: GLUE and XTREME score pairs and choices by it."""
    _refuse_unequal(len(predictions), len(golds))
    return sum(p == g for p, g in zip(predictions, golds, strict=True)) / len(golds)


def collapsed_to(predictions: Sequence[T], golds: Sequence[Hashable]) -> T | None:
    """The label that a model says whatever the gold one is; None where it has not collapsed.

    It is said of 99 % of the rows or more, and of 95 % or more of those that have another gold
    label. Where the commonest gold label has 80 % or less, the second follows from the first; it
    is what tells a model that says a common label too often from one that finds the rare ones: of
    99.5 % equal labels, the right answers are 99.5 % one label too. Where only one label is gold
    and said, there is nothing that could have been missed.
    """
    _refuse_unequal(len(predictions), len(golds))
    label, count = Counter(predictions).most_common(1)[0]
    of_others = [
        said == label for said, gold in zip(predictions, golds, strict=True) if gold != label
    ]
    if count < SAID * len(predictions) or not of_others:
        return None
    return label if sum(of_others) >= MISSED * len(of_others) else None


def tag_accuracy(predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]) -> float:
    """Share of words with the right tag, over all sentences. Source: UD's UPOS accuracy."""
    return micro_f1(tag_counts(predictions, golds))


def tag_counts(
    predictions: Sequence[Sequence[str]], golds: Sequence[Sequence[str]]
) -> list[Counts]:
    """Words of each sentence with the right tag, and twice its words: `micro_f1` of these is the
    accuracy."""
    _refuse_unequal(len(predictions), len(golds))
    right = [
        sum(p == g for p, g in zip(*rows, strict=True))
        for rows in zip(predictions, golds, strict=True)
    ]
    if not any(golds):
        raise ValueError("no words to score")
    return [(hits, len(words), len(words)) for hits, words in zip(right, golds, strict=True)]


def micro_f1(counts: Sequence[Counts]) -> float:
    """2pr / (p + r) with p = right / predicted and r = right / gold, all summed over the rows; 0
    where nothing is predicted and nothing gold."""
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
    """Right, predicted and gold spans of each sentence, as `span_f1` counts them."""
    _refuse_unequal(len(predictions), len(golds))
    for predicted, gold in zip(predictions, golds, strict=True):
        if len(predicted) != len(gold):
            raise ValueError(f"{len(predicted)} predicted tags for a sentence of {len(gold)} words")
    said, meant = _spans(predictions, cut=cut), _spans(golds, cut=cut)
    ends = list(accumulate(len(tags) + 1 for tags in golds))
    # A span lies where its last word does: a malformed one may begin in a sentence before.
    found = [
        Counter(bisect_right(ends, last) for _, _, last in spans)
        for spans in (said & meant, said, meant)
    ]
    right, predicted_, gold_ = found
    return [(right[row], predicted_[row], gold_[row]) for row in range(len(golds))]


def _spans(sentences: Sequence[Sequence[str]], *, cut: bool) -> set[tuple[str, int, int]]:
    """(type, first word, last word); words are counted over all sentences, a gap between two.

    `first` is deliberately kept when a span ends: a malformed tag may end a span twice, and
    conlleval then counts both.
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
    """1 if the prediction is one of the gold answers after `normalize`, else 0.

    No gold answers: the row is unanswerable, and the empty prediction is right. Sources: the
    evaluation scripts of SQuAD v1.1 and, for unanswerable rows, v2.0; MLQA's with its own rules.
    """
    said = normalize(prediction)
    return float(any(said == normalize(gold) for gold in golds) if golds else not said)


def token_f1(prediction: str, golds: Sequence[str], *, normalize: Normalize = normalize) -> float:
    """The best F1 over the gold answers' bags of white-space tokens, after `normalize`.

    No gold answers: 1 for the empty prediction, else 0. As in the script of SQuAD v1.1, a gold
    answer of which `normalize` leaves nothing (`%`) matches no prediction here. Sources: as
    `exact_match`.
    """
    if not golds:
        return exact_match(prediction, golds, normalize=normalize)
    said = Counter(normalize(prediction).split())
    best = 0.0
    for gold in golds:
        meant = Counter(normalize(gold).split())
        shared = (said & meant).total()
        if shared:
            best = max(best, 2 * shared / (said.total() + meant.total()))
    return best


def qa_score(f1: float, exact: float) -> float:
    """What XTREME counts of a question answering task: the mean of F1 and exact match. Source:
    google-research/xtreme, evaluate.py."""
    return (f1 + exact) / 2


def nearest(
    queries: npt.NDArray[np.float32], candidates: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """For each query [Q, H] the index of the candidate [C, H] of highest cosine; ties: the first.

    Source: XTREME's Tatoeba script searches by L2 distance between normalised vectors, which
    orders alike. A zero vector has cosine 0 with everything.
    """
    if len(candidates) == 0:
        raise ValueError("no candidates to retrieve from")
    directions = _unit(candidates).T
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        some = slice(start, start + _QUERIES_AT_ONCE)
        found[some] = (_unit(queries[some]) @ directions).argmax(axis=1)
    return found


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
