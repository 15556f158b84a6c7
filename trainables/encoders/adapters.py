"""LoRA (Hu et al. 2021): a phase trains small matrices beside frozen ones, of which peft knows.

They stand beside the query and value projections, and are added to these at the end of the phase:
what crosses a phase boundary is an encoder as any other.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from spaces.refusal import Refusal

SCALE = 2.0  # of what adapters add; peft's alpha over the rank


def add_adapters(encoder: nn.Module, rank: int, *, seed: int | str) -> Callable[[], None]:
    """Freeze the encoder and put adapters, drawn from the seed, into it. They add nothing yet.

    Returns what merges them into the weights and leaves the encoder as it was built.
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
    """Refuse an encoder whose projections peft does not know by name, or that is no wider than the
    adapters."""
    if rank is None:
        return
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

    if config.model_type not in TARGETS:
        raise Refusal(
            f"{key} is {rank}, but which projections a {config.model_type!r} encoder has is not "
            "known; leave it out"
        )
    if rank >= config.hidden_size:
        raise Refusal(
            f"{key} is {rank}, and the encoder is {config.hidden_size} wide: adapters of that rank "
            "save nothing; take a smaller one, or leave it out"
        )
