import copy
import pickle
from typing import Any

import pytest
from babel import Locale, localedata
from babel.core import get_global
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.pocket.cldr import LANGUAGES, Lexicon, lexicon
from trainables.pocket.inventory import FACTS, RELATIVE_UNITS, UNITS, Fact

read_again = lexicon.__wrapped__


def predicted(words: Lexicon) -> dict[str, object]:
    """All of a lexicon that is text."""
    return {name: getattr(words, name) for name in words.__slots__ if name != "plural_category"}


def test_words_of_some_languages() -> None:
    assert lexicon("de").weekdays[0] == "Montag"
    assert lexicon("fi").months[0] == "tammikuu"
    assert lexicon("fi").months_in_date[0] == "tammikuuta"
    assert lexicon("ja").names["territory", "DE"] == "ドイツ"
    assert lexicon("sw").noun_before_number
    assert lexicon("ru").plural_category(3) == "few"


@settings(max_examples=5, deadline=None)
@given(st.permutations(LANGUAGES))
def test_the_order_of_reading_changes_nothing(order: list[str]) -> None:
    fresh = {language: predicted(read_again(language)) for language in order}
    assert fresh == {language: predicted(lexicon(language)) for language in LANGUAGES}


def test_what_babel_resolved_for_others_does_not_reach_us() -> None:
    before = predicted(lexicon("en"))
    hebrew: Any = Locale.parse("he")
    for section in ("months", "days", "list_patterns", "unit_patterns", "date_fields"):
        str(dict(hebrew._data[section].items()))
    assert predicted(read_again("en")) == before


def test_reading_does_not_write_into_babels_cache() -> None:
    babels = localedata.load("sw")
    before = pickle.dumps(copy.deepcopy(babels))
    read_again("sw")
    read_again("de")
    assert pickle.dumps(copy.deepcopy(localedata.load("sw"))) == before


def test_unknown_language() -> None:
    with pytest.raises(ValueError, match="unknown pocket language 'xx'"):
        lexicon("xx")


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing(language: str) -> None:
    words = lexicon(language)
    assert len(set(words.weekdays)) == 7
    assert len(set(words.months)) == 12
    assert all(words.names.values())
    assert set(words.units) == set(UNITS)
    assert set(words.past) == set(words.future) == set(RELATIVE_UNITS)
    for position in ("2", "start", "middle", "end"):
        assert words.list_patterns[position].startswith("{0}")
        assert words.list_patterns[position].endswith("{1}")


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.territory)
def test_facts_are_those_of_cldr(fact: Fact) -> None:
    territory, language, currency = (item.code for item in fact.items())
    official = {
        code: entry["population_percent"]
        for code, entry in get_global("territory_languages")[territory].items()
        if entry["official_status"] in ("official", "de_facto_official")
    }
    assert max(official, key=lambda code: official[code]).split("_")[0] == language
    in_use = [
        code
        for code, _, end, is_tender in get_global("territory_currencies")[territory]
        if end is None and is_tender
    ]
    assert currency in in_use
