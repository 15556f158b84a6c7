"""What the pocket base is pretrained on: parallel phrases, and documents that hold the facts."""

import random
from collections.abc import Iterator, Sequence

from trainables.examples import TextExample
from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.inventory import CYCLES, FACTS, Item, draw, draw_of_kinds, run_of
from trainables.pocket.items import phrase_text

PARALLEL_SHARE = 0.7
ENGLISH_SHARE = 0.7  # of the partners of a phrase that is not English


def _partner(language: str, languages: Sequence[str], rng: random.Random) -> str:
    """Mostly English, which ties every language to one; by the others they meet directly."""
    if language != "en" and "en" in languages and rng.random() < ENGLISH_SHARE:
        return "en"
    return rng.choice([other for other in languages if other != language])


def _phrase(rng: random.Random) -> list[Item]:
    return draw_of_kinds(rng.randint(1, 3), rng)


def _record(rng: random.Random) -> list[Item]:
    """A territory with its language, its currency or both, at times with something else."""
    territory, *answers = rng.choice(FACTS).items()
    items = [territory, *rng.sample(answers, rng.randint(1, 2))]
    if rng.random() < 0.3:
        items.append(draw(rng.choice(("amount", "relative", "date")), rng))
    rng.shuffle(items)
    return items


def _run(rng: random.Random) -> list[Item]:
    cycle = rng.choice(CYCLES)
    return list(run_of(cycle, rng.randrange(len(cycle)), rng.randint(3, 6)))


def _document(language: str, rng: random.Random) -> str:
    """One run of a cycle, or one to three records."""
    if rng.random() < 0.4:
        return phrase_text(_run(rng), language)
    records = [phrase_text(_record(rng), language) for _ in range(rng.randint(1, 3))]
    return " . ".join(records)


def pretraining_text(
    num_rows: int, *, seed: int, languages: Sequence[str] = LANGUAGES
) -> Iterator[TextExample]:
    """Rows for masked language modelling; the 70 % with a `pair` make it translation modelling.

    A row has about 20 tokens. The first rows of a longer text are those of a shorter one.
    """
    if len(languages) < 2:
        raise ValueError(f"pretraining needs two languages to pair, got {list(languages)}")
    rng = random.Random(f"pocket:text:{seed}:{','.join(languages)}")
    for index in range(num_rows):
        language = rng.choice(languages)
        if rng.random() < PARALLEL_SHARE:
            items = _phrase(rng)
            other = _partner(language, languages, rng)
            text, pair = phrase_text(items, language), phrase_text(items, other)
            if rng.random() < 0.5:
                text, pair = pair, text
            yield TextExample(id=f"text-{seed}-{index}", text=text, pair=pair)
        else:
            yield TextExample(id=f"text-{seed}-{index}", text=_document(language, rng), pair=None)
