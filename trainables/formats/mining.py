"""Mining of translation pairs from two whole corpora (BUCC): no head, no training."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from spaces.refusal import Refusal
from spaces.task_catalog import Task
from trainables.examples import SentenceExample
from trainables.formats import encoding, refusals
from trainables.formats.base import Batch, Features, Judgement
from trainables.formats.heads import masked_mean, to_numpy
from trainables.formats.retrieval import SentenceFormat
from trainables.scoring import bitext_mining, outcomes

Mined = tuple[str, float] | None


class MiningFormat(SentenceFormat[SentenceExample, Mined]):
    """One sequence a sentence. The prediction for a sentence of the other language is the id of
    the English one it was paired with, and the margin of the pair; None where there is no pair,
    and for every English sentence.

    A sentence that a corpus has twice takes part once, and a pair with it does not count, as in
    XTREME's script. Pairs count from `threshold` on; without one it is the best for the rows that
    are scored, which is how it is fixed on development rows.
    """

    example_type = SentenceExample

    def __init__(self, *, layer: int | None = None, threshold: float | None = None) -> None:
        super().__init__(layer=layer)
        self.threshold = threshold

    def check(self, example: SentenceExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, SentenceExample)
        refusals.refuse_empty(example.text, task, example.id, field="text")

    def encode(
        self,
        examples: Sequence[SentenceExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        template = encoding.Template.of(tokenizer)
        whole = encoding.tokenize(tokenizer, [example.text for example in examples])
        segments = [encoding.cut_longest(ids, None, template, max_length) for ids in whole]
        return encoding.build_features(
            template,
            segments,
            labels=[()] * len(segments),
            example=np.arange(len(examples), dtype=np.int32),
            num_truncated=encoding.count_shorter(segments, [(ids, None) for ids in whole]),
        )

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """The mean vector at the chosen layer, [H]: those of all layers would fill the memory."""
        layer = hidden[self.layer_of(len(hidden) - 1)]
        return list(to_numpy(masked_mean(layer.float(), batch.attention_mask)))

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[SentenceExample],
        task: Task,
    ) -> list[Mined]:
        sides = [_first_of_each(examples, is_pivot=is_pivot) for is_pivot in (False, True)]
        found: list[Mined] = [None] * len(examples)
        if not all(sides):
            return found
        texts, pivots = (list(side.values()) for side in sides)
        count = Counter((example.is_pivot, example.text) for example in examples)
        vectors = [np.stack([outputs[row] for row in rows]) for rows in (texts, pivots)]
        for i, j, margin in bitext_mining.mine(*vectors):
            pair = examples[texts[i]], examples[pivots[j]]
            if margin > 0 and all(count[one.is_pivot, one.text] == 1 for one in pair):
                found[texts[i]] = (pair[1].id, margin)
        return found

    def judge(
        self,
        predictions: Sequence[Mined],
        examples: Sequence[SentenceExample],
        task: Task,
        language: str,
    ) -> Judgement:
        """BUCC's `f1`, `precision` and `recall`. Refusal where no gold pair is among the rows."""
        gold = _gold(examples)
        if not gold:
            raise Refusal(
                f"task {task.name!r}: there is no gold pair among {len(examples)} sentences in "
                f"{language!r}; raise evaluation.max_rows, or look at the gold file"
            )
        mined = self.mined(predictions, examples)
        pairs = (mined & gold, mined, gold)
        by_id = [Counter(text for text, _ in some) for some in pairs]
        # An id that stands twice counts once, as its pairs do.
        first = {example.id: row for row, example in reversed(list(enumerate(examples)))}
        rows = (
            [count[example.id] if first[example.id] == row else 0 for count in by_id]
            for row, example in enumerate(examples)
        )
        return Judgement(bitext_mining.pair_scores(mined, gold), outcomes.of_counts(rows))

    def mined(
        self, predictions: Sequence[Mined], examples: Sequence[Any]
    ) -> set[bitext_mining.Pair]:
        """The pairs of ids that count, the English one last: from the threshold on."""
        margins, threshold = _margins(predictions, examples), self.threshold
        if threshold is None:
            threshold = bitext_mining.best_threshold(margins, _gold(examples))
        return {pair for pair, margin in margins.items() if margin >= threshold}

    def fixed_on(self, predictions: Sequence[Mined], examples: Sequence[Any]) -> "MiningFormat":
        """The format with the threshold that is best for these predictions."""
        threshold = bitext_mining.best_threshold(_margins(predictions, examples), _gold(examples))
        return MiningFormat(layer=self.layer, threshold=threshold)


def _first_of_each(examples: Sequence[SentenceExample], *, is_pivot: bool) -> dict[str, int]:
    """Different sentences of one corpus, and the row in which each stands first."""
    places: dict[str, int] = {}
    for row, example in enumerate(examples):
        if example.is_pivot == is_pivot:
            places.setdefault(example.text, row)
    return places


def _margins(
    predictions: Sequence[Mined], examples: Sequence[SentenceExample]
) -> dict[bitext_mining.Pair, float]:
    pairs = zip(examples, predictions, strict=True)
    return {(example.id, mined[0]): mined[1] for example, mined in pairs if mined is not None}


def _gold(examples: Sequence[SentenceExample]) -> set[bitext_mining.Pair]:
    """The gold pairs of which both sentences are among the rows."""
    there = {example.id for example in examples}
    return {
        (example.id, partner)
        for example in examples
        if not example.is_pivot
        for partner in example.partners
        if partner in there
    }
