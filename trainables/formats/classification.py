"""Classification of a text or a pair of texts. labels[s] is [index of the label in task.labels]."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from spaces.tasks.task import Task
from trainables.examples import PairExample
from trainables.formats import encoding, refusals
from trainables.formats.base import Batch, Features, Format, Judgement, judge_equal
from trainables.formats.heads import PooledHead, to_numpy, width_of


class ClassificationFormat(Format[PairExample, str]):
    """One sequence per row. A prediction is a label name."""

    example_type = PairExample

    def check(self, example: PairExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, PairExample)
        refusals.refuse_empty(example.text_a, task, example.id, field="text_a")
        if example.text_b is not None:
            refusals.refuse_empty(example.text_b, task, example.id, field="text_b")
        refusals.refuse_unknown_label(example.label, task, example.id, field="label")

    def encode(
        self,
        examples: Sequence[PairExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Token sequences of rows that passed `check`. Where they are too long, the longer text is
        cut at its end."""
        template = encoding.Template.of(tokenizer)
        firsts = encoding.tokenize(tokenizer, [example.text_a for example in examples])
        seconds = encoding.tokenize_optional(tokenizer, [example.text_b for example in examples])
        whole = list(zip(firsts, seconds, strict=True))
        segments = [encoding.cut_longest(*pair, template, max_length) for pair in whole]
        index = {label: i for i, label in enumerate(task.labels)}
        return encoding.build_features(
            template,
            segments,
            labels=[[index[example.label]] for example in examples],
            example=np.arange(len(examples), dtype=np.int32),
            num_truncated=encoding.count_shorter(segments, whole),
        )

    def build_head(self, task: Task, encoder: nn.Module) -> PooledHead:
        """A head from the masked mean of the last layer, [S, L, H], to [S, number of labels]."""
        return PooledHead(width_of(encoder), len(task.labels))

    def num_items(self, batch: Batch) -> int:
        return len(batch.labels)

    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        logits = head(hidden, batch.attention_mask).float()
        return cross_entropy(logits, batch.labels[:, 0], reduction="sum")

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """The logits of a sequence, [number of labels]."""
        assert head is not None
        return list(to_numpy(head(hidden[-1], batch.attention_mask)))

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[PairExample],
        task: Task,
    ) -> list[str]:
        return [task.labels[int(logits.argmax())] for logits in outputs]

    def judge(
        self, predictions: Sequence[str], examples: Sequence[PairExample], task: Task, language: str
    ) -> Judgement:
        return judge_equal(predictions, [example.label for example in examples])
