"""Extractive question answering over windows of the context.

labels[s] is [start, end, context start, context end + 1], all as token indices in the sequence.
start and end are the first and last token of the first answer, or 0 and 0: the first token stands
for "no answer in this window".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from spaces.refusal import shown
from spaces.tasks.task import AnswerRules, Task
from trainables.examples import Answer, SpanExample
from trainables.formats import encoding, refusals
from trainables.formats.base import Batch, Features, Format, Ints, Judgement, Ragged, RowError
from trainables.formats.heads import fresh_linear, split_by_length, to_numpy, width_of
from trainables.scoring import metrics, outcomes
from trainables.scoring.normalization import mlqa_normalizer, normalize

_NO_ANSWER = (0, 0)


@dataclass(frozen=True, slots=True)
class _Context:
    """The tokens of a context. Token i covers the characters from `first[i]` to before `past[i]`,
    without white space around them (XLM-R's tokens include the space before a word); both are -1
    where nothing is left."""

    ids: encoding.Ids
    first: Ints
    past: Ints

    def tokens_of(self, answer: Answer) -> tuple[int, int] | None:
        """The first and the last token that hold characters of the answer; None where no token
        does."""
        end = answer.start + len(answer.text)
        (touched,) = np.nonzero((self.first >= 0) & (self.past > answer.start) & (self.first < end))
        return (int(touched[0]), int(touched[-1])) if len(touched) else None


class SpanFormat(Format[SpanExample, str]):
    """One sequence per window. A prediction is a piece of the context.

    `overlap` is the number of tokens that two neighbouring windows share (None: a quarter of
    `max_length`). `max_answer_tokens` is the longest span that decoding considers. With
    `may_abstain` the empty answer wins where "no answer" scores above every span in every window of
    the row (SQuAD v2.0).
    """

    example_type = SpanExample

    def __init__(
        self,
        *,
        overlap: int | None = None,
        max_answer_tokens: int = 30,
        may_abstain: bool = False,
    ) -> None:
        self.overlap = overlap
        self.max_answer_tokens = max_answer_tokens
        self.may_abstain = may_abstain

    def check(self, example: SpanExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, SpanExample)
        refusals.refuse_empty(example.question, task, example.id, field="question")
        refusals.refuse_empty(example.context, task, example.id, field="context")
        for i, answer in enumerate(example.answers):
            refusals.refuse_empty(answer.text, task, example.id, field=f"answers[{i}]")
            past = answer.start + len(answer.text)
            if answer.start < 0 or example.context[answer.start : past] != answer.text:
                raise RowError(task, example.id, _wrong_start(example.context, answer, i))

    def encode(
        self,
        examples: Sequence[SpanExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Windows of rows that passed `check`. A question keeps at most half of `max_length`
        tokens."""
        template = encoding.Template.of(tokenizer)
        room = template.room(max_length, pair=True)
        questions = encoding.tokenize(tokenizer, [example.question for example in examples])
        contexts = _tokenize_contexts(tokenizer, {example.context for example in examples})
        input_ids, second, row_of, labels, origins = [], [], [], [], []
        num_truncated = 0
        for row, (example, whole) in enumerate(zip(examples, questions, strict=True)):
            question = whole[: min(max_length // 2, room - 1)]
            num_truncated += len(question) < len(whole)
            context = contexts[example.context]
            answer = context.tokens_of(example.answers[0]) if example.answers else None
            for window in self._windows(len(context.ids), room - len(question), max_length):
                ids, start = template.join(question, context.ids[window])
                past = start + window.stop - window.start
                input_ids.append(ids)
                second.append(start)
                row_of.append(row)
                labels.append((*_inside(answer, window, start), start, past))
                spans = np.full((len(ids), 2), -1, np.int32)
                spans[start:past, 0] = context.first[window]
                spans[start:past, 1] = context.past[window]
                origins.append(spans.ravel())
        return Features(
            input_ids=Ragged.of(input_ids),
            second=np.asarray(second, np.int32),
            example=np.asarray(row_of, np.int32),
            labels=Ragged.of(labels),
            origins=encoding.ragged_of_arrays(origins),
            num_truncated=num_truncated,
        )

    def _windows(self, num_tokens: int, width: int, max_length: int) -> list[slice]:
        overlap = max_length // 4 if self.overlap is None else self.overlap
        step = width - min(overlap, width // 2)
        past_last_start = max(num_tokens - width, 0) + step
        starts = range(0, past_last_start, step)
        return [slice(start, min(start + width, num_tokens)) for start in starts]

    def build_head(self, task: Task, encoder: nn.Module) -> nn.Linear:
        """A head for start and end logits: [S, L, H] to [S, L, 2]."""
        return fresh_linear(width_of(encoder), 2)

    def num_items(self, batch: Batch) -> int:
        """The number of windows, with and without an answer."""
        return len(batch.labels)

    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        """The mean of the start's and the end's cross-entropy, over the context and token 0; summed
        over windows."""
        start, end, first, past = batch.labels.unbind(dim=1)
        logits = head(hidden).float()
        position = torch.arange(logits.shape[1], device=logits.device)
        inside = (position >= first[:, None]) & (position < past[:, None]) | (position == 0)
        logits = logits.masked_fill(~inside.unsqueeze(-1), torch.finfo(logits.dtype).min)
        start_loss = cross_entropy(logits[..., 0], start, reduction="sum")
        end_loss = cross_entropy(logits[..., 1], end, reduction="sum")
        return (start_loss + end_loss) / 2

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """The start and end logits of a window, [L, 2]."""
        assert head is not None
        return split_by_length(to_numpy(head(hidden[-1])), batch.attention_mask)

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[SpanExample],
        task: Task,
    ) -> list[str]:
        """The best span over all windows of a row, as text of the context."""
        spans = self.locate(outputs, features, len(examples))
        return [e.context[start:end] for e, (start, end) in zip(examples, spans, strict=True)]

    def locate(
        self, outputs: Sequence[npt.NDArray[np.float32]], features: Features, num_rows: int
    ) -> list[tuple[int, int]]:
        """The first and the past-last character of every row's answer; (0, 0) is no answer.

        The score of "no answer" is the lowest one over the row's windows: a window beside the
        answer rightly scores it high (as in the script of the BERT baseline for SQuAD v2.0).
        """
        answers = [(0, 0)] * num_rows
        best = np.full(num_rows, -np.inf)
        abstain = np.full(num_rows, np.inf)
        for s, (row, logits) in enumerate(zip(features.example.tolist(), outputs, strict=True)):
            abstain[row] = min(abstain[row], logits[0].sum())
            characters = features.origins[s].reshape(-1, 2)
            allowed = characters[:, 0] >= 0
            score, first, last = _best_span(logits, allowed, self.max_answer_tokens)
            if score > best[row]:
                best[row] = score
                answers[row] = (int(characters[first, 0]), int(characters[last, 1]))
        if self.may_abstain:
            is_none = abstain > best
            answers = [(0, 0) if no else a for a, no in zip(answers, is_none, strict=True)]
        return answers

    def judge(
        self, predictions: Sequence[str], examples: Sequence[SpanExample], task: Task, language: str
    ) -> Judgement:
        """`f1` and `exact_match` under the task's answer rules; `qa_score` is their mean. Raises
        ValueError without rows."""
        golds = [[answer.text for answer in example.answers] for example in examples]
        pairs = list(zip(predictions, golds, strict=True))
        if not pairs:
            raise ValueError("no rows to score")
        is_mlqa = task.answer_rules is AnswerRules.MLQA
        rules = mlqa_normalizer(language) if is_mlqa else normalize
        f1s = [metrics.token_f1(*pair, normalize=rules) for pair in pairs]
        exacts = [metrics.exact_match(*pair, normalize=rules) for pair in pairs]
        f1, exact = sum(f1s) / len(pairs), sum(exacts) / len(pairs)
        means = [metrics.qa_score(*row) for row in zip(f1s, exacts, strict=True)]
        rows = {"f1": f1s, "exact_match": exacts, "qa_score": means}[task.metric]
        scores = {"f1": f1, "exact_match": exact, "qa_score": metrics.qa_score(f1, exact)}
        return Judgement(scores, outcomes.of_values(rows))


def _tokenize_contexts(tokenizer: PreTrainedTokenizerFast, texts: set[str]) -> dict[str, _Context]:
    """The tokens of each context, tokenised once: SQuAD asks five questions about a context on
    average."""
    contexts = sorted(texts)
    if not contexts:
        return {}
    encoded = tokenizer(
        contexts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    rows = zip(contexts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return {context: _Context(ids, *_trimmed(context, offsets)) for context, ids, offsets in rows}


def _trimmed(context: str, offsets: Sequence[tuple[int, int]]) -> tuple[Ints, Ints]:
    """The first and the past-last character of every token, without white space around it; -1, -1
    for a token of white space alone."""
    num_chars = len(context)
    solid = np.fromiter((not char.isspace() for char in context), np.bool_, num_chars)
    index = np.arange(num_chars, dtype=np.int32)
    next_solid = np.append(np.where(solid, index, num_chars), num_chars)
    next_solid = np.minimum.accumulate(next_solid[::-1])[::-1]
    past_solid = np.insert(np.where(solid, index + 1, 0), 0, 0)
    past_solid = np.maximum.accumulate(past_solid)
    bounds = np.asarray(offsets, np.int64).reshape(-1, 2)
    first, past = next_solid[bounds[:, 0]], past_solid[bounds[:, 1]]
    empty = first >= past
    return (
        np.where(empty, -1, first).astype(np.int32),
        np.where(empty, -1, past).astype(np.int32),
    )


def _inside(answer: tuple[int, int] | None, window: slice, start: int) -> tuple[int, int]:
    """The answer's first and last token in the sequence, where the window holds the whole answer.
    The window's tokens begin at `start` in the sequence."""
    if answer is None or answer[0] < window.start or answer[1] >= window.stop:
        return _NO_ANSWER
    return answer[0] - window.start + start, answer[1] - window.start + start


def _best_span(
    logits: npt.NDArray[np.float32], allowed: npt.NDArray[np.bool_], max_tokens: int
) -> tuple[float, int, int]:
    """The score, the first and the last token of the best span. The score is -inf where no span is
    allowed."""
    masked = np.where(allowed[:, None], logits, -np.inf)
    ends = np.append(masked[:, 1], np.full(max_tokens - 1, -np.inf))
    totals = masked[:, 0, None] + np.lib.stride_tricks.sliding_window_view(ends, max_tokens)
    first, more = np.unravel_index(totals.argmax(), totals.shape)
    return float(totals[first, more]), int(first), int(first + more)


def _wrong_start(context: str, answer: Answer, index: int) -> str:
    """What to say of an answer that is not at its `start` in the context."""
    actual = context[max(answer.start, 0) :][: len(answer.text)]
    starts = [i for i in range(len(context)) if context.startswith(answer.text, i)]
    problem = (
        f"answers[{index}] is {shown(answer.text)}, but the context has {shown(actual)} at "
        f"character {answer.start}"
    )
    if not starts:
        return f"{problem}, and {shown(answer.text)} is nowhere in it; drop the row when loading"
    nearest = min(starts, key=lambda start: abs(start - answer.start))
    return f"{problem}; it has {shown(answer.text)} at {nearest}: correct start when loading"
