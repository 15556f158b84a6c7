"""A text prefix is a part of the tokenizer, in every kind of task and in an export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from spaces.refusal import Refusal
from trainables.encoders.model import BaseEncoder
from trainables.encoders.prefix import add_prefix
from trainables.formats.encoding import Template

WORDS = ("query", ":", "a", "Wort", "слово", "字", "b")
BERT, ROBERTA = ("[CLS]", "[SEP]"), ("<s>", "</s>")


def tokenizer_of(
    specials: tuple[str, str] = BERT, post_processor: Any = None, *, has_types: bool = True
) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words and punctuation, with the special tokens of BERT or XLM-R."""
    first, last = specials
    names = ["[PAD]", "[UNK]", first, last, "[MASK]", *WORDS]
    backend = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pair = (
        f"{first} $A {last} $B:1 {last}:1" if has_types else f"{first} $A {last} {last} $B {last}"
    )
    backend.post_processor = post_processor or processors.TemplateProcessing(
        single=f"{first} $A {last}", pair=pair, special_tokens=[(first, 2), (last, 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token=first,
        sep_token=last,
        mask_token="[MASK]",
    )


@pytest.mark.parametrize(
    ("tokenizer", "has_types"),
    [
        (tokenizer_of(), True),
        (tokenizer_of(ROBERTA, has_types=False), False),
        (tokenizer_of(post_processor=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))), True),
    ],
    ids=["template of BERT", "template of XLM-R", "BertProcessing"],
)
def test_the_prefix_stands_before_the_first_segment(
    tokenizer: PreTrainedTokenizerFast, has_types: bool, tmp_path: Path
) -> None:
    prefix = tokenizer("query:", add_special_tokens=False)["input_ids"]
    alone, pair = tokenizer("Wort b"), tokenizer("Wort", "b", return_token_type_ids=True)
    template = Template.of(tokenizer)
    add_prefix(tokenizer, "query: ")
    assert tokenizer("Wort b")["input_ids"] == [2, *prefix, *alone["input_ids"][1:]]
    after = tokenizer("Wort", "b", return_token_type_ids=True)
    assert after["input_ids"] == [2, *prefix, *pair["input_ids"][1:]]
    assert after["token_type_ids"] == [0] * len(prefix) + pair["token_type_ids"]
    assert (max(after["token_type_ids"]) == 1) == has_types
    assert after.sequence_ids(0)[: 1 + len(prefix)] == [None] * (1 + len(prefix))
    assert after.tokens()[:3] == [tokenizer.cls_token, "query", ":"]
    changed = Template.of(tokenizer)
    assert changed.head == [*template.head, *prefix]
    assert changed.pair_head == [*template.pair_head, *prefix]
    assert (changed.tail, changed.middle) == (template.tail, template.middle)
    assert changed.room(32, pair=True) == template.room(32, pair=True) - len(prefix)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    assert loaded("Wort", "b")["input_ids"] == after["input_ids"]


@given(st.lists(st.sampled_from(WORDS), min_size=1))
def test_a_text_has_the_tokens_of_a_row_that_holds_the_prefix(words: list[str]) -> None:
    plain, prefixed = tokenizer_of(), tokenizer_of()
    add_prefix(prefixed, "query: ")
    text = " ".join(words)
    assert prefixed(text)["input_ids"] == plain(f"query: {text}")["input_ids"]


def test_no_prefix_changes_nothing() -> None:
    tokenizer = tokenizer_of()
    before = tokenizer.backend_tokenizer.to_str()
    add_prefix(tokenizer, "")
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_tokenizer_that_joins_the_prefix_with_the_text_is_refused() -> None:
    """One that keeps blanks: the text after the prefix begins with one, alone it does not."""
    tokenizer = tokenizer_of()
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.model = models.BPE(
        {**{c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}}, []
    )
    with pytest.raises(Refusal, match=r"text_prefix 'query: ': .* otherwise than alone; leave"):
        add_prefix(tokenizer, "query: ")


@pytest.mark.parametrize("prefix", [" ", "\n"])
def test_a_blank_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(Refusal, match="leave text_prefix out"):
        add_prefix(tokenizer_of(), prefix)


def test_a_post_processor_of_another_kind_is_refused() -> None:
    tokenizer = tokenizer_of(
        post_processor=processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    )
    with pytest.raises(Refusal, match="by RobertaProcessing, where a template is expected"):
        add_prefix(tokenizer, "query: ")


def test_the_prefix_is_part_of_the_tokenizers_digest_alone(encoder_folder: Path) -> None:
    plain = BaseEncoder.load(str(encoder_folder))
    prefixed = BaseEncoder.load(str(encoder_folder), text_prefix="a ")
    assert prefixed.weights_digest == plain.weights_digest
    assert prefixed.tokenizer_digest != plain.tokenizer_digest


def test_a_study_with_a_prefix_has_keys_of_its_own(
    open_context: Callable[..., Any], make_phase: Callable[..., Any]
) -> None:
    phase = make_phase("rel")
    plain, prefixed = open_context(), open_context(study={"text_prefix": "a "})
    assert plain.key_facts.key(phase, None) != prefixed.key_facts.key(phase, None)
    assert plain.settings.digest() != prefixed.settings.digest()
    with pytest.raises(Refusal, match=r"study\.text_prefix is ' ', a blank text"):
        open_context(study={"text_prefix": " "})
