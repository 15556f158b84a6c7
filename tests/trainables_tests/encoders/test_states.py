import torch
from torch import nn

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from trainables.encoders.states import frozen_names, hidden_states
from trainables.formats.base import collate


def test_the_last_layer_is_the_last_of_all_layers(base, make_features) -> None:
    batch = collate(make_features("rel")[Source(SHIPPED.get("rel"), "en")], [0, 1], pad_id=1)
    layers = hidden_states(base.encoder.eval(), batch, all_layers=True)
    assert [tuple(layer.shape) for layer in layers] == [(*batch.input_ids.shape, 32)] * 3
    (last,) = hidden_states(base.encoder, batch)
    assert torch.equal(last, layers[-1])


def test_segments_are_read_where_the_encoder_has_them(tiny_encoder, make_features) -> None:
    """The tiny one has many, the base has one."""
    batch = collate(make_features("rel")[Source(SHIPPED.get("rel"), "en")], [0, 1], pad_id=1)
    assert batch.token_type_ids.any()
    read = hidden_states(tiny_encoder, batch)[0]
    batch.token_type_ids.zero_()
    assert not torch.equal(read, hidden_states(tiny_encoder, batch)[0])


def test_frozen_parameters_are_named() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert frozen_names(module) == frozenset()
    module[0].requires_grad_(False)
    assert frozen_names(module) == {"0.weight", "0.bias"}
