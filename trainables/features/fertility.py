"""Fertility: tokens per word of a tokenizer in a language (Rust et al. 2021, ACL).

In scripts without spaces between words it is tokens per character. The two cannot be compared.
"""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerFast

from spaces.languages import get_language
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
)

_MAX_ROWS = 200


def fertility(
    examples: Sequence[Example], language: str, *, tokenizer: PreTrainedTokenizerFast
) -> float | None:
    """Tokens per word (a piece of text between spaces) or per character, over the first 200 rows,
    without special tokens; None where the rows have no text in the language."""
    by_character = not get_language(language).has_spaces
    texts = [text for row in examples[:_MAX_ROWS] for text in _texts(row, by_character) if text]
    words = [text.split() for text in texts]
    num_units = sum(len("".join(parts)) if by_character else len(parts) for parts in words)
    if not num_units:
        return None
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return sum(map(len, encoded)) / num_units


def _texts(row: Example, unspaced: bool) -> Iterator[str]:
    """The texts of the row in its own language, without the English side of translations."""
    if isinstance(row, PairExample):
        yield from (row.text_a, row.text_b or "")
    elif isinstance(row, ChoiceExample):
        yield from (row.text, *row.choices)
    elif isinstance(row, SpanExample):
        yield from (row.question, row.context)
    elif isinstance(row, TaggingExample):
        yield ("" if unspaced else " ").join(row.words)
    elif not (isinstance(row, SentenceExample) and row.is_pivot):
        yield row.text
