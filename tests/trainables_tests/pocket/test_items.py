import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.inventory import KINDS, Item, draw, draw_of_kinds
from trainables.pocket.items import (
    NER_TAGS,
    POS_TAGS,
    item_text,
    phrase,
    phrase_text,
    segments_of,
    split_words,
    words_of,
)

DATE = Item("date", "2021/3/5")


def tagged(item: Item, language: str) -> str:
    return " ".join(f"{word.text}/{word.pos}" for word in words_of(item, language))


@pytest.mark.parametrize(
    ("item", "language", "expected"),
    [
        (DATE, "en", "March/PROPN 5/NUM ,/PUNCT 2021/NUM"),
        (DATE, "es", "5/NUM de/ADP marzo/PROPN de/ADP 2021/NUM"),
        (DATE, "zh", "2021/NUM 年/NOUN 3/NUM 月/NOUN 5/NUM 日/NOUN"),
        (Item("relative", "day/-3"), "en", "3/NUM days/NOUN ago/ADP"),
        (Item("relative", "day/3"), "fi", "3/NUM päivän/NOUN päästä/ADP"),
        (Item("relative", "day/-3"), "sw", "siku/NOUN 3/NUM zilizopita/ADP"),
        (Item("relative", "month/2"), "ar", "خلال/ADP شهرين/NOUN"),
        (Item("amount", "mass-gram/3"), "ru", "3/NUM грамма/NOUN"),
        (Item("amount", "concentr-percent/3"), "tr", "yüzde/NOUN 3/NUM"),
        (Item("month", "4"), "ja", "4/NUM 月/NOUN"),
        (Item("currency", "ILS"), "en", "Israeli/NOUN New/NOUN Shekel/NOUN"),
    ],
)
def test_items_in_languages(item: Item, language: str, expected: str) -> None:
    assert tagged(item, language) == expected


def test_words_are_split_the_same_way_everywhere() -> None:
    assert split_words("3. März\u00a02021,x") == ["3", ".", "März", "2021", ",", "x"]
    assert split_words("7 सप्ताह पहले") == ["7", "सप्ताह", "पहले"]
    assert split_words("2021年3月") == ["2021", "年", "3", "月"]
    assert split_words("\u200fمارس") == ["مارس"]


@given(st.text(max_size=30))
def test_splitting_what_was_split_changes_nothing(text: str) -> None:
    words = split_words(text)
    assert split_words(" ".join(words)) == words


@given(st.sampled_from(LANGUAGES), st.sampled_from(KINDS), st.integers())
def test_words_are_the_segments(language: str, kind: str, seed: int) -> None:
    item = draw(kind, random.Random(seed))  # type: ignore[arg-type]
    text = " ".join(text for text, _ in segments_of(item, language))
    assert [word.text for word in words_of(item, language)] == split_words(text)
    assert item_text(item, language)


@given(st.sampled_from(LANGUAGES), st.integers(1, 6), st.integers())
def test_phrases(language: str, num_items: int, seed: int) -> None:
    items = draw_of_kinds(num_items, random.Random(seed))
    predicted = phrase(items, language)
    assert predicted.text == phrase_text(items, language)
    assert {word.pos for word in predicted.words} <= set(POS_TAGS)
    assert {word.entity for word in predicted.words} <= set(NER_TAGS)
    assert sum(word.entity.startswith("B-") for word in predicted.words) == num_items
    for item, start in zip(items, predicted.starts, strict=True):
        words = words_of(item, language)
        assert predicted.words[start : start + len(words)] == words


def test_lists_are_joined_as_the_language_does() -> None:
    items = [Item("weekday", "0"), Item("month", "1"), Item("language", "de")]
    assert phrase_text(items, "en") == "Monday , January , and German"
    assert phrase_text(items[:2], "de") == "Montag und Januar"
    assert phrase_text(items, "ar") == "الاثنين و يناير و الألمانية"
