"""Masked language modelling of a text, or of a text with its translation (TLM).

Encoded sequences have no labels. `mask_tokens` masks a batch just before its loss, so that every
epoch has other masks.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu
from transformers import PreTrainedTokenizerFast

from spaces.tasks.task import Task
from trainables.examples import TextExample
from trainables.formats import encoding, refusals
from trainables.formats.base import IGNORED, Batch, Features, Format, Judgement
from trainables.formats.heads import fresh_linear, norm_eps, to_numpy, width_of
from trainables.scoring import outcomes

Hits = tuple[int, int]  # tokens restored, tokens masked
_MASKED, _REPLACED = 0.8, 0.1  # shares of the chosen tokens; the rest stay unchanged


class MlmHead(nn.Module):
    """Dense, gelu, layer norm, the input embeddings, a bias: [N, H] to [N, vocabulary].

    `dense`, `layer_norm` and `bias` are those of `XLMRobertaForMaskedLM.lm_head`, but that `dense`
    leads to the width of the embeddings, which is less than H in ALBERT, ELECTRA and RemBERT. The
    embeddings belong to the encoder: they are not a parameter of the head and not in its state
    dict.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        embeddings = encoder.get_input_embeddings()  # type: ignore[operator]
        vocabulary, width = embeddings.weight.shape
        self._tied = (embeddings,)  # in a tuple, so that torch does not register it as a child
        self.dense = fresh_linear(width_of(encoder), width)
        self.layer_norm = nn.LayerNorm(width, eps=norm_eps(encoder.config))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, hidden: Tensor) -> Tensor:
        restored = self.layer_norm(gelu(self.dense(hidden)))
        return nn.functional.linear(restored, self._tied[0].weight, self.bias)


class MlmFormat(Format[TextExample, Hits]):
    """One sequence per row. A prediction is the number of its masked tokens that were restored."""

    example_type = TextExample

    def check(self, example: TextExample, task: Task) -> None:
        refusals.refuse_other_type(example, task, TextExample)
        refusals.refuse_empty(example.text, task, example.id, field="text")
        if example.pair is not None:
            refusals.refuse_empty(example.pair, task, example.id, field="pair")

    def encode(
        self,
        examples: Sequence[TextExample],
        task: Task,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
    ) -> Features:
        template = encoding.Template.of(tokenizer)
        firsts = encoding.tokenize(tokenizer, [example.text for example in examples])
        seconds = encoding.tokenize_optional(tokenizer, [example.pair for example in examples])
        whole = list(zip(firsts, seconds, strict=True))
        segments = [encoding.cut_longest(*pair, template, max_length) for pair in whole]
        return encoding.build_features(
            template,
            segments,
            labels=[()] * len(segments),
            example=np.arange(len(examples), dtype=np.int32),
            num_truncated=encoding.count_shorter(segments, whole),
        )

    def build_head(self, task: Task, encoder: nn.Module) -> MlmHead:
        return MlmHead(encoder)

    def num_items(self, batch: Batch) -> int:
        """The number of masked tokens; the batch must come from `mask_tokens`."""
        return int((batch.labels != IGNORED).sum())

    def loss(self, head: nn.Module, hidden: Tensor, batch: Batch) -> Tensor:
        masked = _masked(batch)
        logits = head(hidden[masked]).float()
        return cross_entropy(logits, batch.labels[masked], reduction="sum")

    def predict(
        self, head: nn.Module | None, hidden: tuple[Tensor, ...], batch: Batch
    ) -> list[npt.NDArray[np.float32]]:
        """For every masked token of a sequence 1 where the most likely token is the right one, else
        0."""
        assert head is not None
        masked = _masked(batch)
        right = to_numpy(head(hidden[-1][masked]).argmax(dim=-1) == batch.labels[masked])
        ends = masked.sum(dim=1).cumsum(dim=0).tolist()
        return np.split(right, ends[:-1])

    def decode(
        self,
        outputs: Sequence[npt.NDArray[np.float32]],
        features: Features,
        examples: Sequence[TextExample],
        task: Task,
    ) -> list[Hits]:
        return [(int(right.sum()), len(right)) for right in outputs]

    def judge(
        self,
        predictions: Sequence[Hits],
        examples: Sequence[TextExample],
        task: Task,
        language: str,
    ) -> Judgement:
        """`accuracy`: the share of all masked tokens that were restored. Raises ValueError where no
        token is masked."""
        num_masked = sum(masked for _, masked in predictions)
        if num_masked == 0:
            raise ValueError("no masked tokens to score")
        accuracy = sum(right for right, _ in predictions) / num_masked
        rows = outcomes.of_counts((right, masked, masked) for right, masked in predictions)
        return Judgement({"accuracy": accuracy}, rows)


def mask_tokens(
    batch: Batch,
    *,
    generator: torch.Generator,
    mask_id: int,
    vocab_size: int,
    special_ids: Sequence[int],
    share: float,
) -> Batch:
    """A copy of the batch in which a `share` of the tokens is masked; labels become [S, L].

    Each token is drawn independently, but at least one per sequence, so that every row has a loss.
    Of the drawn tokens 80 % become the mask token, 10 % a random token, and 10 % stay (Devlin et
    al. 2019). `generator` is on the CPU; the draws depend only on its state and the shape of the
    batch.
    """
    assert 0 < share <= 1, f"share {share} is not in (0, 1]"
    ids = batch.input_ids
    special = torch.tensor(list(special_ids), dtype=ids.dtype, device=ids.device)
    maskable = batch.attention_mask.bool() & ~torch.isin(ids, special)
    draw = torch.rand(ids.shape, generator=generator).to(ids.device)
    fate = torch.rand(ids.shape, generator=generator).to(ids.device)
    other = torch.randint(vocab_size, ids.shape, generator=generator).to(ids.device)
    draw = draw.masked_fill(~maskable, 2.0)
    chosen = maskable & ((draw < share) | (draw == draw.amin(dim=1, keepdim=True)))
    masked = torch.where(chosen & (fate < _MASKED), mask_id, ids)
    replaced = chosen & (fate >= _MASKED) & (fate < _MASKED + _REPLACED)
    return Batch(
        input_ids=torch.where(replaced, other, masked),
        attention_mask=batch.attention_mask,
        token_type_ids=batch.token_type_ids,
        labels=torch.where(chosen, ids, IGNORED),
    )


def _masked(batch: Batch) -> Tensor:
    assert batch.labels.shape == batch.input_ids.shape, "call mask_tokens before loss and predict"
    return batch.labels != IGNORED
