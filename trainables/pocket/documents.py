"""Documents without a language: the only texts in which one item depends on another."""

import random

from trainables.pocket.inventory import CYCLES, FACTS, Item, draw, run_of

RUN_SHARE = 0.4  # of documents that are a run of weekdays or months
NOISE_SHARE = 0.3  # of records that hold an unrelated item beside their facts
SEPARATOR = " . "  # between the records of a document


def _run(rng: random.Random) -> tuple[Item, ...]:
    cycle = rng.choice(CYCLES)
    return run_of(cycle, rng.randrange(len(cycle)), rng.randint(3, 6))


def _record(rng: random.Random) -> tuple[Item, ...]:
    """A territory with its language, its currency or both, in any order."""
    territory, *answers = rng.choice(FACTS).items()
    items = [territory, *rng.sample(answers, rng.randint(1, 2))]
    if rng.random() < NOISE_SHARE:
        items.append(draw(rng.choice(("amount", "relative", "date")), rng))
    rng.shuffle(items)
    return tuple(items)


def draw_document(rng: random.Random) -> tuple[tuple[Item, ...], ...]:
    """The phrases of a document: one run of a cycle, or one to three records."""
    if rng.random() < RUN_SHARE:
        return (_run(rng),)
    return tuple(_record(rng) for _ in range(rng.randint(1, 3)))
