"""Tagging: one tag per word, predicted at its first sub-word. labels[s] is one label per token.

A label is the index of the tag in task.labels at first sub-words, and IGNORED at all other tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from spaces.tasks.task import Task
from trainables.examples import TaggingExample
from trainables.formats import encoding, refusals
from trainables.formats.base import IGNORED, Batch, Features, Format, Judgement, Ragged, RowError
from trainables.formats.heads import fresh_linear, split_by_length, to_numpy, width_of
from trainables.scoring import metrics, outcomes

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """The tokens of some neighbouring words. `words` has one number per token: the index of the
    word at its first sub-word, else -1."""

    ids: list[int]
    words: list[int]


class TaggingFormat(Format[TaggingExample, Tags]):
    """One sequence per sentence, several where it is too long. A prediction is one tag per word."""

    example_type = TaggingExample

    def check(self, example: TaggingExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, TaggingExample)
        if len(example.words) != len(example.tags):
            raise RowError(
                task,
                example.id,
                f"{len(example.words)} words and {len(example.tags)} tags, expected one tag per "
                "word; drop the row when loading",
            )
        refusals.refuse_empty("".join(example.words), task, example.id, field="words")
        for i, tag in enumerate(example.tags):
            refusals.refuse_unknown_label(tag, task, example.id, field=f"tags[{i}]")

    def encode(
        self,
        examples: Sequence[TaggingExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Windows of rows that passed `check`. Windows do not overlap and do not split words; only
        a word that is longer than a window is cut."""
        template = encoding.Template.of(tokenizer)
        room = template.room(max_length, pair=False)
        tokens = _tokenize_words(tokenizer, examples)
        index = {label: i for i, label in enumerate(task.labels)}
        before, after = [-1] * len(template.head), [-1] * len(template.tail)
        input_ids, row_of, labels, origins = [], [], [], []
        num_truncated = 0
        for row, example in enumerate(examples):
            words = [tokens[word] for word in example.words]
            num_truncated += any(len(word) > room for word in words)
            tags = [index[tag] for tag in example.tags]
            for window in _windows(words, room):
                word_of = before + window.words + after
                input_ids.append(template.join(window.ids, None)[0])
                row_of.append(row)
                labels.append([IGNORED if word < 0 else tags[word] for word in word_of])
                origins.append(word_of)
        ids = Ragged.of(input_ids)
        return Features(
            input_ids=ids,
            second=ids.lengths.astype(np.int32),
            example=np.asarray(row_of, np.int32),
            labels=Ragged.of(labels),
            origins=Ragged.of(origins),
            num_truncated=num_truncated,
        )

    def build_head(self, task: Task, encoder: nn.Module) -> nn.Linear:
        """A head for the label logits: [..., H] to [..., number of labels]."""
        return fresh_linear(width_of(encoder), len(task.labels))

    def num_items(self, batch: Batch) -> int:
        """The number of tagged words; 0 where no word of the batch has a token."""
        return int((batch.labels != IGNORED).sum())

    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        tagged = batch.labels != IGNORED
        logits = head(hidden[tagged]).float()
        return cross_entropy(logits, batch.labels[tagged], reduction="sum")

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """The index of the best label at every token, [L]."""
        assert head is not None
        best = to_numpy(head(hidden[-1]).argmax(dim=-1))
        return split_by_length(best, batch.attention_mask)

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[TaggingExample],
        task: Task,
    ) -> list[Tags]:
        """One tag per word. A word without tokens (control characters) gets `O`, or the first label
        of the task."""
        unseen = "O" if "O" in task.labels else task.labels[0]
        tags = [[unseen] * len(example.words) for example in examples]
        for s, (row, best) in enumerate(zip(features.example.tolist(), outputs, strict=True)):
            for word, label in zip(features.origins[s].tolist(), best.tolist(), strict=True):
                if word >= 0:
                    tags[row][word] = task.labels[int(label)]
        return [tuple(row_tags) for row_tags in tags]

    def scoring_version(self, task: Task) -> int:
        """2 where `f1` counts types whole that version 1 cut."""
        return 2 if task.metric == "f1" and metrics.has_cut_types(task.labels) else 1

    def judge(
        self,
        predictions: Sequence[Tags],
        examples: Sequence[TaggingExample],
        task: Task,
        language: str,
    ) -> Judgement:
        """`f1` of labelled spans, and `accuracy` of tags; `f1_seqeval` where seqeval's number is
        another one."""
        golds = [example.tags for example in examples]
        spans = metrics.span_counts(predictions, golds)
        words = metrics.tag_counts(predictions, golds)
        scores = {"f1": metrics.micro_f1(spans), "accuracy": metrics.micro_f1(words)}
        if metrics.has_cut_types(task.labels):
            scores["f1_seqeval"] = metrics.span_f1(predictions, golds, cut=True)
        return Judgement(scores, outcomes.of_counts(spans if task.metric == "f1" else words))


def _tokenize_words(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[TaggingExample]
) -> dict[str, encoding.Ids]:
    """The ids of each distinct word, tokenised once as a separate word.

    The space in front makes it a word for every tokenizer: Metaspace (XLM-R) adds a space only
    where it is missing, WordPiece drops it, and byte-level BPE without `add_prefix_space` needs it.
    """
    words = sorted({word for example in examples for word in example.words})
    ids = encoding.tokenize(tokenizer, [f" {word.strip()}" for word in words])
    return dict(zip(words, ids, strict=True))


def _windows(words: Sequence[encoding.Ids], room: int) -> Iterator[_Window]:
    """The windows of a sentence; an empty sentence has one, too."""
    ids: list[int] = []
    word_of: list[int] = []
    for i, word in enumerate(words):
        kept = word[:room]
        if ids and len(ids) + len(kept) > room:
            yield _Window(ids, word_of)
            ids, word_of = [], []
        ids.extend(kept)
        if kept:
            word_of.extend([i] + [-1] * (len(kept) - 1))
    yield _Window(ids, word_of)
