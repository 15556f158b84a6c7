"""What an encoder makes of a batch, and what of it is trained."""

from torch import Tensor, nn

from trainables.formats.base import Batch


def hidden_states(
    encoder: nn.Module, batch: Batch, *, all_layers: bool = False
) -> tuple[Tensor, ...]:
    """The states of the last layer, or those of the embeddings and every layer; each [sequences,
    tokens, width]."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    # `module` where it is wrapped for several workers
    config = getattr(encoder, "module", encoder).config
    if getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch.token_type_ids
    output = encoder(**inputs, output_hidden_states=all_layers)
    return tuple(output.hidden_states) if all_layers else (output.last_hidden_state,)


def frozen_names(module: nn.Module) -> frozenset[str]:
    """The names of the parameters that are not trained."""
    return frozenset(name for name, p in module.named_parameters() if not p.requires_grad)
