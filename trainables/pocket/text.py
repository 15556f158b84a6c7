"""The text that the pocket encoder is pretrained on: parallel phrases, and documents that state the
facts."""

import random
from collections.abc import Iterator, Sequence

from trainables.examples import TextExample
from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.documents import SEPARATOR, draw_document
from trainables.pocket.inventory import Item, draw_of_kinds
from trainables.pocket.items import phrase_text

PARALLEL_SHARE = 0.7
ENGLISH_SHARE = 0.7  # the share of English among the translations of a phrase in another language
MAX_PHRASE_ITEMS = 3


def document_text(phrases: Sequence[Sequence[Item]], language: str) -> str:
    """The phrases of a document in this language, as one text."""
    return SEPARATOR.join(phrase_text(items, language) for items in phrases)


def pretraining_text(
    num_rows: int, *, seed: int, languages: Sequence[str] = LANGUAGES
) -> Iterator[TextExample]:
    """Rows for masked language modelling; 70 % of them have a `pair`, for translation language
    modelling.

    A row has about 14 tokens. A longer text starts with the rows of a shorter one. Raises
    ValueError for fewer than two languages.
    """
    if len(languages) < 2:
        raise ValueError(f"pretraining needs two languages to pair, got {list(languages)}")
    rng = random.Random(f"pocket:text:{seed}:{','.join(languages)}")
    for index in range(num_rows):
        language = rng.choice(languages)
        if rng.random() < PARALLEL_SHARE:
            text, pair = _translations(language, languages, rng)
            yield TextExample(id=f"text-{seed}-{index}", text=text, pair=pair)
        else:
            text = document_text(draw_document(rng), language)
            yield TextExample(id=f"text-{seed}-{index}", text=text, pair=None)


def _translations(language: str, languages: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """One to three items in two languages, in random order."""
    items = draw_of_kinds(rng.randint(1, MAX_PHRASE_ITEMS), rng)
    pair = [language, _partner(language, languages, rng)]
    rng.shuffle(pair)
    return phrase_text(items, pair[0]), phrase_text(items, pair[1])


def _partner(language: str, languages: Sequence[str], rng: random.Random) -> str:
    """The language of the translation: mostly English, which connects every language with one
    language; the other pairs connect languages directly."""
    if language != "en" and "en" in languages and rng.random() < ENGLISH_SHARE:
        return "en"
    return rng.choice([other for other in languages if other != language])
