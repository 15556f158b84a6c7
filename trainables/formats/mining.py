"""Mining of translation pairs from two whole corpora (BUCC). It has no head and trains nothing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from spaces.refusal import Refusal
from spaces.tasks.task import Task
from trainables.examples import SentenceExample
from trainables.formats import encoding, refusals
from trainables.formats.base import Batch, Features, Judgement
from trainables.formats.heads import masked_mean, to_numpy
from trainables.formats.retrieval import SentenceFormat
from trainables.scoring import bitext_mining, outcomes

Mined = tuple[str, float] | None


class MiningFormat(SentenceFormat[SentenceExample, Mined]):
    """One sequence per sentence. The prediction for a sentence of the other language is the id of
    its English partner with the margin of the pair; it is None without a partner, and for every
    English sentence.

    As in XTREME's script, a sentence that a corpus holds twice takes part once, and its pair does
    not count. Pairs count from the margin `threshold` on. Without a threshold the best one for the
    scored rows is used, which is how it is fixed on development rows.
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
        """The mean vector at the chosen layer, [H]. Vectors of all layers would not fit in
        memory."""
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
        mined: list[Mined] = [None] * len(examples)
        if not all(sides):
            return mined
        texts, pivots = (list(side.values()) for side in sides)
        count = Counter((example.is_pivot, example.text) for example in examples)
        vectors = [np.stack([outputs[row] for row in rows]) for rows in (texts, pivots)]
        for i, j, margin in bitext_mining.mine(*vectors):
            pair = examples[texts[i]], examples[pivots[j]]
            if margin > 0 and all(
                count[sentence.is_pivot, sentence.text] == 1 for sentence in pair
            ):
                mined[texts[i]] = (pair[1].id, margin)
        return mined

    def judge(
        self,
        predictions: Sequence[Mined],
        examples: Sequence[SentenceExample],
        task: Task,
        language: str,
    ) -> Judgement:
        """BUCC's `f1`, `precision` and `recall`. Raises Refusal where the rows hold no gold
        pair."""
        gold = _gold(examples)
        if not gold:
            raise Refusal(
                f"task {task.name!r}: there is no gold pair among {len(examples)} sentences in "
                f"{language!r}; raise evaluation.max_rows, or check the gold file"
            )
        mined = self.mined(predictions, examples)
        pairs = (mined & gold, mined, gold)
        by_id = [Counter(text for text, _ in chosen) for chosen in pairs]
        # An id that occurs twice counts once, like its pairs.
        first = {example.id: row for row, example in reversed(list(enumerate(examples)))}
        rows = (
            [count[example.id] if first[example.id] == row else 0 for count in by_id]
            for row, example in enumerate(examples)
        )
        return Judgement(bitext_mining.pair_scores(mined, gold), outcomes.of_counts(rows))

    def mined(
        self, predictions: Sequence[Mined], examples: Sequence[Any]
    ) -> set[bitext_mining.Pair]:
        """The pairs of ids with a margin of at least the threshold, the English id last."""
        margins, threshold = _margins(predictions, examples), self.threshold
        if threshold is None:
            threshold = bitext_mining.best_threshold(margins, _gold(examples))
        return {pair for pair, margin in margins.items() if margin >= threshold}

    def with_threshold_of(
        self, predictions: Sequence[Mined], examples: Sequence[Any]
    ) -> "MiningFormat":
        """The format with the threshold that is best for these predictions."""
        threshold = bitext_mining.best_threshold(_margins(predictions, examples), _gold(examples))
        return MiningFormat(layer=self.layer, threshold=threshold)


def _first_of_each(examples: Sequence[SentenceExample], *, is_pivot: bool) -> dict[str, int]:
    """The distinct sentences of one corpus, with the first row of each."""
    first_rows: dict[str, int] = {}
    for row, example in enumerate(examples):
        if example.is_pivot == is_pivot:
            first_rows.setdefault(example.text, row)
    return first_rows


def _margins(
    predictions: Sequence[Mined], examples: Sequence[SentenceExample]
) -> dict[bitext_mining.Pair, float]:
    """The margin of every mined pair of ids."""
    pairs = zip(examples, predictions, strict=True)
    return {(example.id, mined[0]): mined[1] for example, mined in pairs if mined is not None}


def _gold(examples: Sequence[SentenceExample]) -> set[bitext_mining.Pair]:
    """The gold pairs whose two sentences are both among the rows."""
    ids = {example.id for example in examples}
    return {
        (example.id, partner)
        for example in examples
        if not example.is_pivot
        for partner in example.partners
        if partner in ids
    }
