import pytest

from search.init.table import Shape, Table, plain_name

ROWS = [
    {"text": "a", "n": 1, "words": ["a", "b"], "empty": "", "mixed": "a"},
    {"text": "b", "n": 2.5, "words": ["a"], "more": True, "mixed": 3, "choices": {"text": ["x"]}},
    {"answers": {"text": [], "answer_start": []}, "options": [{"text": "y"}, {"text": "z"}]},
]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("text", Shape.TEXT), ("n", Shape.SCALAR), ("words", Shape.TEXTS), ("empty", Shape.EMPTY),
        ("mixed", Shape.OTHER), ("more", Shape.SCALAR), ("choices.text", Shape.TEXTS),
        ("options.text", Shape.TEXTS), ("answers", Shape.ANSWERS),
    ],
)  # fmt: skip
def test_what_a_column_holds(name: str, shape: Shape) -> None:
    assert Table.of(ROWS).columns[name].shape is shape


def test_the_values_of_a_column() -> None:
    columns = Table.of(ROWS).columns
    assert columns["text"].values == ("a", "b", None)
    assert columns["words"].distinct == {"a", "b"}
    assert columns["n"].distinct == {"1", "2.5"}
    assert columns["n"].mean_length == 2
    assert columns["empty"].mean_length == 0


def test_columns_are_found_by_name_whatever_its_letters() -> None:
    table = Table.of([{"Gold Label": "a", "gold": "b"}])
    found = table.find(("label", "gold_label"), lambda column: True)
    assert found is not None
    assert found.name == "Gold Label"
    assert table.find(("gold",), lambda column: False) is None
    assert table.find(("gold",), lambda column: True, without=["gold"]) is None
    assert plain_name("Gold_Label 1.a") == "goldlabel1.a"


def test_no_rows_have_no_columns() -> None:
    assert not Table.of([]).columns
    assert Table.of([{"a": "x"}]).those(Shape.SCALAR) == []
