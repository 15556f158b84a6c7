import re
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spaces.languages import (
    LANGUAGES,
    Language,
    find_language,
    get_language,
    known_language,
)
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


@pytest.mark.parametrize(
    ("code", "iso3", "name", "script", "has_spaces"),
    [
        ("sv", "swe", "Swedish", "Latn", True),
        ("nb", "nob", "Norwegian Bokmål", "Latn", True),
        ("no", "nor", "Norwegian", "Latn", True),
        ("cs", "ces", "Czech", "Latn", True),
        ("gsw", "gsw", "Swiss German", "Latn", True),
        ("grc", "grc", "Ancient Greek", "Grek", True),
        ("km", "khm", "Khmer", "Khmr", False),
        ("zh-Hans", "zho", "Chinese (Simplified)", "Hans", False),
        ("zh-TW", "zho", "Chinese (Taiwan)", "Hant", False),
        ("sr-Latn", "srp", "Serbian (Latin)", "Latn", True),
        ("pt-BR", "por", "Portuguese (Brazil)", "Latn", True),
        ("tlh", "tlh", "Klingon", "", True),  # CLDR knows no script that it is mostly written in
    ],
)
def test_any_language_of_bcp_47_may_be_named(
    code: str, iso3: str, name: str, script: str, has_spaces: bool
) -> None:
    language = get_language(code)
    assert language == Language(code=code, iso3=iso3, name=name, script=script, family="")
    assert language.has_spaces == has_spaces
    assert known_language(code) == language


@pytest.mark.parametrize(
    ("given", "name", "code"),
    [
        ("iw", "Hebrew", "he"),  # old codes
        ("in", "Indonesian", "id"),
        ("ji", "Yiddish", "yi"),
        ("mo", "Romanian", "ro"),
        ("deu", "German", "de"),  # longer ones
        ("fil", "Tagalog", "tl"),
        ("cmn", "Chinese", "zh"),
        ("swh", "Swahili", "sw"),
        ("pes", "Persian", "fa"),
        ("EN", "English", "en"),  # other ways to spell one
        ("zh_hans", "Chinese (Simplified)", "zh-Hans"),
        ("en-Latn", "English", "en"),
        ("i-klingon", "Klingon", "tlh"),
        ("german", "German", "de"),  # names
        ("Swedish", "Swedish", "sv"),
    ],
)
def test_another_code_or_name_is_refused_with_the_one_to_write(
    given: str, name: str, code: str
) -> None:
    with pytest.raises(Refusal, match=f"^unknown language {given!r}") as refused:
        get_language(given)
    assert name in str(refused.value)
    assert f"{code!r}; write that" in str(refused.value)
    assert get_language(code).name == name
    assert known_language(given) is None


@pytest.mark.parametrize(
    "code",
    [
        *("xx", "", "en ", "../en", "x-private", "qaa", "und", "mul", "zxx", "art"),
        *("de-u-co-phonebk", "de-x-own", "mün", "\ud83d", "en\n", "a" * 5000),
    ],
)
def test_what_names_no_language_is_refused_in_a_short_line(code: str) -> None:
    with pytest.raises(Refusal, match=r"unknown language .*expected a code of ISO 639") as refused:
        get_language(code)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@given(st.text())
@example("A\x0000")
def test_any_text_is_a_language_or_refused(code: str) -> None:
    language = known_language(code)
    assert language is None or (language.code == code and re.fullmatch("[A-Za-z0-9-]+", code))


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_codes_of_the_table_are_the_ones_to_write(code: str) -> None:
    """No code of it is refused in favour of another one, and ISO 639-3's lead to it."""
    for other in {get_language(code).iso3, code.upper()} - {code}:
        with pytest.raises(Refusal, match=f"is {code!r}; write that"):
            get_language(other)


def test_the_table_needs_no_library() -> None:
    program = (
        "import sys; from spaces.languages import get_language; get_language('de'); "
        "sys.exit('langcodes' in sys.modules or 'babel' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("de", "de"), ("deu", "de"), ("deu_Latn", "de"), ("German", "de"), ("Deutsch", "de"),
        ("EN", "en"), ("iw", "he"), ("zh_Hans", "zh"), ("zh-Hant", "zh-Hant"), ("pt_BR", "pt-BR"),
        ("Svenska", "sv"), ("data", None), ("train", None), ("", None),
    ],
)  # fmt: skip
def test_a_language_is_found_by_any_of_its_codes_and_names(name: str, code: str | None) -> None:
    found = find_language(name)
    assert (found and found.code) == code
