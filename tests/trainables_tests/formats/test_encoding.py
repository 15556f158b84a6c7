import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from trainables.formats.encoding import Template, cut_longest, tokenize, tokenize_optional

TEXTS = ("The old cat sat", "東京は暑い日", "القاهرة هي عاصمة مصر", "दिल्ली भारत")
BARE = Template(head=[1], tail=[2], pair_head=[1], middle=[2, 2], pair_tail=[2])


@pytest.fixture(params=["tokenizer", "wordpiece"])
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    tokenizer: PreTrainedTokenizerFast = request.getfixturevalue(request.param)
    return tokenizer


def test_joined_ids_are_the_tokenizers_own(any_tokenizer: PreTrainedTokenizerFast) -> None:
    template = Template.of(any_tokenizer)
    ids = tokenize(any_tokenizer, TEXTS)
    for first, of_first in zip(TEXTS, ids, strict=True):
        whole, second = template.join(of_first, None)
        assert whole == any_tokenizer(first)["input_ids"]
        assert second == len(whole)
        for other, of_other in zip(TEXTS, ids, strict=True):
            whole, second = template.join(of_first, of_other)
            expected = any_tokenizer(first, other)
            assert whole == expected["input_ids"]
            assert expected.sequence_ids(0).index(1) == second


def test_second_segments_are_where_berts_token_types_say(wordpiece) -> None:
    _, second = Template.of(wordpiece).join(*tokenize(wordpiece, TEXTS[:2]))
    types = wordpiece(*TEXTS[:2], return_token_type_ids=True)["token_type_ids"]
    assert types.index(1) == second


@pytest.mark.parametrize("max_length", range(6, 40))
def test_pairs_are_cut_as_longest_first_cuts_them(max_length: int, any_tokenizer) -> None:
    template = Template.of(any_tokenizer)
    for first, second in (TEXTS[:2], TEXTS[1::-1], TEXTS[2:], (TEXTS[0], TEXTS[0])):
        cut = cut_longest(*tokenize(any_tokenizer, [first, second]), template, max_length)
        expected = any_tokenizer(first, second, truncation=True, max_length=max_length)
        assert template.join(*cut)[0] == expected["input_ids"]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(6, 60))
def test_cut_pairs_fill_the_room(num_first: int, num_second: int, max_length: int) -> None:
    first, second = cut_longest([7] * num_first, [8] * num_second, BARE, max_length)
    assert second is not None
    assert len(first) + len(second) == min(num_first + num_second, max_length - 4)
    assert len(first) <= num_first
    assert len(second) <= num_second


def test_room_counts_special_tokens() -> None:
    assert BARE.room(10, pair=False) == 8
    assert BARE.room(10, pair=True) == 6
    with pytest.raises(ValueError, match="at least 6"):
        BARE.room(5, pair=True)


def test_missing_texts_stay_missing(tokenizer) -> None:
    some = tokenize_optional(tokenizer, [TEXTS[0], None, TEXTS[1]])
    assert some == [*tokenize(tokenizer, TEXTS[:1]), None, *tokenize(tokenizer, TEXTS[1:2])]
    assert tokenize(tokenizer, []) == []
