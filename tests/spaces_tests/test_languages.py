import re

import pytest

from spaces.languages import LANGUAGES, get_language
from spaces.refusal import Refusal


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_whole(code: str) -> None:
    language = get_language(code)
    assert language.code == code
    assert re.fullmatch("[a-z]{2}", code)
    assert re.fullmatch("[a-z]{3}", language.iso3)
    assert re.fullmatch("[a-z]{3}_[A-Z][a-z]{3}", language.flores)
    assert re.fullmatch("[a-z]{3}", language.uriel)
    assert re.fullmatch("[A-Z][a-z]{3}", language.script)
    assert language.name
    assert language.family


def test_languages_that_put_no_spaces_between_words() -> None:
    assert [code for code in LANGUAGES if not LANGUAGES[code].has_spaces] == [
        "ja",
        "my",
        "th",
        "zh",
    ]


def test_no_two_languages_share_a_name() -> None:
    for field in ("name", "iso3", "flores", "uriel"):
        assert len({getattr(one, field) for one in LANGUAGES.values()}) == len(LANGUAGES)


def test_the_forty_languages_of_xtreme_are_there() -> None:
    xtreme = (
        "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru "
        "sw ta te th tl tr ur vi yo zh"
    )
    assert len(xtreme.split()) == 40
    assert set(xtreme.split()) <= set(LANGUAGES)


@pytest.mark.parametrize("code", ["xx", "EN", "", "en ", "../en"])
def test_an_unknown_code_is_refused(code: str) -> None:
    with pytest.raises(Refusal, match="unknown language"):
        get_language(code)
