"""The languages: ISO codes, names, scripts, families. Distances between them come from URIEL."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spaces.refusal import unknown


@dataclass(frozen=True, slots=True)
class Language:
    """`script` is an ISO 15924 code, `family` Glottolog's top-level family."""

    code: str
    name: str
    script: str
    family: str


_INDO_EUROPEAN = "Indo-European"

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        language.code: language
        for language in (
            Language("af", "Afrikaans", "Latn", _INDO_EUROPEAN),
            Language("ar", "Arabic", "Arab", "Afro-Asiatic"),
            Language("az", "Azerbaijani", "Latn", "Turkic"),
            Language("bg", "Bulgarian", "Cyrl", _INDO_EUROPEAN),
            Language("bn", "Bengali", "Beng", _INDO_EUROPEAN),
            Language("ca", "Catalan", "Latn", _INDO_EUROPEAN),
            Language("de", "German", "Latn", _INDO_EUROPEAN),
            Language("el", "Greek", "Grek", _INDO_EUROPEAN),
            Language("en", "English", "Latn", _INDO_EUROPEAN),
            Language("es", "Spanish", "Latn", _INDO_EUROPEAN),
            Language("et", "Estonian", "Latn", "Uralic"),
            Language("eu", "Basque", "Latn", "Basque"),
            Language("fa", "Persian", "Arab", _INDO_EUROPEAN),
            Language("fi", "Finnish", "Latn", "Uralic"),
            Language("fr", "French", "Latn", _INDO_EUROPEAN),
            Language("gu", "Gujarati", "Gujr", _INDO_EUROPEAN),
            Language("he", "Hebrew", "Hebr", "Afro-Asiatic"),
            Language("hi", "Hindi", "Deva", _INDO_EUROPEAN),
            Language("ht", "Haitian Creole", "Latn", _INDO_EUROPEAN),
            Language("hu", "Hungarian", "Latn", "Uralic"),
            Language("id", "Indonesian", "Latn", "Austronesian"),
            Language("it", "Italian", "Latn", _INDO_EUROPEAN),
            Language("ja", "Japanese", "Jpan", "Japonic"),
            Language("jv", "Javanese", "Latn", "Austronesian"),
            Language("ka", "Georgian", "Geor", "Kartvelian"),
            Language("kk", "Kazakh", "Cyrl", "Turkic"),
            Language("ko", "Korean", "Hang", "Koreanic"),
            Language("lt", "Lithuanian", "Latn", _INDO_EUROPEAN),
            Language("ml", "Malayalam", "Mlym", "Dravidian"),
            Language("mr", "Marathi", "Deva", _INDO_EUROPEAN),
            Language("ms", "Malay", "Latn", "Austronesian"),
            Language("my", "Burmese", "Mymr", "Sino-Tibetan"),
            Language("nl", "Dutch", "Latn", _INDO_EUROPEAN),
            Language("pa", "Punjabi", "Guru", _INDO_EUROPEAN),
            Language("pl", "Polish", "Latn", _INDO_EUROPEAN),
            Language("pt", "Portuguese", "Latn", _INDO_EUROPEAN),
            Language("qu", "Quechua", "Latn", "Quechuan"),
            Language("ro", "Romanian", "Latn", _INDO_EUROPEAN),
            Language("ru", "Russian", "Cyrl", _INDO_EUROPEAN),
            Language("sw", "Swahili", "Latn", "Atlantic-Congo"),
            Language("ta", "Tamil", "Taml", "Dravidian"),
            Language("te", "Telugu", "Telu", "Dravidian"),
            Language("th", "Thai", "Thai", "Tai-Kadai"),
            Language("tl", "Tagalog", "Latn", "Austronesian"),
            Language("tr", "Turkish", "Latn", "Turkic"),
            Language("uk", "Ukrainian", "Cyrl", _INDO_EUROPEAN),
            Language("ur", "Urdu", "Arab", _INDO_EUROPEAN),
            Language("vi", "Vietnamese", "Latn", "Austroasiatic"),
            Language("wo", "Wolof", "Latn", "Atlantic-Congo"),
            Language("yo", "Yoruba", "Latn", "Atlantic-Congo"),
            Language("zh", "Chinese", "Hans", "Sino-Tibetan"),
        )
    }
)


def get_language(code: str) -> Language:
    if code not in LANGUAGES:
        raise unknown("language", code, LANGUAGES)
    return LANGUAGES[code]
