"""Turns texts into token ids, cuts them to length and joins them with the special tokens of the
tokenizer.

Segments are tokenised once, without special tokens, and cut as ids. Text that is cut and then
tokenised again may become longer than the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from trainables.formats.base import Features, Ints, Ragged

Ids = list[int]
Segments = tuple[Ids, Ids | None]


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one segment (`head`, `tail`), and around and between two
    segments."""

    head: Ids
    tail: Ids
    pair_head: Ids
    middle: Ids
    pair_tail: Ids

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "Template":
        """The template of a tokenizer, read from one encoded word and one encoded pair of words."""
        alone, pair = tokenizer("a"), tokenizer("a", "a")
        first, past = _bounds(alone.sequence_ids(0), segment=0)
        pair_first, pair_past = _bounds(pair.sequence_ids(0), segment=0)
        second_first, second_past = _bounds(pair.sequence_ids(0), segment=1)
        ids, pair_ids = list(alone["input_ids"]), list(pair["input_ids"])
        return cls(
            head=ids[:first],
            tail=ids[past:],
            pair_head=pair_ids[:pair_first],
            middle=pair_ids[pair_past:second_first],
            pair_tail=pair_ids[second_past:],
        )

    def room(self, max_length: int, *, pair: bool) -> int:
        """The number of tokens left for the texts. Raises ValueError where it is less than one per
        text."""
        special = len(self.head) + len(self.tail)
        if pair:
            special = len(self.pair_head) + len(self.middle) + len(self.pair_tail)
        least = special + 1 + pair
        if max_length < least:
            raise ValueError(f"max_length {max_length} leaves no room for text: at least {least}")
        return max_length - special

    def join(self, first: Ids, second: Ids | None) -> tuple[Ids, int]:
        """The whole sequence, and the index of its second segment (its length where there is
        none)."""
        if second is None:
            whole = [*self.head, *first, *self.tail]
            return whole, len(whole)
        before = [*self.pair_head, *first, *self.middle]
        return [*before, *second, *self.pair_tail], len(before)


def _bounds(segments: Sequence[int | None], *, segment: int) -> tuple[int, int]:
    """The first and the past-last index of a segment's tokens."""
    indices = [i for i, other in enumerate(segments) if other == segment]
    if not indices:
        raise ValueError("the tokenizer gives no token for the letter 'a': it needs an unk_token")
    return indices[0], indices[-1] + 1


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Ids]:
    """The token ids of each text, uncut and without special tokens, in one call.

    Equal texts are tokenised once and share one list: a parallel text occurs in many rows.
    """
    if not texts:
        return []
    index = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    encoded = tokenizer(
        list(index),
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # no warning about texts longer than the model reads: they are cut later
    )
    ids: list[Ids] = encoded["input_ids"]
    return [ids[index[text]] for text in texts]


def tokenize_optional(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str | None]
) -> list[Ids | None]:
    """Like `tokenize`, with None for a missing text."""
    ids = iter(tokenize(tokenizer, [text for text in texts if text is not None]))
    return [None if text is None else next(ids) for text in texts]


def cut_longest(first: Ids, second: Ids | None, template: Template, max_length: int) -> Segments:
    """Cut the ends of both segments until they fit, always of the longer one (`longest_first`)."""
    room = template.room(max_length, pair=second is not None)
    if second is None:
        return first[:room], None
    half = room // 2
    if len(first) <= len(second):
        kept = len(first) if len(first) <= half else half
        return first[:kept], second[: room - kept]
    kept = len(second) if len(second) <= half else half
    return first[: room - kept], second[:kept]


def build_features(
    template: Template,
    segments: Sequence[Segments],
    *,
    labels: Sequence[Sequence[int]],
    example: npt.NDArray[np.int32],
    num_truncated: int,
) -> Features:
    """Features without origins, from segments that fit already."""
    joined = [template.join(first, second) for first, second in segments]
    return Features(
        input_ids=Ragged.of([ids for ids, _ in joined]),
        second=np.asarray([second for _, second in joined], np.int32),
        example=example,
        labels=Ragged.of(labels),
        origins=Ragged.of([()] * len(joined)),
        num_truncated=num_truncated,
    )


def count_shorter(segments: Sequence[Segments], whole: Sequence[Segments]) -> int:
    """The number of rows that lost tokens."""
    return sum(_num_ids(cut) < _num_ids(row) for cut, row in zip(segments, whole, strict=True))


def _num_ids(segments: Segments) -> int:
    first, second = segments
    return len(first) + len(second or ())


def ragged_of_arrays(rows: Sequence[Ints]) -> Ragged:
    """`Ragged.of` for rows that are arrays, without a Python loop over their values."""
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    values = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    return Ragged(values.astype(np.int32, copy=False), offsets)
