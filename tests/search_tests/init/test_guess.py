"""The guess of generated rows of each kind gives back the kind and the columns."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.init.guess import guess_task
from spaces.refusal import Refusal
from spaces.tasks.task import TaskKind

WORD = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzäßéč字"), min_size=1, max_size=8)
TEXT = st.lists(WORD, min_size=2, max_size=8).map(" ".join)
LABELS = st.sampled_from(["bug", "wish", "praise"])
NUM_ROWS = st.integers(9, 12)
few = settings(max_examples=20)  # of many rows each


def rows_of(draw: Any, **columns: st.SearchStrategy[Any]) -> list[dict[str, Any]]:
    """Rows whose label, where there is one, has two values at least."""
    rows = [{name: draw(values) for name, values in columns.items()} for _ in range(draw(NUM_ROWS))]
    return [{"id": f"r-{place}", **row} for place, row in enumerate(rows)]


def with_labels(draw: Any, label: str, labels: list[Any], **columns: Any) -> list[dict[str, Any]]:
    rows = rows_of(draw, **columns)
    return [{**row, label: labels[place % len(labels)]} for place, row in enumerate(rows)]


NAMES = [("sentence1", "label"), ("text", "category"), ("Review", "sentiment"), ("1", "2")]


@pytest.mark.parametrize(("text", "label"), NAMES)
@pytest.mark.parametrize("labels", [["bug", "wish"], [0, 1], ["0", "1", "2"], [True, False]])
@few
@given(data=st.data())
def test_a_text_and_a_label(text: str, label: str, labels: list[Any], data: Any) -> None:
    rows = with_labels(data.draw, label, labels, **{text: TEXT})
    rows = [row | {text: f"{row[text]} {place}"} for place, row in enumerate(rows)]
    guess = guess_task(rows)
    assert (guess.kind, guess.columns) == (
        TaskKind.CLASSIFICATION,
        {"sentence1": text, "label": label},
    )
    assert not guess.is_pair


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        ("sentence1", "sentence2", "label"),
        ("premise", "hypothesis", "gold_label"),
        ("Question1", "question2", "is_duplicate"),
        ("question", "passage", "answer"),
    ],
)
@few
@given(data=st.data())
def test_a_pair_and_a_label(first: str, second: str, label: str, data: Any) -> None:
    rows = with_labels(data.draw, label, [True, False], **{first: TEXT, second: TEXT})
    guess = guess_task(rows)
    assert guess.kind is TaskKind.CLASSIFICATION
    assert guess.columns == {"sentence1": first, "sentence2": second, "label": label}
    assert guess.is_pair


LETTERS = {"A": "0", "B": "1", "C": "2"}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([0, 1, 2], {}),
        (["0", "2"], {}),
        ([1, 2, 3], {"1": "0", "2": "1", "3": "2"}),
        (["A", "C"], LETTERS),
        (["b", "c"], {"a": "0", "b": "1", "c": "2"}),
    ],
)
@few
@given(data=st.data())
def test_choices_in_a_list_or_in_columns(
    labels: list[Any], names: dict[str, str], data: Any
) -> None:
    three = st.lists(TEXT, min_size=3, max_size=3)
    rows = with_labels(data.draw, "label", labels, ctx=TEXT, endings=three)
    guess = guess_task(rows)
    assert guess.kind is TaskKind.CHOICE
    assert guess.columns == {"text": "ctx", "choices": "endings", "label": "label"}
    assert guess.label_names == names
    flat = [
        {"question": row["ctx"], "answer": row["label"]}
        | {f"choice{place}": text for place, text in enumerate(row["endings"])}
        for row in rows
    ]
    guess = guess_task(flat)
    assert guess.kind is TaskKind.CHOICE
    assert guess.columns["choices"] == "choice0+choice1+choice2"
    assert guess.label_names == names
    nested = [
        {
            "question": row["ctx"],
            "choices": {"text": row["endings"], "label": ["A", "B", "C"]},
            "answerKey": row["label"],
        }
        for row in rows
    ]
    guess = guess_task(nested)
    assert guess.columns == {"text": "question", "choices": "choices.text", "label": "answerKey"}


def test_a_choice_by_its_text_is_not_guessed() -> None:
    rows = [{"text": "Which?", "choices": ["a b", "c d"], "label": "a b"} for _ in range(9)]
    with pytest.raises(Refusal, match="which columns a choice task reads could not be guessed"):
        guess_task(rows, TaskKind.CHOICE)


@few
@given(data=st.data())
def test_questions_on_a_text(data: Any) -> None:
    rows = rows_of(data.draw, question=TEXT, context=TEXT)
    nested = [
        row | {"answers": {"text": [row["context"].split()[0]], "answer_start": [0]}}
        for row in rows
    ]
    guess = guess_task(nested)
    assert guess.kind is TaskKind.SPAN
    assert guess.columns == {name: name for name in ("question", "context", "answers")}
    flat = [
        {
            "query": row["question"],
            "paragraph": row["context"],
            "answer_text": row["context"].split()[-1] if place % 3 else None,
        }
        for place, row in enumerate(rows)
    ]
    guess = guess_task(flat)
    assert guess.kind is TaskKind.SPAN
    assert guess.columns == {
        "question": "query",
        "context": "paragraph",
        "answer": "answer_text",
    }


@pytest.mark.parametrize(
    ("tokens", "tags"),
    [("tokens", "tags"), ("words", "ner_tags"), ("form", "upos"), ("w", "t")],
)
@few
@given(data=st.data())
def test_words_and_tags(tokens: str, tags: str, data: Any) -> None:
    words = st.lists(WORD, min_size=5, max_size=9)
    rows = rows_of(data.draw, **{tokens: words})
    more = [f"word{place}" for place in range(9)]
    tagged = [
        {
            tokens: [*row[tokens], *more],
            tags: ["O", "B-X"] * ((len(row[tokens]) + 9) // 2) + odd(row[tokens]),
        }
        for row in rows
    ]
    guess = guess_task(tagged)
    assert (guess.kind, guess.columns) == (TaskKind.TAGGING, {"tokens": tokens, "tags": tags})


def odd(words: list[str]) -> list[str]:
    return ["O"] * ((len(words) + 9) % 2)


@few
@given(data=st.data())
def test_words_and_tags_in_cells(data: Any) -> None:
    rows = rows_of(data.draw, tokens=TEXT)
    cells = [
        {"words": row["tokens"], "ner": " ".join("O" for _ in row["tokens"].split())}
        for row in rows
    ]
    assert guess_task(cells).columns == {"tokens": "words", "tags": "ner"}


@pytest.mark.parametrize(
    ("text", "translation"),
    [("sentence", "translation"), ("source_sentence", "target_sentence"), ("src", "en")],
)
@few
@given(data=st.data())
def test_translations(text: str, translation: str, data: Any) -> None:
    rows = rows_of(data.draw, **{text: TEXT})
    rows = [row | {translation: f"{row[text]} {place}"} for place, row in enumerate(rows)]
    guess = guess_task(rows)
    assert guess.kind is TaskKind.RETRIEVAL
    assert guess.columns == {"sentence": text, "translation": translation}


@pytest.mark.parametrize("text", ["text", "sentence", "line"])
@few
@given(data=st.data())
def test_plain_text(text: str, data: Any) -> None:
    guess = guess_task(rows_of(data.draw, **{text: TEXT}))
    assert (guess.kind, guess.columns) == (TaskKind.MLM, {"text": text})


@given(
    st.lists(st.dictionaries(WORD, st.none() | st.integers() | TEXT | st.lists(WORD)), max_size=8)
)
def test_any_rows_give_a_guess_or_a_refusal(rows: list[dict[str, Any]]) -> None:
    there = {name for row in rows for name in row}
    try:
        guess = guess_task(rows)
    except Refusal:
        return
    assert {*guess.columns.values()} <= there


def test_other_texts_are_named() -> None:
    rows = [{"id": f"{n}", "body": f"a {n}", "title": f"b {n}", "topic": n % 3} for n in range(9)]
    assert guess_task(rows).unread == ("title",)


def test_scores_are_no_labels() -> None:
    rows = [{"one": "a b", "two": f"c d {n}", "score": n / 7} for n in range(60)]
    with pytest.raises(Refusal, match=r"the kind of the task could not be guessed .* one, two, sc"):
        guess_task(rows)
