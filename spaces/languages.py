"""The languages: their codes, names, scripts and families.

The table has the languages of the shipped tasks with their names in the data sets. Any other
language of BCP 47 (which includes ISO 639-1 and 639-3, with an optional script and region) is
described by the libraries langcodes and Babel when a study names it. Distances between languages
come from URIEL (search/degradation/typology.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType

from spaces.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Language:
    """A language by its `code`.

    `script` is an ISO 15924 code ("" where CLDR has none), `family` Glottolog's top-level family
    ("" outside the table), `iso3` the code in Tatoeba's data sets (outside the table: ISO 639-3),
    `name` the English name, as in Universal Dependencies.
    """

    code: str
    iso3: str
    name: str
    script: str
    family: str

    @property
    def flores(self) -> str:
        """The name of the language in FLORES-200: `deu_Latn`."""
        return f"{_FLORES.get(self.code, self.iso3)}_{self.script}"

    @property
    def has_spaces(self) -> bool:
        """Whether its script writes spaces between words."""
        return self.script not in _UNSPACED

    @property
    def uriel(self) -> str:
        """The ISO 639-3 code under which URIEL has the most data on it."""
        return _URIEL.get(self.code, self.iso3)


# Scripts that put no spaces between words.
_UNSPACED = frozenset({"Hani", "Hans", "Hant", "Jpan", "Khmr", "Laoo", "Mymr", "Thai", "Tibt"})

# The languages that have another code in FLORES-200 than in Tatoeba.
_FLORES: Mapping[str, str] = MappingProxyType(
    {"ar": "arb", "az": "azj", "ms": "zsm", "qu": "quy", "zh": "zho"}
)

# The languages whose macrolanguage has more data in URIEL than its best-known member.
_URIEL: Mapping[str, str] = MappingProxyType({"fa": "fas", "nb": "nor", "nn": "nor", "zh": "zho"})

_INDO_EUROPEAN = "Indo-European"

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        language.code: language
        for language in (
            Language("af", "afr", "Afrikaans", "Latn", _INDO_EUROPEAN),
            Language("ar", "ara", "Arabic", "Arab", "Afro-Asiatic"),
            Language("az", "aze", "Azerbaijani", "Latn", "Turkic"),
            Language("bg", "bul", "Bulgarian", "Cyrl", _INDO_EUROPEAN),
            Language("bn", "ben", "Bengali", "Beng", _INDO_EUROPEAN),
            Language("ca", "cat", "Catalan", "Latn", _INDO_EUROPEAN),
            Language("de", "deu", "German", "Latn", _INDO_EUROPEAN),
            Language("el", "ell", "Greek", "Grek", _INDO_EUROPEAN),
            Language("en", "eng", "English", "Latn", _INDO_EUROPEAN),
            Language("es", "spa", "Spanish", "Latn", _INDO_EUROPEAN),
            Language("et", "est", "Estonian", "Latn", "Uralic"),
            Language("eu", "eus", "Basque", "Latn", "Basque"),
            Language("fa", "pes", "Persian", "Arab", _INDO_EUROPEAN),
            Language("fi", "fin", "Finnish", "Latn", "Uralic"),
            Language("fr", "fra", "French", "Latn", _INDO_EUROPEAN),
            Language("gu", "guj", "Gujarati", "Gujr", _INDO_EUROPEAN),
            Language("he", "heb", "Hebrew", "Hebr", "Afro-Asiatic"),
            Language("hi", "hin", "Hindi", "Deva", _INDO_EUROPEAN),
            Language("ht", "hat", "Haitian Creole", "Latn", _INDO_EUROPEAN),
            Language("hu", "hun", "Hungarian", "Latn", "Uralic"),
            Language("id", "ind", "Indonesian", "Latn", "Austronesian"),
            Language("it", "ita", "Italian", "Latn", _INDO_EUROPEAN),
            Language("ja", "jpn", "Japanese", "Jpan", "Japonic"),
            Language("jv", "jav", "Javanese", "Latn", "Austronesian"),
            Language("ka", "kat", "Georgian", "Geor", "Kartvelian"),
            Language("kk", "kaz", "Kazakh", "Cyrl", "Turkic"),
            Language("ko", "kor", "Korean", "Hang", "Koreanic"),
            Language("lt", "lit", "Lithuanian", "Latn", _INDO_EUROPEAN),
            Language("ml", "mal", "Malayalam", "Mlym", "Dravidian"),
            Language("mr", "mar", "Marathi", "Deva", _INDO_EUROPEAN),
            Language("ms", "msa", "Malay", "Latn", "Austronesian"),
            Language("my", "mya", "Burmese", "Mymr", "Sino-Tibetan"),
            Language("nl", "nld", "Dutch", "Latn", _INDO_EUROPEAN),
            Language("pa", "pan", "Punjabi", "Guru", _INDO_EUROPEAN),
            Language("pl", "pol", "Polish", "Latn", _INDO_EUROPEAN),
            Language("pt", "por", "Portuguese", "Latn", _INDO_EUROPEAN),
            Language("qu", "que", "Quechua", "Latn", "Quechuan"),
            Language("ro", "ron", "Romanian", "Latn", _INDO_EUROPEAN),
            Language("ru", "rus", "Russian", "Cyrl", _INDO_EUROPEAN),
            Language("sw", "swh", "Swahili", "Latn", "Atlantic-Congo"),
            Language("ta", "tam", "Tamil", "Taml", "Dravidian"),
            Language("te", "tel", "Telugu", "Telu", "Dravidian"),
            Language("th", "tha", "Thai", "Thai", "Tai-Kadai"),
            Language("tl", "tgl", "Tagalog", "Latn", "Austronesian"),
            Language("tr", "tur", "Turkish", "Latn", "Turkic"),
            Language("uk", "ukr", "Ukrainian", "Cyrl", _INDO_EUROPEAN),
            Language("ur", "urd", "Urdu", "Arab", _INDO_EUROPEAN),
            Language("vi", "vie", "Vietnamese", "Latn", "Austroasiatic"),
            Language("wo", "wol", "Wolof", "Latn", "Atlantic-Congo"),
            Language("yo", "yor", "Yoruba", "Latn", "Atlantic-Congo"),
            Language("zh", "cmn", "Chinese", "Hans", "Sino-Tibetan"),
        )
    }
)


_SPECIAL = frozenset(
    {"art", "mis", "mul", "und", "zxx"}
)  # ISO 639-3 codes that name no single language


def get_language(code: str) -> Language:
    """The language of a code, from the table or from BCP 47.

    A language has one code: that of the table, else the shortest one that BCP 47 prefers. Raises
    Refusal for another code of the language (`iw`, `deu`, `EN`), for a name, and for an unknown
    code; the message says which code to write.
    """
    return LANGUAGES.get(code) or _described(code)


def known_language(code: str) -> Language | None:
    """Like `get_language`, but None where that raises Refusal: a record may have any text as a
    code."""
    try:
        return get_language(code)
    except Refusal:
        return None


def find_language(name: str) -> Language | None:
    """The language that any of its codes or names means: `de`, `deu`, `deu_Latn`, `German`. None
    where there is none."""
    code = _preferred(name.replace("_", "-")) or _code_of_name(name)
    parts = (code or "").split("-")
    # A script that the language is written in by default (`deu_Latn`) says nothing.
    if len(parts) == 2 and parts[1] == _likely_script(parts[0]):
        code = parts[0]
    return None if code is None else known_language(code)


@lru_cache(maxsize=1024)
def _described(code: str) -> Language:
    """A language outside the table, described by langcodes (codes, names) and Babel (CLDR's
    scripts)."""
    from langcodes import Language as Tag  # imported here: it takes 30 ms, and few studies need it

    preferred = _preferred(code)
    if preferred is None:
        raise Refusal(f"unknown language {_short(code)}{_meant_by_name(code)}")
    tag = Tag.get(preferred, normalize=False)
    if preferred != code:
        raise Refusal(
            f"unknown language {code!r}: the code of {_name_of(tag)} is {preferred!r}; write that"
        )
    return Language(
        code=code,
        iso3=tag.to_alpha3(),
        name=_name_of(tag),
        script=tag.script or _likely_script(code),
        family="",
    )


def _preferred(code: str) -> str | None:
    """The preferred code of the language that `code` names; None where it names none. Extensions
    and private codes (`de-u-co-phonebk`, `qaa`) name none."""
    from langcodes import standardize_tag, tag_is_valid
    from langcodes.tag_parser import LanguageTagError

    try:
        known = code.isascii() and code.isprintable() and tag_is_valid(code)
        tag = standardize_tag(code, macro=True) if known else ""
    except (LanguageTagError, ValueError):
        return None
    parts = tag.split("-")
    is_private = len(parts[0]) == 3 and "qaa" <= parts[0] <= "qtz"
    if not tag or is_private or parts[0] in _SPECIAL or any(len(part) == 1 for part in parts):
        return None
    return _listed_codes().get(tag, tag)


@cache
def _listed_codes() -> Mapping[str, str]:
    """The code that CLDR prefers -> the table's. They differ for some: Filipino's for Tagalog."""
    from langcodes import standardize_tag

    return {standardize_tag(listed, macro=True): listed for listed in LANGUAGES}


def _meant_by_name(name: str) -> str:
    """`: German has the code 'de'` for the name of a language in place of its code; else what is
    expected."""
    code = _code_of_name(name)
    if code is None:
        return (
            ": expected a code of ISO 639 or BCP 47, e.g. 'sv', 'zh-Hant' or 'pt-BR' "
            "(docs/reference/languages.md)"
        )
    return f": {get_language(code).name} has the code {code!r}; write that"


def _code_of_name(name: str) -> str | None:
    """The preferred code of the language with this name in any language that langcodes knows."""
    import langcodes

    try:
        is_name = 3 < len(name) < 60 and name.isprintable()
        code = str(langcodes.find(name)) if is_name else None
    except LookupError:
        return None
    return code and (_preferred(code) or code)


def _short(code: str) -> str:
    return repr(code if len(code) <= 40 else f"{code[:40]}...")


def _name_of(tag: object) -> str:
    """The English name: the table's, where the table has the language."""
    listed = LANGUAGES.get(str(tag))
    return listed.name if listed else str(tag.display_name("en"))  # type: ignore[attr-defined]


def _likely_script(code: str) -> str:
    """The script that the language is mostly written in, by CLDR; "" where CLDR does not say."""
    from babel.core import get_global

    likely = get_global("likely_subtags")
    language, *rest = code.split("-")
    region = next((part for part in rest if len(part) == 2 or part.isdigit()), "")
    full = likely.get(f"{language}_{region}") or likely.get(language) or ""
    return next((part for part in full.split("_") if len(part) == 4), "")
