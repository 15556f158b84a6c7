"""The table of languages: ISO codes, names, scripts, families. Distances between them come from
URIEL."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spaces.refusal import unknown


@dataclass(frozen=True, slots=True)
class Language:
    """One language. `code` is its ISO 639-1 code, `iso3` its code in Tatoeba's data sets, `name`
    its name in Universal Dependencies, `script` an ISO 15924 code, `family` Glottolog's top-level
    family."""

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
_UNSPACED = frozenset({"Hans", "Jpan", "Mymr", "Thai"})

# The languages that have another code in FLORES-200 than in Tatoeba.
_FLORES: Mapping[str, str] = MappingProxyType(
    {"ar": "arb", "az": "azj", "ms": "zsm", "qu": "quy", "zh": "zho"}
)

# The languages whose macrolanguage has more data in URIEL than its best-known member.
_URIEL: Mapping[str, str] = MappingProxyType({"fa": "fas", "zh": "zho"})

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


def get_language(code: str) -> Language:
    """The language with this code. Raises Refusal for an unknown code."""
    if code not in LANGUAGES:
        raise unknown("language", code, LANGUAGES)
    return LANGUAGES[code]
