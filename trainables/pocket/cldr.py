"""The words of twelve languages, from the Unicode CLDR data in the babel package."""

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from babel import localedata

from trainables.pocket import inventory

LANGUAGES: tuple[str, ...] = (
    "en",
    "de",
    "es",
    "fr",
    "ru",
    "tr",
    "fi",
    "ar",
    "hi",
    "ja",
    "zh",
    "sw",
)

# Plural category ("one", "few", ...) -> a pattern with "{0}" for the number. Some Arabic forms
# express the number in the noun and have no "{0}".
PluralPatterns = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The words of one language for the items of the inventory. Weekdays start on Monday."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    months_in_date: tuple[str, ...]
    names: Mapping[tuple[inventory.Kind, str], str]
    units: Mapping[str, PluralPatterns]
    past: Mapping[str, PluralPatterns]
    future: Mapping[str, PluralPatterns]
    noun_before_number: bool
    date_pattern: str
    list_patterns: Mapping[str, str]
    plural_category: Callable[[int], str]


def _read_raw(name: str) -> dict[str, Any]:
    with open(localedata.resolve_locale_filename(name), "rb") as file:
        raw: dict[str, Any] = pickle.load(file)
    return raw


def _read_locale(language: str) -> Mapping[str, Any]:
    """The locale merged over CLDR's root, without sharing data with any other locale.

    babel resolves an alias by writing the result into a dict that all locales share, so that data
    of one language appears in another. Therefore its cache is neither read nor written here.
    """
    raw = _read_raw("root")
    localedata.merge(raw, _read_raw(language))
    return localedata.LocaleDataDict(raw)  # type: ignore[arg-type]


def _patterns(widths: Mapping[str, Any]) -> PluralPatterns:
    """The patterns of the longest form: CLDR leaves out a long form that equals the short one."""
    for width in ("long", "short"):
        if width in widths and "other" in widths[width]:
            return dict(widths[width])
    raise KeyError("no long or short unit pattern")


def _names(locale: Mapping[str, Any]) -> dict[tuple[inventory.Kind, str], str]:
    sections: dict[inventory.Kind, str] = {
        "territory": "territories",
        "language": "languages",
        "currency": "currency_names",
    }
    return {
        (kind, item.code): locale[section][item.code]
        for kind, section in sections.items()
        for item in inventory.CLOSED[kind]
    }


def _relative(locale: Mapping[str, Any], direction: str) -> dict[str, PluralPatterns]:
    units = inventory.RELATIVE_UNITS
    return {unit: dict(locale["date_fields"][unit][direction]) for unit in units}


def _in_order(names: Mapping[int, str], keys: Iterable[int]) -> tuple[str, ...]:
    return tuple(names[key] for key in keys)


def _other(number: int) -> str:
    return "other"


@cache
def lexicon(language: str) -> Lexicon:
    """The words of one of LANGUAGES. The first call takes about 10 ms. Raises ValueError for
    another language."""
    if language not in LANGUAGES:
        raise ValueError(
            f"unknown pocket language {language!r}; expected one of {', '.join(LANGUAGES)}"
        )
    locale = _read_locale(language)
    day = _patterns(locale["unit_patterns"]["duration-day"])["other"]
    return Lexicon(
        weekdays=_in_order(locale["days"]["stand-alone"]["wide"], range(7)),
        months=_in_order(locale["months"]["stand-alone"]["wide"], range(1, 13)),
        months_in_date=_in_order(locale["months"]["format"]["wide"], range(1, 13)),
        names=_names(locale),
        units={unit: _patterns(locale["unit_patterns"][unit]) for unit in inventory.UNITS},
        past=_relative(locale, "past"),
        future=_relative(locale, "future"),
        noun_before_number=day.endswith("{0}"),
        date_pattern=locale["date_formats"]["long"].pattern,
        list_patterns=dict(locale["list_patterns"]["standard"]),
        plural_category=locale.get("plural_form", _other),
    )
