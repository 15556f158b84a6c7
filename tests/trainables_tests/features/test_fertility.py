"""Tokens for a word, or for a character, on rows counted by hand."""

import pytest

from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.features.fertility import fertility

TEXT = "the cat  sat"  # three words, ten characters and more than one space
ROWS: dict[str, Example] = {
    "pair": PairExample(id="1", text_a=TEXT, text_b=None, label="x"),
    "choice": ChoiceExample(id="1", text="the", choices=("cat", "sat"), label=0),
    "span": SpanExample(id="1", question="the", context="cat sat", answers=()),
    "tagging": TaggingExample(id="1", words=("the", "cat", "sat"), tags=("X", "X", "X")),
    "retrieval": RetrievalExample(id="1", text=TEXT, pivot="not counted at all"),
    "sentence": SentenceExample(id="1", text=TEXT, is_pivot=False, partners=()),
    "text": TextExample(id="1", text=TEXT, pair="not counted at all"),
}


def num_tokens(tokenizer, *texts: str) -> int:
    return sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)


@pytest.mark.parametrize("kind", ROWS)
def test_tokens_for_a_word(tokenizer, kind: str) -> None:
    parts = {
        "choice": ["the", "cat", "sat"],
        "span": ["the", "cat sat"],
        "tagging": ["the cat sat"],
    }
    expected = num_tokens(tokenizer, *parts.get(kind, [TEXT])) / 3
    assert fertility([ROWS[kind]], "en", tokenizer=tokenizer) == pytest.approx(expected)
    assert expected >= 1


@pytest.mark.parametrize("kind", ["pair", "tagging"])
def test_tokens_for_a_character_where_no_space_parts_words(tokenizer, kind: str) -> None:
    rows = {
        "pair": PairExample(id="1", text_a="猫が 座る", text_b="", label="x"),
        "tagging": TaggingExample(id="1", words=("猫が", "座る"), tags=("X", "X")),
    }
    text = {"pair": "猫が 座る", "tagging": "猫が座る"}[kind]
    result = fertility([rows[kind]], "ja", tokenizer=tokenizer)
    assert result == pytest.approx(num_tokens(tokenizer, text) / 4)


def test_longer_words_take_more_tokens(tokenizer) -> None:
    short = [PairExample(id="1", text_a="a b c", text_b=None, label="x")]
    long = [PairExample(id="1", text_a="abcxyzzyq bcxyzzyqq cxyzzyqqq", text_b=None, label="x")]
    assert fertility(short, "en", tokenizer=tokenizer) < fertility(long, "en", tokenizer=tokenizer)


def test_no_text_has_no_fertility(tokenizer) -> None:
    pivot = SentenceExample(id="1", text=TEXT, is_pivot=True, partners=())
    assert fertility([], "en", tokenizer=tokenizer) is None
    assert fertility([pivot], "de", tokenizer=tokenizer) is None


def test_the_tokenizer_is_left_as_it_was(tokenizer) -> None:
    """No truncation is set on it that later rows would be cut by."""
    long = "word " * 400
    before = tokenizer(long, verbose=False)["input_ids"]
    fertility([PairExample(id="1", text_a=long, text_b=None, label="x")], "en", tokenizer=tokenizer)
    assert tokenizer(long, verbose=False)["input_ids"] == before
