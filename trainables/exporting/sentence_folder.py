"""A retrieval model as a folder that the library sentence-transformers loads."""

import copy
import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

# The names that every version of the library since 2.0 reads.
_MODULES = "sentence_transformers.models"
_BY_LAYER = ("layer_types", "attention_window")  # lists with a value for each layer
_PROBE = (2, 6)  # sequences and tokens of the batch that two encoders are compared on


def cut_to_layer(encoder: nn.Module, layer: int) -> nn.Module | None:
    """An encoder whose last hidden states are those that `encoder` has at `layer`, without the
    layers above. None where the family has none: a norm after the last layer (ModernBERT, T5) would
    be applied to a lower one."""
    config: Any = copy.deepcopy(encoder.config)
    by_layer = {name: getattr(config, name, None) for name in _BY_LAYER}
    config.num_hidden_layers = layer
    for name, values in by_layer.items():
        if isinstance(values, list):
            setattr(config, name, values[:layer])
    has_option = "add_pooling_layer" in inspect.signature(type(encoder)).parameters
    cut = type(encoder)(config, **({"add_pooling_layer": False} if has_option else {}))
    state, kept = encoder.state_dict(), cut.state_dict()
    if any(name not in state or state[name].shape != old.shape for name, old in kept.items()):
        return None  # ESM has a weight for all layers together
    cut.load_state_dict({name: state[name] for name in kept})
    ids = torch.arange(10, 10 + _PROBE[0] * _PROBE[1]).view(_PROBE) % config.vocab_size
    whole: Any = copy.deepcopy(encoder).cpu().eval()
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.inference_mode():
        wanted = whole(**inputs, output_hidden_states=True).hidden_states[layer]
        found = cut.eval()(**inputs).last_hidden_state
    return cut if torch.allclose(wanted, found, atol=1e-5) else None


def write_modules(folder: Path, *, width: int, max_length: int) -> None:
    """Write what the library needs beside the encoder and the tokenizer: the mean over all tokens,
    special tokens included, and cosine similarity."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{_MODULES}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{_MODULES}.Pooling"},
    ]
    pooling = {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    (folder / "1_Pooling").mkdir()
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", pooling)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length})
    _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1))
