"""Encoders cut to a layer. `test_model_folder` asks whole folders with sentence-transformers."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from trainables.exporting.sentence_folder import cut_to_layer

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "pad_token_id": 1,
}
IDS = torch.tensor([[7, 8, 9, 10]])


def encoder_of(family: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(family, **{**SIZES, **options})).eval()


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "distilbert", "albert"])
def test_the_last_layer_is_the_one_that_was_scored(family: str, layer: int) -> None:
    encoder = encoder_of(family)
    cut: Any = cut_to_layer(encoder, layer)
    assert cut.config.num_hidden_layers == layer
    with torch.inference_mode():
        wanted = encoder(IDS, output_hidden_states=True).hidden_states[layer]
        torch.testing.assert_close(cut(IDS).last_hidden_state, wanted)
    assert encoder.config.num_hidden_layers == 3


def test_a_family_with_a_norm_at_its_end_has_its_last_layer_alone() -> None:
    encoder = encoder_of("modernbert", global_attn_every_n_layers=2)
    with torch.no_grad():
        encoder.final_norm.weight.mul_(3)
    assert cut_to_layer(encoder, 2) is None
    assert cut_to_layer(encoder, 3) is not None
