"""The items of the pocket benchmark, which have no language, and facts about the world.

The inventory is small so that an encoder trained within minutes meets every word often.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal[
    "weekday", "month", "territory", "language", "currency", "amount", "relative", "date"
]


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One meaning. `code` identifies it within its kind: `DE`, `mass-gram/3`, `day/-2`, a date."""

    kind: Kind
    code: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A territory, the official language that most people speak there, and its currency."""

    territory: str
    language: str
    currency: str

    def items(self) -> tuple[Item, Item, Item]:
        """The territory, the language and the currency as items."""
        return (
            Item("territory", self.territory),
            Item("language", self.language),
            Item("currency", self.currency),
        )


# 26 territories, 25 languages, 21 currencies; a test compares them with CLDR.
FACTS: tuple[Fact, ...] = (
    Fact("US", "en", "USD"),
    Fact("GB", "en", "GBP"),
    Fact("DE", "de", "EUR"),
    Fact("FR", "fr", "EUR"),
    Fact("ES", "es", "EUR"),
    Fact("IT", "it", "EUR"),
    Fact("FI", "fi", "EUR"),
    Fact("GR", "el", "EUR"),
    Fact("RU", "ru", "RUB"),
    Fact("TR", "tr", "TRY"),
    Fact("EG", "ar", "EGP"),
    Fact("IN", "hi", "INR"),
    Fact("JP", "ja", "JPY"),
    Fact("CN", "zh", "CNY"),
    Fact("KE", "sw", "KES"),
    Fact("PL", "pl", "PLN"),
    Fact("CZ", "cs", "CZK"),
    Fact("SE", "sv", "SEK"),
    Fact("DK", "da", "DKK"),
    Fact("HU", "hu", "HUF"),
    Fact("UA", "uk", "UAH"),
    Fact("IL", "he", "ILS"),
    Fact("TH", "th", "THB"),
    Fact("VN", "vi", "VND"),
    Fact("KR", "ko", "KRW"),
    Fact("IR", "fa", "IRR"),
)

UNITS: tuple[str, ...] = (
    "length-kilometer",
    "length-meter",
    "length-centimeter",
    "mass-kilogram",
    "mass-gram",
    "volume-liter",
    "volume-milliliter",
    "duration-hour",
    "duration-minute",
    "digital-gigabyte",
    "power-kilowatt",
    "area-square-meter",
    "temperature-celsius",
    "concentr-percent",
    "energy-kilocalorie",
)
RELATIVE_UNITS: tuple[str, ...] = ("year", "month", "week", "day", "hour", "minute")

AMOUNTS = range(2, 21)
DISTANCES = range(2, 13)
YEARS = range(2000, 2030)
DAYS = range(1, 29)  # days that every month has

KINDS: tuple[Kind, ...] = (
    "weekday",
    "month",
    "territory",
    "language",
    "currency",
    "amount",
    "relative",
    "date",
)

WEEKDAYS: tuple[Item, ...] = tuple(Item("weekday", str(day)) for day in range(7))
MONTHS: tuple[Item, ...] = tuple(Item("month", str(month)) for month in range(1, 13))
CYCLES: tuple[tuple[Item, ...], ...] = (WEEKDAYS, MONTHS)

# The kinds with a list of names; items of other kinds are made from numbers.
CLOSED: Mapping[Kind, tuple[Item, ...]] = MappingProxyType(
    {
        "weekday": WEEKDAYS,
        "month": MONTHS,
        "territory": tuple(Item("territory", fact.territory) for fact in FACTS),
        "language": tuple(Item("language", code) for code in sorted({f.language for f in FACTS})),
        "currency": tuple(Item("currency", code) for code in sorted({f.currency for f in FACTS})),
    }
)


def draw(kind: Kind, rng: random.Random) -> Item:
    """A random item of this kind."""
    if kind in CLOSED:
        return rng.choice(CLOSED[kind])
    if kind == "amount":
        return Item(kind, f"{rng.choice(UNITS)}/{rng.choice(AMOUNTS)}")
    if kind == "relative":
        sign = rng.choice(("", "-"))
        return Item(kind, f"{rng.choice(RELATIVE_UNITS)}/{sign}{rng.choice(DISTANCES)}")
    year, month, day = rng.choice(YEARS), rng.randint(1, 12), rng.choice(DAYS)
    return Item(kind, f"{year}/{month}/{day}")


def draw_of_kinds(num_items: int, rng: random.Random) -> list[Item]:
    """`num_items` items of different kinds, in random order."""
    return [draw(kind, rng) for kind in rng.sample(KINDS, num_items)]


def run_of(cycle: tuple[Item, ...], start: int, length: int) -> tuple[Item, ...]:
    """`length` successive items of a cycle from `start` on; January follows December."""
    return tuple(cycle[(start + offset) % len(cycle)] for offset in range(length))
