"""What an encoder must have so that every head can be trained on it. Each check raises Refusal with
a sentence that lacks its subject: the caller puts the encoder's name in front."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from spaces.refusal import Refusal, one_line
from trainables.encoders.states import hidden_states
from trainables.formats import encoding
from trainables.formats.base import Batch

NUM_TRIED = 3  # tokens of the text that is tried, and of the padding beside it
TOLERANCE = 1e-4  # of the largest state: rounding stays far below, what leaks lies above
MAX_LAYERS = 1000
MAX_REASON = 300  # letters of a library's own words


def check_config(config: Any) -> None:
    """Raises Refusal for an encoder with a decoder behind it, for one that fetches code for its
    attention, and for numbers of layers that no encoder has (transformers would build them one by
    one, whatever the weights are)."""
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        half = encoder_alone(config)
        mend = f": write its encoder alone with transformers.{half}" if half else ""
        raise Refusal(f"is an encoder with a decoder ({kind}); expected an encoder{mend}")
    kernel = getattr(config, "_attn_implementation", None)
    if isinstance(kernel, str) and "/" in kernel:
        raise Refusal(
            f"asks for attention by code of the hub ({kernel!r}), and such code is never run; take "
            "attn_implementation out of config.json"
        )
    num_layers = getattr(config, "num_hidden_layers", None)
    if not isinstance(num_layers, int) or not 1 <= num_layers <= MAX_LAYERS:
        raise Refusal(
            f"has num_hidden_layers = {num_layers!r} in config.json; expected a number from 1 to "
            f"{MAX_LAYERS}"
        )


def encoder_alone(config: Any) -> str | None:
    """The class of transformers that is the encoder of such an encoder with a decoder; None where
    there is none."""
    half = MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(config.model_type)
    return half if half != MODEL_MAPPING_NAMES.get(config.model_type) else None


def check_weights(encoder: nn.Module) -> None:
    """Raises Refusal for weights that are not finite, and for an encoder without a table of
    embeddings."""
    broken = [name for name, weight in encoder.named_parameters() if not _is_finite(weight)]
    if broken:
        raise Refusal(f"has weights that are infinite or not a number: {some(broken)}")
    embeddings_of(encoder)


def embeddings_of(encoder: Any) -> Tensor:
    """The input embeddings, [number of tokens, width]. Raises Refusal where there are none."""
    try:
        weight = encoder.get_input_embeddings().weight
    except (NotImplementedError, AttributeError) as error:
        raise Refusal(
            f"has no table of token embeddings ({encoder.config.model_type}); expected an encoder "
            "that reads the ids of a tokenizer"
        ) from error
    assert isinstance(weight, Tensor)
    return weight


def check_reading(encoder: Any) -> None:
    """Let the encoder read a few tokens. Raises Refusal where it cannot, where its hidden states
    have not the shape that heads expect, where padding changes them, and where those of a token do
    not depend on the tokens after it."""
    alone = torch.arange(NUM_TRIED).unsqueeze(0) + _first_id(encoder)
    padded = torch.cat([alone, torch.full_like(alone, _pad_id(encoder))], dim=1)
    other = padded.clone()
    other[0, 1] = alone[0, -1]
    *layers, states = _states(encoder, alone)
    kind, width = encoder.config.model_type, encoder.config.hidden_size
    num_layers = encoder.config.num_hidden_layers
    expected = (1, NUM_TRIED, width)
    shapes = [tuple(found.shape) for found in (*layers, states)]
    if shapes != [expected] * (num_layers + 2):
        raise Refusal(
            f"gives hidden states of shapes {some(map(str, dict.fromkeys(shapes)))} in "
            f"{len(layers)} layers ({kind}); expected {expected} of the embeddings and of "
            f"{num_layers} layers"
        )
    if not states.isfinite().all():
        raise Refusal("gives hidden states that are infinite or not a number")
    beside_padding = _states(encoder, padded)[-1][:, :NUM_TRIED]
    largest = float(states.abs().max())
    if not torch.allclose(states, beside_padding, rtol=0, atol=TOLERANCE * largest):
        raise Refusal(
            f"gives other hidden states where padding follows ({kind}), so that scores would "
            "depend on the batch; expected an encoder that ignores padding"
        )
    if torch.equal(beside_padding[:, 0], _states(encoder, other)[-1][:, 0]):
        raise Refusal(
            f"gives a token the same hidden states whatever follows it ({kind}), as decoders do; "
            "expected an encoder, in which every token sees the whole text"
        )


def _states(encoder: Any, ids: Tensor) -> list[Tensor]:
    """The states of the embeddings and of every layer, then those of the last layer as training
    reads them; each [1, tokens, H]."""
    mask, segments = torch.ones_like(ids), torch.zeros_like(ids)
    mask[:, NUM_TRIED:], segments[:, NUM_TRIED - 1] = 0, 1
    batch = Batch(ids, mask, segments, labels=ids)
    try:
        with torch.no_grad():
            layers = hidden_states(encoder, batch, all_layers=True)
            return [*layers, *hidden_states(encoder, batch)]
    except Exception as error:
        raise Refusal(
            f"cannot read a text ({encoder.config.model_type}): {in_one_line(error)}"
        ) from error


def _first_id(encoder: Any) -> int:
    """An id from which NUM_TRIED ids on are no padding."""
    pad_id, num_ids = _pad_id(encoder), len(embeddings_of(encoder))
    if num_ids < 2 * NUM_TRIED + 1:
        raise Refusal(f"has {num_ids} embeddings, too few for a vocabulary")
    return 0 if pad_id >= NUM_TRIED else NUM_TRIED


def _pad_id(encoder: Any) -> int:
    pad_id = getattr(encoder.config, "pad_token_id", None)
    return pad_id if isinstance(pad_id, int) and 0 <= pad_id < len(embeddings_of(encoder)) else 0


def check_tokenizer(tokenizer: Any, *, num_embeddings: int) -> None:
    """Raises Refusal for a tokenizer that is not fast, has no vocabulary, has more tokens than the
    encoder has embeddings, cannot pad, or puts nothing between two texts."""
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise Refusal("has no fast tokenizer (tokenizer.json)")
    ids = tokenizer.get_vocab()
    words = ids.keys() - tokenizer.get_added_vocab().keys() - set(tokenizer.all_special_tokens)
    if not any(letter.isalnum() for word in words for letter in word):
        raise Refusal(
            "has no tokenizer, or one whose vocabulary is only special tokens; put the tokenizer's "
            "files (tokenizer.json) beside config.json"
        )
    if max(ids.values()) >= num_embeddings:
        raise Refusal(
            f"has {num_embeddings} embeddings, but its tokenizer has {max(ids.values()) + 1} "
            "tokens: the two do not belong together"
        )
    if tokenizer.pad_token_id is None:
        raise Refusal("has a tokenizer without a pad_token; give it one")
    try:
        template = encoding.Template.of(tokenizer)
    except ValueError as error:
        raise Refusal(f"cannot be used: {error}") from error
    if not template.middle or not (template.head or template.tail):
        raise Refusal(
            "has a tokenizer that puts no separator between two texts; give it a post-processor "
            "that adds one, as [SEP] in '[CLS] A [SEP] B [SEP]'"
        )


def unreached(encoder: nn.Module) -> list[str]:
    """The names of trainable weights on which the last hidden states of a text do not depend."""
    device = next(encoder.parameters()).device
    ids = torch.arange(NUM_TRIED, device=device).unsqueeze(0) + _first_id(encoder)
    was_training = encoder.training
    encoder.eval()
    with torch.enable_grad():
        output = encoder.forward(input_ids=ids, attention_mask=torch.ones_like(ids))
    encoder.train(was_training)
    waiting, seen, reached = [output.last_hidden_state.grad_fn], set(), set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        reached.add(id(getattr(node, "variable", None)))
        waiting.extend(following for following, _ in node.next_functions)
    return [n for n, p in encoder.named_parameters() if p.requires_grad and id(p) not in reached]


def some(names: Any) -> str:
    """The first five names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def in_one_line(error: BaseException) -> str:
    """A library's words, however many lines they have, cut to a readable length."""
    return one_line(" ".join(str(error).split()) or repr(error), limit=MAX_REASON)


def _is_finite(weight: Tensor) -> bool:
    return not weight.is_floating_point() or bool(weight.isfinite().all())
