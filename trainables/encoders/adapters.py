"""LoRA adapters (Hu et al. 2021): a phase trains low-rank matrices beside frozen weights.

The adapters are added to the query and value projections and are merged into these at the end of
the phase. So the next phase gets an encoder without adapters. Only this module knows peft.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from spaces.refusal import Refusal

SCALE = 2.0  # the factor of what adapters add: alpha / rank in peft


def add_adapters(encoder: nn.Module, rank: int, *, seed: int | str) -> Callable[[], None]:
    """Freeze the encoder and add adapters of this rank, drawn from the seed. At the start they add
    zero.

    Returns a function that merges them into the weights and restores the modules of the encoder.
    """
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    torch.manual_seed(random.Random(f"lora:{seed}").getrandbits(63))
    config = LoraConfig(r=rank, lora_alpha=round(SCALE * rank), lora_dropout=0.0, bias="none")
    adapted = LoraModel(encoder, config, "default")

    def merge() -> None:
        adapted.merge_and_unload()

    return merge


def check_adaptable(config: Any, rank: int | None, *, key: str) -> None:
    """Raises Refusal for an encoder whose projections peft does not know, or that is not wider than
    the rank. `key` names the setting of the rank."""
    if rank is None:
        return
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

    if config.model_type not in TARGETS:
        raise Refusal(
            f"{key} is {rank}, but the projections of a {config.model_type!r} encoder are not "
            "known to peft; leave it out"
        )
    if rank >= config.hidden_size:
        raise Refusal(
            f"{key} is {rank}, but the encoder is only {config.hidden_size} wide, so that "
            "adapters of this rank save nothing; take a smaller rank, or leave it out"
        )
