"""Rows without a language: a draft becomes the same (parallel) row in every language.

The split of a draft is a hash of its meaning, which ignores order, so that no meaning is in two
splits. Splits share words and facts: "zero-shot" means here that a language has no labelled rows,
not that its facts are new.
"""

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from trainables.pocket.documents import draw_document
from trainables.pocket.inventory import (
    CLOSED,
    CYCLES,
    FACTS,
    Fact,
    Item,
    Kind,
    draw,
    draw_of_kinds,
    run_of,
)

FOLLOWS, WRONG, UNRELATED = REL_LABELS = ("follows", "wrong", "unrelated")
INCOHERENT, COHERENT = COH_LABELS = ("incoherent", "coherent")

# Noise makes rows about the same fact differ; no answer depends on it.
_NOISE: tuple[Kind, ...] = ("amount", "relative", "date")

Items = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """The phrases of one row, and its answer: a label, or the index of a phrase or of an item.

    Pairs have two phrases. Choices have the text, then the choices. Spans have the question, then
    the context. Tagging has one phrase. Retrieval has the text, then its pivot. Text has the
    phrases of a document.
    """

    phrases: tuple[Items, ...]
    answer: str | int = ""

    def meaning(self) -> str:
        """A text that is equal for drafts that differ only in the order of items or choices."""
        phrases = [sorted(f"{item.kind}:{item.code}" for item in items) for items in self.phrases]
        return repr([phrases[0], sorted(phrases[1:])])


def _shuffled(items: list[Item], rng: random.Random) -> Items:
    rng.shuffle(items)
    return tuple(items)


def _other_than(fact: Fact, kind: Kind, rng: random.Random) -> Item:
    """A language or a currency that does not belong to this territory."""
    belonging = fact.items()
    return rng.choice([item for item in CLOSED[kind] if item not in belonging])


def _choice(text: Items, right: Item, wrong: Sequence[Item], rng: random.Random) -> Draft:
    answer = rng.randrange(len(wrong) + 1)
    choices = (*wrong[:answer], right, *wrong[answer:])
    return Draft((text, *((item,) for item in choices)), answer)


def _tagging(rng: random.Random) -> Draft:
    """Two to four items of different kinds; every word gets a tag."""
    return Draft((tuple(draw_of_kinds(rng.randint(2, 4), rng)),))


def _kind(rng: random.Random) -> Draft:
    """Which of four items is of the same kind as the item in the text?"""
    items = draw_of_kinds(4, rng)
    text = draw(items[0].kind, rng)
    while text == items[0]:
        text = draw(items[0].kind, rng)
    return _choice((text,), items[0], items[1:], rng)


def _fact(rng: random.Random) -> Draft:
    """Which of four languages (or currencies) belongs to this territory?"""
    fact = rng.choice(FACTS)
    territory, *answers = fact.items()
    right = rng.choice(answers)
    wrong = [item for item in CLOSED[right.kind] if item != right]
    return _choice((territory,), right, rng.sample(wrong, 3), rng)


def _seq(rng: random.Random) -> Draft:
    """Which of four weekdays (or months) continues the run of one to three?"""
    cycle = rng.choices(CYCLES, (1, 3))[0]
    start, length = rng.randrange(len(cycle)), rng.randint(1, 3)
    *text, right = run_of(cycle, start, length + 1)
    wrong = [item for item in cycle if item != right and item not in text]
    return _choice(tuple(text), right, rng.sample(wrong, 3), rng)


def _rel_of_cycle(label: str, rng: random.Random) -> tuple[list[Item], Items]:
    cycle = rng.choice(CYCLES)
    start, length = rng.randrange(len(cycle)), rng.randint(1, 2)
    *premise, right = run_of(cycle, start, length + 1)
    wrong = [item for item in cycle if item != right and item not in premise]
    return premise, (right if label == FOLLOWS else rng.choice(wrong),)


