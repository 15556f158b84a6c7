"""Shared parts of heads: initialisation, masked mean pooling, the pooled head."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spaces.phases import Pooling

_INIT_STD = 0.02  # initializer_range of BERT and XLM-R
# The names that configs of transformers have for the epsilon of their norms.
_EPSILONS = ("layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps")
_USUAL_EPSILON = 1e-12  # where the config has none: that of BERT, which is in DistilBERT's code


def fresh_linear(num_inputs: int, num_outputs: int) -> nn.Linear:
    """A linear layer with weights drawn from normal(0, 0.02) by torch's global generator, and bias
    zero."""
    linear = nn.Linear(num_inputs, num_outputs)
    nn.init.normal_(linear.weight, std=_INIT_STD)
    nn.init.zeros_(linear.bias)
    return linear


def width_of(encoder: nn.Module) -> int:
    """The width of the encoder's hidden states (H)."""
    width = encoder.config.hidden_size  # type: ignore[union-attr]
    assert isinstance(width, int)
    return width


def norm_eps(config: Any) -> float:
    """The epsilon of the encoder's own layer norms."""
    found = (getattr(config, name, None) for name in _EPSILONS)
    return next((float(eps) for eps in found if eps is not None), _USUAL_EPSILON)


def masked_mean(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean over the tokens of a sequence, special tokens included: [S, L, H] to [S, H]."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


class PooledHead(nn.Module):
    """Dense, tanh, out_proj, without dropout: hidden states [S, L, H] to logits [S, num_outputs].

    Layout and names are those of XLM-R's classification head. By default its input differs: the
    masked mean of all tokens instead of the first token.
    """

    def __init__(self, width: int, num_outputs: int, *, pooling: Pooling = Pooling.MEAN) -> None:
        super().__init__()
        self.pooling = pooling
        self.dense = fresh_linear(width, width)
        self.out_proj = fresh_linear(width, num_outputs)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        first = self.pooling is Pooling.FIRST
        pooled = hidden[:, 0] if first else masked_mean(hidden, attention_mask)
        logits: Tensor = self.out_proj(torch.tanh(self.dense(pooled)))
        return logits


def to_numpy(values: Tensor) -> npt.NDArray[np.float32]:
    """The values as float32 on the CPU, in one copy for the whole batch."""
    return values.detach().float().cpu().numpy()


def split_by_length(
    values: npt.NDArray[np.float32], attention_mask: Tensor
) -> list[npt.NDArray[np.float32]]:
    """One array per sequence from [S, L, ...], with its padding (on the right) cut off."""
    lengths = attention_mask.sum(dim=1).tolist()
    return [row[:length].copy() for row, length in zip(values, lengths, strict=True)]
