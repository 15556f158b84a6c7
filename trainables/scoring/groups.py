"""Which rows of a task go together: those that share a paragraph, a premise, a sentence.

They stand and fall together. So they lie in one half of a split that is cut in two, and are drawn
together where rows are drawn again. Pure.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.task import Task, TaskKind
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
)

Groups = npt.NDArray[Any]  # [rows]: the number of each row's group, from 0, as they first stand

# Rows and their translations have one id in these kinds. Elsewhere what rows share says it itself:
# the English sentence of a pair; a tagged sentence has no translation.
KINDS_WITH_IDS = (TaskKind.SPAN, TaskKind.CHOICE, TaskKind.CLASSIFICATION)


def normal(text: str) -> str:
    """The text without what tells two copies of it apart: letter case, white space, and the ways
    to write one accented letter (NFC)."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def links_of(example: Example, task: Task) -> tuple[str, ...]:
    """What a row shares with others of its group, of its language: the paragraph of a question, the
    document of a choice (without one: its text), the premise of a pair, either sentence of a pair
    whose order says nothing, a tagged sentence, the English of a translation."""
    match example:
        case SpanExample():
            return (normal(example.context),)
        case ChoiceExample():
            return (normal(example.document or example.text),)
        case PairExample(text_b=str(second)) if task.is_symmetric:
            return normal(example.text_a), normal(second)
        case PairExample():
            return (normal(example.text_a),)
        case TaggingExample():
            return (" ".join(example.words),)
        case RetrievalExample():
            return (example.pivot,)
        case _:
            return ()


def groups_of(examples: Sequence[Example], task: Task) -> Groups | None:
    """The group of each row, as small numbers; None where every row is for itself."""
    roots = _roots([links_of(example, task) for example in examples])
    first, groups = np.unique(np.asarray(roots, np.int64), return_inverse=True)
    if len(first) == len(examples):
        return None
    return groups.astype(np.min_scalar_type(len(first) - 1))


def keys_of(
    examples: Sequence[Example], task: Task, *, twins: Mapping[str, str] | None = None
) -> list[str]:
    """The name of each row's group: the smallest text that its rows share.

    Args:
        twins: id -> name of the group, in the language whose names count. A group with rows of
            these ids takes the name from there (where it is split there: the smallest), so that
            paragraphs that are each other's translations have one name.
    """
    twins = twins or {}
    links = [links_of(example, task) for example in examples]
    roots = _roots(links)
    own: dict[int, set[str]] = {root: set() for root in roots}
    elsewhere: dict[int, set[str]] = {root: set() for root in roots}
    for example, texts, root in zip(examples, links, roots, strict=True):
        own[root].update(texts or (example.id,))
        elsewhere[root].update({twins[example.id]} if example.id in twins else ())
    names = {root: min(elsewhere[root] or own[root]) for root in own}
    return [names[root] for root in roots]


def half_of(key: str) -> str:
    """`validation` or `test`: the half of a single evaluation split in which a group lies."""
    digest = hashlib.sha256(f"half:{key}".encode()).digest()
    return "validation" if digest[0] < 128 else "test"


def word_of(task: Task) -> str:
    """What halves are cut by, for the protocol."""
    if task.kind is TaskKind.SPAN:
        return "paragraph"
    return "text" if task.kind in KINDS_WITH_IDS else "parallel id"


def _roots(links: Sequence[tuple[str, ...]]) -> list[int]:
    """The first row of each row's group: rows are joined by any text that they share, and so by
    chains of them."""
    parents = list(range(len(links)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[str, int] = {}
    for row, texts in enumerate(links):
        for text in texts:
            one, other = sorted((root(row), root(first.setdefault(text, row))))
            parents[other] = one
    return [root(row) for row in range(len(links))]
