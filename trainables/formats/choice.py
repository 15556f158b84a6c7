"""Multiple choice: every choice becomes a sequence (text, choice), and gets one logit.

labels[s] is [index of the right choice, number of choices], equal in all sequences of a row. A
training batch holds whole rows, in order, all with the same number of choices.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from spaces.tasks.task import Task
from trainables.examples import ChoiceExample
from trainables.formats import encoding, refusals
from trainables.formats.base import Batch, Features, Format, Judgement, RowError, judge_equal
from trainables.formats.heads import PooledHead, to_numpy, width_of


class ChoiceFormat(Format[ChoiceExample, int]):
    """One sequence per choice. A prediction is an index into the row's choices."""

    example_type = ChoiceExample

    def check(self, example: ChoiceExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, ChoiceExample)
        refusals.refuse_empty(example.text, task, example.id, field="text")
        num_choices = len(example.choices)
        if num_choices < 2:
            raise RowError(
                task,
                example.id,
                f"{num_choices} choices, expected at least 2; drop the row when loading",
            )
        for i, choice in enumerate(example.choices):
            refusals.refuse_empty(choice, task, example.id, field=f"choices[{i}]")
        if not 0 <= example.label < num_choices:
            raise RowError(
                task,
                example.id,
                f"label {example.label} is not an index of {num_choices} choices, expected "
                f"0 to {num_choices - 1}; rows with hidden labels (-1) cannot be scored",
            )

    def encode(
        self,
        examples: Sequence[ChoiceExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        """Token sequences of rows that passed `check`. Where they are too long, the end of the text
        is cut; the choice is cut only where it is too long alone."""
        template = encoding.Template.of(tokenizer)
        room = template.room(max_length, pair=True)
        texts = encoding.tokenize(tokenizer, [example.text for example in examples])
        choices = encoding.tokenize(tokenizer, [c for example in examples for c in example.choices])
        counts = [len(example.choices) for example in examples]
        row_of = np.repeat(np.arange(len(examples), dtype=np.int32), counts)
        segments: list[encoding.Segments] = []
        truncated = set()
        for row, choice in zip(row_of.tolist(), choices, strict=True):
            kept = choice[:room]
            segments.append((texts[row][: room - len(kept)], kept))
            if len(texts[row]) + len(choice) > room:
                truncated.add(row)
        labels = [[example.label, len(example.choices)] for example in examples]
        return encoding.build_features(
            template,
            segments,
            labels=[labels[row] for row in row_of.tolist()],
            example=row_of,
            num_truncated=len(truncated),
        )

    def build_head(self, task: Task, encoder: nn.Module) -> PooledHead:
        """A head from the masked mean of the last layer, [S, L, H], to one logit, [S, 1]."""
        return PooledHead(width_of(encoder), 1)

    def num_items(self, batch: Batch) -> int:
        """The number of rows, not of sequences."""
        return len(batch.labels) // _num_choices(batch)

    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        num_choices = _num_choices(batch)
        logits = head(hidden, batch.attention_mask).float()
        right = batch.labels[::num_choices, 0]
        return cross_entropy(logits.view(-1, num_choices), right, reduction="sum")

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """The logit of a choice, [1]. Here a batch may hold parts of rows."""
        assert head is not None
        return list(to_numpy(head(hidden[-1], batch.attention_mask)))

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[ChoiceExample],
        task: Task,
    ) -> list[int]:
        logits: list[list[float]] = [[] for _ in examples]
        for row, output in zip(features.example.tolist(), outputs, strict=True):
            logits[row].append(float(output[0]))
        return [int(np.argmax(row_logits)) for row_logits in logits]

    def judge(
        self,
        predictions: Sequence[int],
        examples: Sequence[ChoiceExample],
        task: Task,
        language: str,
    ) -> Judgement:
        return judge_equal(predictions, [example.label for example in examples])


def _num_choices(batch: Batch) -> int:
    counts = batch.labels[:, 1]
    num_choices = int(counts[0])
    assert bool((counts == num_choices).all()), "rows of one batch differ in number of choices"
    assert len(counts) % num_choices == 0, "a batch for training holds whole rows"
    return num_choices
