"""Rows that go together: what they share, and the half in which they lie."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import Task
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.scoring.groups import (
    group_names,
    groups_of,
    half_of,
    normal_form,
    shared_texts,
    unit_of_cut,
)


def question(number: str, context: str) -> SpanExample:
    return SpanExample(id=number, question=f"{number}?", context=context, answers=())


def pair(first: str, second: str | None) -> PairExample:
    return PairExample(id=f"{first}{second}", text_a=first, text_b=second, label="l")


@pytest.mark.parametrize(
    ("task", "row", "links"),
    [
        ("xquad", question("q", "A  Paragraph.\n"), ("a paragraph.",)),
        ("mnli", pair("Premise.", "Hypothesis."), ("premise.",)),
        ("pawsx", pair("One.", "Other."), ("one.", "other.")),
        ("pawsx", pair("One.", None), ("one.",)),
        ("csqa", ChoiceExample(id="c", text="Why?", choices=("a", "b"), label=0), ("why?",)),
        (
            "cosmosqa",
            ChoiceExample(id="c", text="Why? So.", choices=("a",), label=0, document="So."),
            ("so.",),
        ),
        ("udpos", TaggingExample(id="t", words=("A", "b"), tags=("X", "X")), ("A b",)),
        ("tatoeba", RetrievalExample(id="r", text="Hallo.", pivot="Hello."), ("Hello.",)),
        ("flores", TextExample(id="t", text="a", pair=None), ()),
        ("bucc", SentenceExample(id="s", text="a", is_pivot=True, partners=()), ()),
    ],
)
def test_what_rows_share(task: str, row: Example, links: tuple[str, ...]) -> None:
    assert shared_texts(row, SHIPPED.get(task)) == links


@pytest.mark.parametrize(
    ("one", "other"), [("Cafe\u0301  au\u00a0lait\n", "caf\u00e9 au lait"), ("STRASSE", "straße")]
)
def test_copies_of_a_text_have_one_normal_form(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other) == normal_form(normal_form(one))
    assert normal_form(one) != normal_form(f"{other}s")


def test_rows_are_in_one_group_by_chains_of_what_they_share() -> None:
    rows = [pair("a", "b"), pair("c", "d"), pair("B", "e"), pair("x", "y"), pair(" e", "c")]
    groups = groups_of(rows, SHIPPED.get("pawsx"))
    assert groups is not None
    assert groups.dtype == np.uint8
    assert groups.tolist() == [0, 0, 0, 1, 0]
    assert groups_of(rows, SHIPPED.get("mnli")) is None, "premises alone: no two are the same"
    assert groups_of([], SHIPPED.get("mnli")) is None
    assert groups_of([TextExample(id="1", text="a", pair=None)] * 2, SHIPPED.get("flores")) is None


@given(st.lists(st.tuples(*[st.sampled_from("abcdefghij")] * 2), max_size=12))
def test_groups_are_what_can_be_reached(pairs: list[tuple[str, str]]) -> None:
    """Against the slow way: spread from each row as far as it goes."""
    rows, task = [pair(*texts) for texts in pairs], SHIPPED.get("pawsx")
    result = groups_of(rows, task)
    groups = list(range(len(rows))) if result is None else result.tolist()
    for row, texts in enumerate(pairs):
        reached = set(texts)
        for _ in pairs:
            reached |= {text for other in pairs if reached & set(other) for text in other}
        for other in range(len(pairs)):
            assert (groups[row] == groups[other]) == bool(reached & set(pairs[other]))
    keys = group_names(rows, task)
    assert [keys.index(key) for key in keys] == [groups.index(group) for group in groups]


def halves(rows: Sequence[Example], task: Task, twins: dict[str, str]) -> dict[str, str]:
    keys = group_names(rows, task, twins=twins)
    return {row.id: half_of(key) for row, key in zip(rows, keys, strict=True)}


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20),
    st.sampled_from(["xquad", "mnli", "cosmosqa"]),
)
def test_translations_lie_in_one_half_and_a_paragraph_is_never_torn(
    paragraphs: list[int], name: str
) -> None:
    """German rows in another order, one missing, one of a paragraph that English lacks."""
    task = SHIPPED.get(name)

    def rows(language: str) -> list[Example]:
        return [question(str(n), f"{language} {p}") for n, p in enumerate(paragraphs)]

    english, german = rows("en"), [*reversed(rows("de")[1:]), question("new", "de new")]
    twins = dict(zip((r.id for r in english), group_names(english, task), strict=True))
    ours, theirs = halves(english, task, {}), halves(german, task, twins)
    assert all(ours[row] == half for row, half in theirs.items() if row != "new")
    for p in set(paragraphs):
        rows_of = [str(n) for n, other in enumerate(paragraphs) if other == p]
        assert len({ours[row] for row in rows_of}) == 1
    assert theirs["new"] == half_of("de new")


def test_ids_that_are_no_translations_tear_no_paragraph() -> None:
    """Numbers that mean other rows in each language: the paragraph still lies in one half."""
    german = [question(str(n), "de one") for n in range(9)]
    keys = group_names(german, SHIPPED.get("xquad"), twins={str(n): f"en {n}" for n in range(9)})
    assert set(keys) == {"en 0"}


def test_halves_are_about_equal() -> None:
    result = [half_of(f"paragraph {n}") for n in range(2000)]
    assert 900 < result.count("validation") < 1100
    assert set(result) == {"validation", "test"}


def test_what_a_cut_is_by() -> None:
    words = {name: unit_of_cut(SHIPPED.get(name)) for name in ("xquad", "cosmosqa", "qqp", "udpos")}
    assert words == {
        "xquad": "paragraph",
        "cosmosqa": "text",
        "qqp": "text",
        "udpos": "parallel id",
    }
    assert unit_of_cut(SHIPPED.get("tatoeba")) == "parallel id"