def _rel_of_fact(label: str, rng: random.Random) -> tuple[list[Item], Items]:
    fact = rng.choice(FACTS)
    territory, *answers = fact.items()
    right = rng.choice(answers)
    return [territory], (right if label == FOLLOWS else _other_than(fact, right.kind, rng),)


def _rel(rng: random.Random) -> Draft:
    """Does the second phrase follow from the first, is it a wrong item of the right kind, or is it
    unrelated?

    The first phrase has a noise item at a random index.
    """
    label = rng.choice(REL_LABELS)
    premise, hypothesis = rng.choice((_rel_of_cycle, _rel_of_fact))(label, rng)
    if label == UNRELATED:
        facts = ("territory", "language", "currency")
        taken = facts if premise[0].kind == "territory" else (premise[0].kind,)
        hypothesis = (draw(rng.choice([kind for kind in CLOSED if kind not in taken]), rng),)
    premise.insert(rng.randint(0, len(premise)), draw(rng.choice(_NOISE), rng))
    return Draft((tuple(premise), hypothesis), label)


def _coh(rng: random.Random) -> Draft:
    """Do the language and the currency of the second phrase belong to the territory of the first?

    At most one of the two is wrong.
    """
    fact = rng.choice(FACTS)
    label = rng.choice(COH_LABELS)
    territory, *claims = fact.items()
    if label == INCOHERENT:
        index = rng.randrange(2)
        claims[index] = _other_than(fact, claims[index].kind, rng)
    first = _shuffled([territory, draw(rng.choice(_NOISE), rng)], rng)
    return Draft((first, _shuffled(claims, rng)), label)


def _qakind(rng: random.Random) -> Draft:
    """Which item of the context is of the same kind as the question?"""
    context = draw_of_kinds(rng.randint(3, 5), rng)
    answer = rng.randrange(len(context))
    question = draw(context[answer].kind, rng)
    while question == context[answer]:
        question = draw(context[answer].kind, rng)
    return Draft(((question,), tuple(context)), answer)


def _retrieval(rng: random.Random) -> Draft:
    """Four items; the pivot has them in another order."""
    items = draw_of_kinds(4, rng)
    return Draft((tuple(items), _shuffled(list(items), rng)))


def _text(rng: random.Random) -> Draft:
    return Draft(draw_document(rng))


_MAKERS: Mapping[str, Callable[[random.Random], Draft]] = MappingProxyType(
    {
        "pos": _tagging,
        "ner": _tagging,
        "kind": _kind,
        "fact": _fact,
        "seq": _seq,
        "rel": _rel,
        "coh": _coh,
        "qakind": _qakind,
        "retrieval": _retrieval,
        "text": _text,
    }
)
TASK_NAMES: tuple[str, ...] = tuple(_MAKERS)

# The tenths of a task's meanings that each split gets.
_TENTHS: Mapping[str, range] = MappingProxyType(
    {"train": range(7), "validation": range(7, 8), "test": range(8, 10)}
)
SPLITS: tuple[str, ...] = tuple(_TENTHS)


def num_rows(task: str, split: str) -> int:
    """Rows per language. Retrieval has no training rows and 200 candidates in each other split."""
    if task == "retrieval":
        return 0 if split == "train" else 200
    if split == "train":
        return 2000 if task in ("rel", "coh", "qakind") else 1000
    return 150 if split == "validation" else 250


def _tenth(meaning: str) -> int:
    return zlib.crc32(meaning.encode()) % 10


@cache
def drafts(task: str, split: str) -> tuple[Draft, ...]:
    """All drafts of one split of a task, each meaning once; equal in every process."""
    rng = random.Random(f"pocket:{task}:{split}")
    make, tenths, wanted = _MAKERS[task], _TENTHS[split], num_rows(task, split)
    by_meaning: dict[str, Draft] = {}
    while len(by_meaning) < wanted:
        draft = make(rng)
        meaning = draft.meaning()
        if meaning not in by_meaning and _tenth(meaning) in tenths:
            by_meaning[meaning] = draft
    return tuple(by_meaning.values())
