from types import SimpleNamespace

import pytest
import torch

from spaces.phases import Pooling
from trainables.formats.heads import (
    PooledHead,
    fresh_linear,
    masked_mean,
    norm_eps,
    split_by_length,
    to_numpy,
    width_of,
)


def test_fresh_weights_are_small_and_biases_zero() -> None:
    torch.manual_seed(0)
    linear = fresh_linear(200, 100)
    assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not linear.bias.any()


def test_padding_takes_no_part_in_the_mean() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]]])
    assert masked_mean(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 3.0]]


def test_pooled_head_has_the_layout_of_xlm_r(tiny_encoder) -> None:
    head = PooledHead(width_of(tiny_encoder), 3)
    assert head(torch.zeros(5, 7, 32), torch.ones(5, 7)).shape == (5, 3)
    shapes = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    assert shapes == {
        "dense.weight": (32, 32),
        "dense.bias": (32,),
        "out_proj.weight": (3, 32),
        "out_proj.bias": (3,),
    }


def test_what_a_pooled_head_reads() -> None:
    hidden, mask = torch.randn(2, 3, 8), torch.tensor([[1, 1, 0], [1, 1, 1]])
    torch.manual_seed(0)
    mean = PooledHead(8, 2)
    first = PooledHead(8, 2, pooling=Pooling.FIRST)
    first.load_state_dict(mean.state_dict())
    changed = hidden.clone()
    changed[:, 1] += 1
    assert torch.equal(first(hidden, mask), first(changed, mask))
    assert not torch.equal(mean(hidden, mask), mean(changed, mask))
    changed = hidden.clone()
    changed[0, 2] += 1  # padding
    assert torch.equal(mean(hidden, mask), mean(changed, mask))


def test_half_precision_comes_back_as_single() -> None:
    values = to_numpy(torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True))
    parts = split_by_length(values, torch.tensor([[1, 1, 1], [1, 0, 0]]))
    assert [part.tolist() for part in parts] == [[1, 1, 1], [1]]
    assert parts[0].dtype == "float32"


@pytest.mark.parametrize(
    ("config", "eps"),
    [
        ({"layer_norm_eps": 1e-5}, 1e-5),  # XLM-R, BERT
        ({"layer_norm_epsilon": 1e-6}, 1e-6),  # T5
        ({"norm_eps": 1e-4}, 1e-4),  # ModernBERT
        ({"rms_norm_eps": 1e-3}, 1e-3),  # EuroBERT
        ({"layer_norm_eps": None}, 1e-12),
        ({}, 1e-12),  # DistilBERT
    ],
)
def test_the_epsilon_of_norms_has_many_names(config, eps: float) -> None:
    assert norm_eps(SimpleNamespace(**config)) == eps
