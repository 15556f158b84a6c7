import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.tasks.task import MLQA_LANGUAGES
from trainables.scoring.normalization import mlqa_normalizer, normalize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat, sat!", "cat sat"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),
        ("the-cat", "thecat"),  # punctuation goes before articles do, as in the SQuAD script
        ("ÉCOLE", "école"),
        ("東京。", "東京。"),  # only ASCII punctuation
        ("«Москва», 1812 г.", "«москва» 1812 г"),
        ("«الـقاهرة»", "«الـقاهرة»"),
        ("दिल्ली।", "दिल्ली।"),
        ("กรุงเทพฯ.", "กรุงเทพฯ"),
        ("%", ""),
    ],
)
def test_squads_rules_are_english_in_every_script(text: str, expected: str) -> None:
    assert normalize(text) == expected


@given(st.text())
def test_single_spaces_between_words(text: str) -> None:
    assert normalize(text) == " ".join(normalize(text).split())


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The “Cat”, a — dog!", "cat dog"),
        ("en", "$5 and 3%", "5 and 3"),  # `$` is ASCII punctuation, though a symbol in Unicode
        ("en", "€5", "€5"),
        ("de", "Die Straße des Königs, ein Haus", "straße königs haus"),
        ("de", "einer eines einen einem eine derer", "derer"),
        ("es", "¿Los años de la guerra?", "años de guerra"),
        ("vi", "Những ngôi nhà của tôi", "ngôi nhà tôi"),
        ("ar", "«القاهرة»، مصر؟", "قاهرة مصر"),
        ("ar", "في العالم", "في ع م"),  # the script takes the article out inside a word, too
        ("hi", "दिल्ली। “राजधानी”", "दिल्ली राजधानी"),
        ("zh", "北京,是 Beijing 市。", "北 京 是 beijing 市"),
        ("zh", "2008年", "2008 年"),
        ("zh", "ｶﾞ龦", "ｶﾞ龦"),  # a Han character past the range that the script splits
        # letters of other scripts than the language's own pass as they are
        ("en", "Москва, กรุงเทพฯ", "москва กรุงเทพ" + "ฯ"),
    ],
)
def test_mlqas_rules_by_hand(language: str, text: str, expected: str) -> None:
    assert mlqa_normalizer(language)(text) == expected


def test_punctuation_is_all_of_unicodes_and_asciis() -> None:
    """By the definition of MLQA's script, over the whole of Unicode."""
    rule = mlqa_normalizer("hi")
    for number in range(0, sys.maxunicode, 7):
        char = chr(number)
        lower = char.lower()
        is_punctuation = unicodedata.category(char)[0] == "P"
        is_ascii = re.fullmatch(r"[!-/:-@\[-`{-~]", char) is not None
        if unicodedata.category(char) != "Cs" and not char.isspace() and len(lower) == 1:
            assert rule(f"a{char}b") == ("ab" if is_punctuation or is_ascii else f"a{lower}b")


def test_a_language_without_rules_is_refused() -> None:
    with pytest.raises(Refusal, match="language of MLQA's normalisation 'fr'"):
        mlqa_normalizer("fr")


def test_every_language_that_a_task_may_have_has_rules() -> None:
    for language in MLQA_LANGUAGES:
        assert mlqa_normalizer(language)("  A  B ")
