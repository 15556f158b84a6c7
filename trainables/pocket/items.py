"""Renders items in a language: text segments with a tag, split into words by one rule for all
languages.

A segment is `(text, part of speech)`. Every text of the benchmark is its words joined by one space,
as in treebanks, so that tagging reads the same text as pretraining, in Japanese and Chinese too.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from trainables.pocket.cldr import Lexicon, PluralPatterns, lexicon
from trainables.pocket.inventory import Item, Kind

Segment = tuple[str, str]

POS_TAGS: tuple[str, ...] = ("ADP", "CCONJ", "NOUN", "NUM", "PROPN", "PUNCT")
ENTITY_OF_KIND: dict[Kind, str] = {
    "weekday": "DATE",
    "month": "DATE",
    "territory": "LOC",
    "language": "LANG",
    "currency": "MONEY",
    "amount": "QUANTITY",
    "relative": "DATE",
    "date": "DATE",
}
NER_TAGS: tuple[str, ...] = (
    "O",
    "B-DATE",
    "I-DATE",
    "B-LANG",
    "I-LANG",
    "B-LOC",
    "I-LOC",
    "B-MONEY",
    "I-MONEY",
    "B-QUANTITY",
    "I-QUANTITY",
)
_POS_OF_CLASS = {"digit": "NUM", "mark": "PUNCT"}  # the tag of such words in every segment
_JOINERS = "\u200c\u200d"  # invisible characters that belong to a word's spelling
_DATE_FIELD = re.compile(r"'([^']*)'|([yMLd])\2*|([^'A-Za-z]+)")


def _character_class(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "LM" or character in _JOINERS:
        return "letter"
    if category[0] == "N":
        return "digit"
    if category[0] in "ZC":
        return "space"
    return "mark"


def split_words(text: str) -> list[str]:
    """The words: runs of letters, runs of digits, and every other visible character by itself."""
    words: list[str] = []
    previous = "space"
    for character in text:
        current = _character_class(character)
        if current == previous and current in ("letter", "digit"):
            words[-1] += character
        elif current != "space":
            words.append(character)
        previous = current
    return words


def _counted(patterns: PluralPatterns, number: int, words: Lexicon) -> tuple[str, str, str]:
    """The text before the number, the number (empty where the noun expresses it), and the text
    after it."""
    pattern = patterns.get(words.plural_category(number), patterns["other"])
    before, slot, after = pattern.partition("{0}")
    return before, str(number) if slot else "", after


def _amount(code: str, words: Lexicon) -> list[Segment]:
    unit, number = code.split("/")
    before, digits, after = _counted(words.units[unit], int(number), words)
    return [(before, "NOUN"), (digits, "NUM"), (after, "NOUN")]


def _relative(code: str, words: Lexicon) -> list[Segment]:
    """A relative time. In "in 3 days" and "siku 3 zilizopita" the word beside the number is the
    noun."""
    unit, number = code.split("/")
    patterns = words.past[unit] if number.startswith("-") else words.future[unit]
    before, digits, after = _counted(patterns, abs(int(number)), words)
    segments = [(word, "ADP") for word in split_words(before)]
    following = [(word, "ADP") for word in split_words(after)]
    if words.noun_before_number or not following:
        segments[-1] = (segments[-1][0], "NOUN")
    else:
        following[0] = (following[0][0], "NOUN")
    return [*segments, (digits, "NUM"), *following]


def _date(code: str, words: Lexicon) -> list[Segment]:
    """A date in the locale's order. Words between its fields are nouns, except Spanish `de`."""
    year, month, day = code.split("/")
    segments: list[Segment] = []
    for match in _DATE_FIELD.finditer(words.date_pattern):
        field = match.group()
        if field[0] in "ML":
            name = words.months_in_date[int(month) - 1]
            segments.append((name, "PROPN") if len(field) > 2 else (month, "NUM"))
        elif field[0] in "yd":
            segments.append((year if field[0] == "y" else day, "NUM"))
        else:
            literal = match.group(1) or match.group(3)
            segments.append((literal, "ADP" if literal == "de" else "NOUN"))
    return segments


def segments_of(item: Item, language: str) -> list[Segment]:
    """The item in this language: segments of text with parts of speech, spaces and empty texts
    included."""
    words = lexicon(language)
    match item.kind:
        case "weekday":
            return [(words.weekdays[int(item.code)], "PROPN")]
        case "month":
            name = words.months[int(item.code) - 1]
            return [(name, "NOUN" if name[0].isdigit() else "PROPN")]
        case "territory" | "language":
            return [(words.names[item.kind, item.code], "PROPN")]
        case "currency":
            return [(words.names[item.kind, item.code], "NOUN")]
        case "amount":
            return _amount(item.code, words)
        case "relative":
            return _relative(item.code, words)
        case "date":
            return _date(item.code, words)


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its part of speech and its entity tag."""

    text: str
    pos: str
    entity: str


def _words(segments: Sequence[Segment], entity: str) -> tuple[Word, ...]:
    words: list[Word] = []
    for text, pos in segments:
        for word in split_words(text):
            tag = entity and ("I-" if words else "B-") + entity
            words.append(Word(word, _POS_OF_CLASS.get(_character_class(word[0]), pos), tag or "O"))
    return tuple(words)


@lru_cache(maxsize=1 << 15)
def words_of(item: Item, language: str) -> tuple[Word, ...]:
    """The words of the item in this language."""
    return _words(segments_of(item, language), ENTITY_OF_KIND[item.kind])


@cache
def _joint(pattern_name: str, language: str) -> tuple[Word, ...]:
    """The words between two items of a list. `pattern_name` is CLDR's: "2", "start", "middle",
    "end"."""
    pattern = lexicon(language).list_patterns[pattern_name]
    return _words([(pattern.removeprefix("{0}").removesuffix("{1}"), "CCONJ")], "")


def _pattern_name(index: int, num_items: int) -> str:
    """The name of the list pattern before item `index` (from 1 on)."""
    if num_items == 2:
        return "2"
    if index == num_items - 1:
        return "end"
    return "start" if index == 1 else "middle"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Items joined as the language joins a list. `starts[i]` is the index of the first word of item
    i."""

    words: tuple[Word, ...]
    starts: tuple[int, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def phrase(items: Sequence[Item], language: str) -> Phrase:
    """The phrase of these items in this language."""
    words: list[Word] = []
    starts: list[int] = []
    for index, item in enumerate(items):
        if index:
            words.extend(_joint(_pattern_name(index, len(items)), language))
        starts.append(len(words))
        words.extend(words_of(item, language))
    return Phrase(tuple(words), tuple(starts))


@lru_cache(maxsize=1 << 16)
def item_text(item: Item, language: str) -> str:
    """The words of the item, joined by spaces."""
    return " ".join(word.text for word in words_of(item, language))


@cache
def _joint_text(pattern_name: str, language: str) -> str:
    return " ".join(word.text for word in _joint(pattern_name, language))


def phrase_text(items: Sequence[Item], language: str) -> str:
    """`phrase(items, language).text`, computed faster: pretraining writes hundreds of thousands of
    phrases."""
    parts = [item_text(items[0], language)]
    for index in range(1, len(items)):
        parts.append(_joint_text(_pattern_name(index, len(items)), language))
        parts.append(item_text(items[index], language))
    return " ".join(parts)
