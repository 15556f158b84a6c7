from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.tasks.origin import Origin
from trainables.row_files.columns import check_columns, is_kept, with_our_columns


def origin(**fields: Any) -> Origin:
    return Origin(dataset="owner/name", languages=("en", "de"), **fields)


def columns(**names: str) -> Origin:
    return origin(columns=tuple(names.items()))


@pytest.mark.parametrize(
    ("theirs", "row", "value"),
    [
        ("text", {"text": "a"}, "a"),
        ("title+body", {"title": "a", "body": "b"}, "a b"),
        ("title+body", {"title": None, "body": "b"}, "b"),
        ("title+body", {"title": 3, "body": "b"}, [3, "b"]),
        ("a.b", {"a": {"b": "c"}}, "c"),
        ("a.b", {"a.b": "d", "a": {"b": "c"}}, "d"),
        ("title+body", {"title+body": "c"}, "c"),
    ],
)
def test_texts_of_several_columns(theirs: str, row: dict[str, Any], value: Any) -> None:
    assert with_our_columns(row, columns(sentence1=theirs))["sentence1"] == value


@pytest.mark.parametrize(
    ("theirs", "row"),
    [
        ("c1+c2", {"c1": "x", "c2": "y"}),
        ("choices.text", {"choices": {"text": ["x", "y"], "label": ["A", "B"]}}),
        ("options.text", {"options": [{"text": "x"}, {"text": "y"}]}),
    ],
)
def test_choices_of_several_columns(theirs: str, row: dict[str, Any]) -> None:
    assert with_our_columns(row, columns(choices=theirs))["choices"] == ["x", "y"]


def test_columns_may_change_places() -> None:
    row = with_our_columns({"sentence1": "a", "sentence2": "b"}, columns(sentence1="sentence2"))
    assert row == {"sentence1": "b"}
    swapped = columns(sentence1="sentence2", sentence2="sentence1")
    assert with_our_columns({"sentence1": "a", "sentence2": "b"}, swapped) == {
        "sentence1": "b",
        "sentence2": "a",
    }


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4))
def test_a_column_that_is_not_there_stays_away(row: dict[str, Any]) -> None:
    renamed = with_our_columns(row, columns(sentence1="\0not there"))
    assert renamed == row


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1, "yes"), (1.0, "yes"), ("1", "yes"), (True, "so"), ("True", "so"), ("other", "other"),
        (["1", 0], ["yes", 0]), (None, None), ({}, {}),
    ],
)  # fmt: skip
def test_labels_by_name(value: Any, label: Any) -> None:
    names = origin(label_names=(("1", "yes"), ("true", "so")))
    assert with_our_columns({"label": value, "text": "1"}, names) == {"label": label, "text": "1"}


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"gold": True, "source": "a"}, True),
        ({"gold": "True", "source": "b"}, True),
        ({"gold": 1, "source": "a"}, False),
        ({"gold": True, "source": "c"}, False),
        ({"gold": True}, False),
        ({}, False),
    ],
)
def test_rows_are_kept_by_their_values(row: dict[str, Any], kept: bool) -> None:
    assert is_kept(row, (("gold", (True,)), ("source", ("a", "b")))) is kept
    assert is_kept(row, ())


def test_a_filter_may_name_the_language() -> None:
    where = origin(where=(("lang", ("{code}", "{flores}")), ("n", (3, "{x}"))))
    assert where.where_of("de") == (("lang", ("de", "deu_Latn")), ("n", (3, "{x}")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": (("sentence1", "txt"),)}, "column of my rows 'txt'. Did you mean 'text'"),
        ({"columns": (("choices", "text+c2"),)}, "column of my rows 'c2'"),
        ({"columns": (("choices", "all.text"),)}, "column of my rows 'all'"),
        ({"where": (("gold", (True,)),)}, "column of my rows 'gold'.* Known: label, text"),
    ],
)
def test_an_unknown_column_is_refused(fields: Any, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        check_columns([{"text": "a"}, {"label": "b"}], origin(**fields), "my rows")
    check_columns([], origin(**fields), "my rows")


def test_a_column_that_some_rows_have_is_known() -> None:
    check_columns([{"text": "a"}, {"note": "b"}], columns(sentence1="text", note="note"), "rows")
