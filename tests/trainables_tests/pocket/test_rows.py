from itertools import combinations

import pytest

from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.drafts import COH_LABELS, REL_LABELS, SPLITS, TASK_NAMES, num_rows
from trainables.pocket.items import NER_TAGS, POS_TAGS
from trainables.pocket.rows import rows


def content(row: Example) -> tuple[object, ...]:
    """All of a row but its id, with choices in a fixed order."""
    match row:
        case ChoiceExample():
            return (row.text, *sorted(row.choices))
        case PairExample():
            return (row.text_a, row.text_b)
        case SpanExample():
            return (row.question, row.context)
        case TaggingExample():
            return row.words
        case RetrievalExample():
            return (row.text, row.pivot)
        case TextExample():
            return (row.text,)
        case _:
            raise AssertionError(f"no such row in the pocket: {row}")


@pytest.mark.parametrize("task", TASK_NAMES)
def test_splits_share_no_rows_in_any_language(task: str) -> None:
    for language in ("en", "ja", "sw"):
        result = [{content(row) for row in rows(task, language, split)} for split in SPLITS]
        for left, right in combinations(result, 2):
            assert not left & right


@pytest.mark.parametrize("task", TASK_NAMES)
def test_rows_are_parallel(task: str) -> None:
    english = rows(task, "en", "validation")
    assert len(english) == num_rows(task, "validation")
    assert len({row.id for row in english}) == len(english)
    for language in LANGUAGES:
        predicted = rows(task, language, "validation")
        assert [row.id for row in predicted] == [row.id for row in english]
        assert [getattr(row, "label", None) for row in predicted] == [
            getattr(row, "label", None) for row in english
        ]


@pytest.mark.parametrize(
    ("task", "labels"),
    [("pos", POS_TAGS), ("ner", NER_TAGS), ("rel", REL_LABELS), ("coh", COH_LABELS)],
)
def test_labels_are_all_used(task: str, labels: tuple[str, ...]) -> None:
    used: set[str] = set()
    for row in (*rows(task, "en", "train"), *rows(task, "tr", "train")):
        if isinstance(row, TaggingExample):
            assert len(row.words) == len(row.tags)
            used.update(row.tags)
        if isinstance(row, PairExample):
            used.add(row.label)
    assert used == set(labels)


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_stand_in_their_context(language: str) -> None:
    for row in rows("qakind", language, "validation"):
        assert isinstance(row, SpanExample)
        (answer,) = row.answers
        end = answer.start + len(answer.text)
        assert row.context[answer.start : end] == answer.text
        assert row.context[: answer.start].endswith(" ") or answer.start == 0
        assert row.context[end : end + 1] in ("", " ")


def test_a_pivot_is_english() -> None:
    german = rows("retrieval", "de", "test")
    english = rows("retrieval", "en", "test")
    for row, same in zip(german, english, strict=True):
        assert isinstance(row, RetrievalExample)
        assert isinstance(same, RetrievalExample)
        assert row.pivot == same.pivot
    assert rows("retrieval", "de", "train") == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("poss", "en", "train"), "unknown pocket task 'poss'"),
        (("pos", "xx", "train"), "unknown pocket language 'xx'"),
        (("pos", "en", "dev"), "unknown pocket split 'dev'"),
    ],
)
def test_unknown_names_are_refused(arguments: tuple[str, str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows(*arguments)
