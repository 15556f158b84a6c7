"""The tokenizer of a model folder: a plain call gives the ids that the model was trained on."""

import copy
from typing import Any

from tokenizers.processors import PostProcessor
from transformers import PreTrainedTokenizerFast

from trainables.encoders.prefix import TOKEN, template_of
from trainables.formats.encoding import Template

SEGMENTS = "token_type_ids"


def plain_tokenizer(
    tokenizer: PreTrainedTokenizerFast, config: Any, *, max_length: int | None
) -> PreTrainedTokenizerFast:
    """A copy of the tokenizer for an encoder with this config.

    It cuts at `max_length` tokens where it is called with `truncation=True` (None: where the given
    one cuts), and pads and cuts at the right. It gives `token_type_ids` exactly where the encoder
    has embeddings for them: 1 for the second text and what follows it, else 0.
    """
    plain = copy.deepcopy(tokenizer)
    if max_length is not None:
        plain.model_max_length = max_length
    plain.padding_side = plain.truncation_side = "right"
    names = [name for name in plain.model_input_names if name != SEGMENTS]
    has_segments = getattr(config, "type_vocab_size", 0) > 1
    plain.model_input_names = [*names, SEGMENTS] if has_segments else names
    plain.init_kwargs["model_input_names"] = plain.model_input_names  # these are saved
    if has_segments and not _marks_the_second(plain):
        plain.backend_tokenizer.post_processor = _marking(plain)
    return plain


def _marks_the_second(tokenizer: PreTrainedTokenizerFast) -> bool:
    pair = tokenizer("a", "a")
    second = pair.sequence_ids(0).index(1)
    expected = [int(token >= second) for token in range(len(pair["input_ids"]))]
    return list(pair[SEGMENTS]) == expected and not any(tokenizer("a")[SEGMENTS])


def _marking(tokenizer: PreTrainedTokenizerFast) -> PostProcessor:
    """The same special tokens, with segments. XLM-R's tokenizer says 0 everywhere, and some BERT
    models are used with it."""
    template = Template.of(tokenizer)

    def pieces(ids: list[int], segment: int) -> list[str]:
        return [f"{TOKEN}{token_id}:{segment}" for token_id in ids]

    single = [*pieces(template.head, 0), "$A:0", *pieces(template.tail, 0)]
    first = [*pieces(template.pair_head, 0), "$A:0", *pieces(template.middle, 0)]
    return template_of(tokenizer, single, [*first, "$B:1", *pieces(template.pair_tail, 1)])
