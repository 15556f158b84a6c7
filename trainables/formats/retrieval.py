"""Sentence retrieval by the cosine of mean vectors. It has no head and trains nothing: it scores
the encoder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from spaces.tasks.task import Task
from trainables.examples import RetrievalExample
from trainables.formats import encoding, refusals
from trainables.formats.base import Batch, E, Features, Format, Judgement, P, judge_equal
from trainables.formats.heads import masked_mean, to_numpy
from trainables.scoring import metrics

Rows = tuple[int, ...]


class SentenceFormat(Format[E, P]):
    """The shared part of formats that score the encoder by its sentence vectors at one layer.

    A vector is the mean over all tokens, special tokens included, as in the code of XTREME and
    jiant.
    """

    reads_all_layers = True

    def __init__(self, *, layer: int | None = None) -> None:
        """`layer` counts from 1, the output of the first layer; None is `middle_layer`. Raises
        ValueError for less than 1."""
        if layer is not None and layer < 1:
            raise ValueError(f"retrieval layer {layer}: layers count from 1")
        self.layer = layer

    def layer_of(self, num_layers: int) -> int:
        """The layer that is scored in an encoder of `num_layers` layers. Raises ValueError for a
        layer beyond them."""
        layer = middle_layer(num_layers) if self.layer is None else self.layer
        if layer > num_layers:
            raise ValueError(f"retrieval layer {layer}: the encoder has {num_layers} layers")
        return layer

    def build_head(self, task: Task, encoder: nn.Module) -> None:
        return None

    def num_items(self, batch: Batch) -> int:
        raise AssertionError("retrieval trains nothing")

    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        raise AssertionError("retrieval trains nothing")


class RetrievalFormat(SentenceFormat[RetrievalExample, Rows]):
    """Two sequences per row, text then pivot. A prediction is the row whose text was retrieved for
    this row's pivot, once per layer (entry 0 by the embeddings, entry n by the output of layer n).

    The direction is that of XTREME: every English sentence looks for its nearest neighbour in the
    other language (google-research/xtreme, evaluate_retrieval.py). With `to_english` it is the
    other one, that of LASER and MTEB: a prediction is then the row whose pivot was retrieved for
    this row's text.
    """

    example_type = RetrievalExample

    def __init__(self, *, layer: int | None = None, to_english: bool = False) -> None:
        super().__init__(layer=layer)
        self.to_english = to_english

    def check(self, example: RetrievalExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, RetrievalExample)
        refusals.refuse_empty(example.text, task, example.id, field="text")
        refusals.refuse_empty(example.pivot, task, example.id, field="pivot")

    def encode(
        self,
        examples: Sequence[RetrievalExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        template = encoding.Template.of(tokenizer)
        texts = [text for example in examples for text in (example.text, example.pivot)]
        whole = encoding.tokenize(tokenizer, texts)
        segments = [encoding.cut_longest(ids, None, template, max_length) for ids in whole]
        shorter = [len(cut[0]) < len(ids) for cut, ids in zip(segments, whole, strict=True)]
        return encoding.build_features(
            template,
            segments,
            labels=[()] * len(segments),
            example=np.repeat(np.arange(len(examples), dtype=np.int32), 2),
            num_truncated=sum(a or b for a, b in zip(shorter[::2], shorter[1::2], strict=True)),
        )

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """The mean vector of every layer, [number of layers + 1, H]."""
        means = [masked_mean(layer.float(), batch.attention_mask) for layer in hidden]
        return list(to_numpy(torch.stack(means, dim=1)))

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[RetrievalExample],
        task: Task,
    ) -> list[Rows]:
        assert len(outputs) == 2 * len(examples)
        if not examples:
            return []
        by_layer = []
        for layer in range(len(outputs[0])):
            texts = np.stack([output[layer] for output in outputs[::2]])
            pivots = np.stack([output[layer] for output in outputs[1::2]])
            queries, candidates = (texts, pivots) if self.to_english else (pivots, texts)
            by_layer.append(metrics.nearest(queries, candidates).tolist())
        return list(zip(*by_layer, strict=True))

    def judge(
        self,
        predictions: Sequence[Rows],
        examples: Sequence[RetrievalExample],
        task: Task,
        language: str,
    ) -> Judgement:
        """`accuracy` at the chosen layer, and `accuracy.layer_<n>` at every layer from 1 on. Raises
        ValueError without rows."""
        golds = range(len(examples))
        predicted = list(zip(*predictions, strict=True))
        if not predicted:
            raise ValueError("no rows to score")
        num_layers = len(predicted) - 1
        chosen = judge_equal(predicted[self.layer_of(num_layers)], golds)
        by_layer = {
            f"accuracy.layer_{n}": metrics.accuracy(predicted[n], golds)
            for n in range(1, num_layers + 1)
        }
        return Judgement({**chosen.metrics, **by_layer}, chosen.outcomes)


def middle_layer(num_layers: int) -> int:
    """Layer 14 of 24 in XLM-R Large, as in the code of XTREME and jiant; the same fraction in other
    encoders."""
    return max(1, (14 * num_layers + 12) // 24)
