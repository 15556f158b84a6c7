"""Reads the encoder of a folder or of the hub: its config, its weights, its tokenizer."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from spaces.refusal import Refusal
from trainables.encoder_files import check_folder, fault_on_hub
from trainables.encoders import checks
from trainables.quiet import quiet_libraries

EXPECTED = (
    "a folder (or hub name) with config.json, a fast tokenizer and safetensors, as `pretrain` "
    "writes it"
)


def read_encoder(
    folder: str, *, revision: str | None = None
) -> tuple[nn.Module, PreTrainedTokenizerFast, dict[str, Tensor]]:
    """The encoder in float32, its tokenizer, and the weights of its pooler: empty where the files
    have none. The encoder keeps no pooler where its class can be without one.

    Only safetensors are read, and code that comes with an encoder is never run. Raises Refusal, in
    one line, for everything that cannot be trained as an encoder (see `checks`).
    """
    quiet_libraries()
    if Path(folder).is_dir():
        check_folder(folder)
    try:
        config = _read_config(folder, revision)
        encoder, pooler = _read_weights(folder, revision, config)
        checks.check_weights(encoder)
        checks.check_reading(encoder)
        tokenizer = _read_tokenizer(folder, revision)
        checks.check_tokenizer(tokenizer, num_embeddings=checks.embeddings_of(encoder).shape[0])
    except Refusal as error:
        fault = None if Path(folder).is_dir() else fault_on_hub(folder, revision)
        raise Refusal(f"encoder {folder!r} {fault or error}") from error
    return encoder, tokenizer, pooler


def _read_config(folder: str, revision: str | None) -> Any:
    with _refusing():
        config = AutoConfig.from_pretrained(folder, revision=revision, trust_remote_code=False)
    half = checks.encoder_alone(config)
    if half is not None and config.architectures == [half]:
        config.is_encoder_decoder = False  # UMT5EncoderModel leaves it as it was
    checks.check_config(config)
    if getattr(config, "attention_type", None) == "block_sparse":
        # BigBird leaves sparse attention for good at the first batch that is short, so that
        # results would depend on the order of batches.
        config.attention_type = "original_full"
    return config


def _read_weights(
    folder: str, revision: str | None, config: Any
) -> tuple[nn.Module, dict[str, Tensor]]:
    with _refusing():
        encoder, loading = _auto_class(config).from_pretrained(
            folder,
            config=config,
            revision=revision,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # Missing weights would be drawn at random without a warning.
    missing = sorted(loading["missing_keys"])
    others = [key for key in missing if "pooler" not in key]
    if others:
        raise Refusal(f"has no weights {checks.some(others)}; expected {EXPECTED}")
    pooler: Any = getattr(encoder, "pooler", None)
    state = {} if missing or pooler is None else dict(pooler.state_dict())
    if "add_pooling_layer" in inspect.signature(type(encoder)).parameters:
        encoder.pooler = None
    else:  # no hidden state reads it, but equal folders must have equal weights
        for name in missing:
            nn.init.zeros_(encoder.get_parameter(name))
    assert isinstance(encoder, nn.Module)
    return encoder, state


def _read_tokenizer(folder: str, revision: str | None) -> Any:
    with _refusing():
        return AutoTokenizer.from_pretrained(folder, revision=revision, trust_remote_code=False)


def _auto_class(config: Any) -> Any:
    """The class that chooses the architecture. `AutoModel` takes a folder of T5's encoder alone for
    an encoder with a decoder."""
    has_own = type(config) in AutoModelForTextEncoding._model_mapping
    return AutoModelForTextEncoding if has_own else AutoModel


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever transformers raises into a Refusal: a wrong value in a file may make any of its
    lines fail."""
    try:
        yield
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise Refusal(
                "needs Python code that comes with it (auto_map), and such code is never run; "
                "expected an architecture and a tokenizer that transformers has itself, as those "
                "that docs/reference/encoders.md lists"
            ) from error
        reason = checks.in_one_line(error)
        if "ignore_mismatched_sizes" in reason:  # it points to a table that it printed elsewhere
            reason = "its weights have other shapes than its config.json says"
        raise Refusal(f"cannot be loaded: {reason}. Expected {EXPECTED}") from error
