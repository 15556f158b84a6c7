"""One tag a word, read off the word's first sub-word; labels[s] is one label a token.

A label is the tag's index in task.labels at first sub-words and IGNORED at all other tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from spaces.task_catalog import Task
from trainables.examples import TaggingExample
from trainables.formats import encoding, refusals
from trainables.formats.base import IGNORED, Batch, Features, Format, Judgement, Ragged, RowError
from trainables.formats.heads import fresh_linear, split_by_length, to_numpy, width_of
from trainables.scoring import metrics, outcomes

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """Some neighbouring words' tokens; `words` has the word where its first sub-word stands."""

    ids: list[int]
    words: list[int]


class TaggingFormat(Format[TaggingExample, Tags]):
    """One sequence a sentence, several if it is too long; a prediction is one tag a word."""

    example_type = TaggingExample

    def check(self, example: TaggingExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, TaggingExample)
        if len(example.words) != len(example.tags):
            raise RowError(
                task,
                example.id,
                f"{len(example.words)} words and {len(example.tags)} tags, expected one tag a "
                "word; drop the row when loading",
            )
        refusals.refuse_empty("".join(example.words), task, example.id, field="words")
        for i, tag in enumerate(example.tags):
            refusals.refuse_unknown_label(tag, task, example.id, what=f"tags[{i}]")

    def encode(
        self,
        examples: Sequence[TaggingExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Rows that `check` let through. Windows do not overlap and do not split words; only a
        word that is longer than a whole window is cut."""
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
                places = before + window.words + after
                input_ids.append(template.join(window.ids, None)[0])
                row_of.append(row)
                labels.append([IGNORED if word < 0 else tags[word] for word in places])
                origins.append(places)
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
        """[..., H] to [..., number of labels]."""
        return fresh_linear(width_of(encoder), len(task.labels))

    def num_items(self, batch: Batch) -> int:
        """Tagged words; 0 if no word of the batch has a token."""
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
        """A word without tokens (control characters) gets `O`, or the task's first label."""
        unseen = "O" if "O" in task.labels else task.labels[0]
        tags = [[unseen] * len(example.words) for example in examples]
        for s, (row, best) in enumerate(zip(features.example.tolist(), outputs, strict=True)):
            for word, label in zip(features.origins[s].tolist(), best.tolist(), strict=True):
                if word >= 0:
                    tags[row][word] = task.labels[int(label)]
        return [tuple(of_row) for of_row in tags]

    def judge(
        self,
        predictions: Sequence[Tags],
        examples: Sequence[TaggingExample],
        task: Task,
        language: str,
    ) -> Judgement:
        golds = [example.tags for example in examples]
        spans = metrics.span_counts(predictions, golds)
        words = metrics.tag_counts(predictions, golds)
        found = {"f1": metrics.micro_f1(spans), "accuracy": metrics.micro_f1(words)}
        return Judgement(found, outcomes.of_counts(spans if task.metric == "f1" else words))


def _tokenize_words(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[TaggingExample]
) -> dict[str, encoding.Ids]:
    """Each different word once, as a word of its own.

    The space in front makes it one for every tokenizer: Metaspace (XLM-R) adds it only if it is
    not there, WordPiece drops it, and byte-level BPE without `add_prefix_space` needs it.
    """
    words = sorted({word for example in examples for word in example.words})
    ids = encoding.tokenize(tokenizer, [f" {word.strip()}" for word in words])
    return dict(zip(words, ids, strict=True))


def _windows(words: Sequence[encoding.Ids], room: int) -> Iterator[_Window]:
    """At least one window a sentence, even an empty one."""
    ids: list[int] = []
    places: list[int] = []
    for i, word in enumerate(words):
        kept = word[:room]
        if ids and len(ids) + len(kept) > room:
            yield _Window(ids, places)
            ids, places = [], []
        ids.extend(kept)
        if kept:
            places.extend([i] + [-1] * (len(kept) - 1))
    yield _Window(ids, places)
