import copy
import re
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    LongformerConfig,
    LongformerModel,
    MT5Config,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
)

from spaces.refusal import Refusal
from trainables.encoders import checks

SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
WORDS = {"<pad>": 0, "<unk>": 1, "<mask>": 2, "<s>": 3, "a": 4, "b": 5}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MT5Config(), "is an encoder with a decoder (mt5); expected an encoder: write its encoder"),
        (XLMRobertaConfig(is_encoder_decoder=True), "(xlm-roberta); expected an encoder"),
        (XLMRobertaConfig(num_hidden_layers=0), "num_hidden_layers = 0 in config.json"),
        (XLMRobertaConfig(num_hidden_layers=-1), "num_hidden_layers = -1 in config.json"),
        (XLMRobertaConfig(num_hidden_layers=10**15), "expected a number from 1 to 1000"),
        (
            XLMRobertaConfig(attn_implementation="kernels-community/flash-attn"),
            "asks for attention by code of the hub ('kernels-community/flash-attn')",
        ),
    ],
)
def test_what_is_no_encoder_is_known_by_its_config(config, message) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        checks.check_config(config)


def test_a_mend_is_told_only_where_there_is_one() -> None:
    with pytest.raises(Refusal, match=r"expected an encoder$"):
        checks.check_config(XLMRobertaConfig(is_encoder_decoder=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(tiny_encoder, value: float) -> None:
    checks.check_weights(tiny_encoder)
    with torch.no_grad():
        tiny_encoder.encoder.layer[1].output.dense.weight[0, 0] = value
    with pytest.raises(Refusal, match=r"not a number: encoder\.layer\.1\.output\.dense\.weight$"):
        checks.check_weights(tiny_encoder)


def test_a_soundly_reading_encoder_passes_and_nothing_is_drawn(tiny_encoder) -> None:
    before = torch.get_rng_state()
    checks.check_reading(tiny_encoder)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 64}, "gives hidden states of shapes (1, 3, 32) in 3 layers"),
        ({"num_hidden_layers": 3}, "expected (1, 3, 32) of the embeddings and of 3 layers"),
        ({"type_vocab_size": "2"}, "cannot read a text (xlm-roberta): "),
    ],
)
def test_hidden_states_that_no_head_can_read_are_refused(tiny_encoder, change, message) -> None:
    for name, value in change.items():
        tiny_encoder.config.__dict__[name] = value
    with pytest.raises(Refusal, match=re.escape(message)):
        checks.check_reading(tiny_encoder)


def test_states_that_overflow_are_refused(tiny_encoder) -> None:
    with torch.no_grad():
        tiny_encoder.encoder.layer[1].output.LayerNorm.weight.fill_(3e38)
        tiny_encoder.encoder.layer[1].output.LayerNorm.bias.fill_(3e38)
    checks.check_weights(tiny_encoder)
    with pytest.raises(Refusal, match="gives hidden states that are infinite or not a number"):
        checks.check_reading(tiny_encoder)


def test_too_few_embeddings_are_refused() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    encoder = BertModel(BertConfig(vocab_size=5, intermediate_size=8, **sizes))
    with pytest.raises(Refusal, match="has 5 embeddings, too few for a vocabulary"):
        checks.check_reading(encoder)


@pytest.mark.parametrize("pad_id", [-1, None, 0, 2, 399, 10**9, "one"])
def test_any_padding_id_of_a_config_is_taken(tiny_encoder, pad_id) -> None:
    """It only says which ids to try."""
    tiny_encoder.config.__dict__["pad_token_id"] = pad_id
    checks.check_reading(tiny_encoder)


def a_tokenizer(single: str = "<s> $A", pair: str = "<s> $A <s> $B", **changes) -> object:
    tokenizer = Tokenizer(models.WordLevel(changes.pop("words", WORDS), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("<s>", 3)]
    )
    specials = {name: token for name, token in {**SPECIALS, **changes}.items() if token}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)


@pytest.mark.parametrize("mask_token", ["<mask>", None])  # asked for only where tokens are masked
def test_a_whole_tokenizer_passes(mask_token: str | None) -> None:
    checks.check_tokenizer(a_tokenizer(mask_token=mask_token), num_embeddings=6)


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (a_tokenizer(pad_token=None), "has a tokenizer without a pad_token; give it one"),
        (a_tokenizer(pair="<s> $A $B"), "puts no separator between two texts"),
        (a_tokenizer(single="$A"), "puts no separator between two texts"),
        (
            a_tokenizer(
                words={"<pad>": 0, "<unk>": 1, "<mask>": 2, "<s>": 3, "▁": 4}, bos_token="<s>"
            ),
            "has no tokenizer, or one whose vocabulary is only special tokens",
        ),
        (
            a_tokenizer(words={**WORDS, "c": 9}),
            "has 6 embeddings, but its tokenizer has 10 tokens: the two do not belong together",
        ),
        (SimpleNamespace(), "has no fast tokenizer (tokenizer.json)"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(tokenizer, message) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        checks.check_tokenizer(tokenizer, num_embeddings=6)


def test_the_tokenizers_of_the_tests_pass(tokenizer, byte_level, wordpiece) -> None:
    for each in (tokenizer, byte_level, wordpiece):
        checks.check_tokenizer(each, num_embeddings=len(each))


def test_weights_that_no_text_reaches_are_found(tiny_encoder) -> None:
    assert checks.unreached(tiny_encoder) == []
    config = LongformerConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        attention_window=4,
    )
    found = checks.unreached(LongformerModel(config, add_pooling_layer=False))
    assert {name.split(".")[5] for name in found} == {"query_global", "key_global", "value_global"}


def test_looking_for_them_changes_nothing(tiny_encoder) -> None:
    encoder = copy.deepcopy(tiny_encoder).train()
    before = torch.get_rng_state()
    checks.unreached(encoder)
    assert encoder.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.grad is None for weight in encoder.parameters())


def test_a_librarys_words_become_one_short_line() -> None:
    assert checks.in_one_line(ValueError("a\n  b\n\nc")) == "a b c"
    assert checks.in_one_line(KeyError()) == "KeyError()"
    assert len(checks.in_one_line(ValueError("x" * 10**6))) < 400


def test_long_lists_are_cut() -> None:
    assert checks.some("abc") == "a, b, c"
    assert checks.some("abcdefg") == "a, b, c, d, e and 2 more"
