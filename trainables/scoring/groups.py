"""Groups of rows that share a paragraph, a premise or a sentence.

The outcomes of such rows are correlated. Therefore a group stays in one half where a split is cut
in two, and is drawn as a whole where rows are resampled. Pure functions.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.tasks.task import Task, TaskKind
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
)

Groups = npt.NDArray[
    Any
]  # [rows]: the number of each row's group; groups are counted from 0, by first row

# The kinds in which a row and its translations have one id. Other kinds need no id for it: a pair
# of translations shares its English sentence, and a tagged sentence has no translation.
KINDS_WITH_IDS = (TaskKind.SPAN, TaskKind.CHOICE, TaskKind.CLASSIFICATION)


def normal_form(text: str) -> str:
    """The text without differences between two copies of it: letter case, white space, and the ways
    to write one accented letter (NFC)."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def shared_texts(example: Example, task: Task) -> tuple[str, ...]:
    """The texts that a row shares with other rows of its group, in its language: the paragraph of a
    question, the document of a choice (without one, its text), the premise of a pair, both
    sentences of a symmetric pair, a tagged sentence, the English side of a translation."""
    match example:
        case SpanExample():
            return (normal_form(example.context),)
        case ChoiceExample():
            return (normal_form(example.document or example.text),)
        case PairExample(text_b=str(second)) if task.is_symmetric:
            return normal_form(example.text_a), normal_form(second)
        case PairExample():
            return (normal_form(example.text_a),)
        case TaggingExample():
            return (" ".join(example.words),)
        case RetrievalExample():
            return (example.pivot,)
        case _:
            return ()


def groups_of(examples: Sequence[Example], task: Task) -> Groups | None:
    """The group of each row, as small numbers; None where every row is its own group."""
    roots = _roots([shared_texts(example, task) for example in examples])
    first, groups = np.unique(np.asarray(roots, np.int64), return_inverse=True)
    if len(first) == len(examples):
        return None
    return groups.astype(np.min_scalar_type(len(first) - 1))


def group_names(
    examples: Sequence[Example], task: Task, *, twins: Mapping[str, str] | None = None
) -> list[str]:
    """The name of each row's group: the smallest text that its rows share.

    Args:
        twins: id -> name of its group in the language whose names are used. A group with rows of
            these ids takes the name from there (the smallest, where it has several names there), so
            that paragraphs that are translations of each other have one name.
    """
    twins = twins or {}
    links = [shared_texts(example, task) for example in examples]
    roots = _roots(links)
    shared: dict[int, set[str]] = {root: set() for root in roots}
    elsewhere: dict[int, set[str]] = {root: set() for root in roots}
    for example, texts, root in zip(examples, links, roots, strict=True):
        shared[root].update(texts or (example.id,))
        elsewhere[root].update({twins[example.id]} if example.id in twins else ())
    names = {root: min(elsewhere[root] or shared[root]) for root in shared}
    return [names[root] for root in roots]


def half_of(key: str) -> str:
    """`validation` or `test`: the half of a single evaluation split that a group belongs to."""
    digest = hashlib.sha256(f"half:{key}".encode()).digest()
    return "validation" if digest[0] < 128 else "test"


def unit_of_cut(task: Task) -> str:
    """The unit that halves are cut by, as named in the protocol."""
    if task.kind is TaskKind.SPAN:
        return "paragraph"
    return "text" if task.kind in KINDS_WITH_IDS else "parallel id"


def _roots(links: Sequence[tuple[str, ...]]) -> list[int]:
    """The first row of each row's group. Rows are in one group where they share a text, directly or
    through other rows."""
    parents = list(range(len(links)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[str, int] = {}
    for row, texts in enumerate(links):
        for text in texts:
            earlier, later = sorted((root(row), root(first.setdefault(text, row))))
            parents[later] = earlier
    return [root(row) for row in range(len(links))]
