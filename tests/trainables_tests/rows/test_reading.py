import pytest

from spaces.refusal import Refusal
from spaces.task_catalog import get_task
from trainables.rows.reading import Row, nearest, read_squad, read_tagged


def row(**content: object) -> Row:
    return Row(content, get_task("squad"), "en", "r-1")


@pytest.mark.parametrize(
    ("start", "nearest_start"),
    [(-3, 0), (0, 0), (3, 0), (6, 9), (9, 9), (13, 9), (17, 20), (90, 20)],
)
def test_an_answer_is_found_next_to_its_offset(start: int, nearest_start: int) -> None:
    assert nearest("the cat, the cat on the mat", "the ", start) == nearest_start


def test_an_answer_that_stands_nowhere_keeps_its_offset() -> None:
    assert nearest("the cat", "dog", 2) == 2


def test_a_question_without_answers_is_read() -> None:
    result = read_squad(row(question="Q?", context="C.", answers={"text": [], "answer_start": []}))
    assert getattr(result.example, "answers", None) == ()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tokens", "a b", "column 'tokens' is 'a b', expected a list of texts"),
        ("tags", None, "column 'tags' is None, expected a list of texts"),
    ],
)
def test_a_column_of_another_type_is_refused_with_the_rows_id(column, value, message) -> None:
    with pytest.raises(Refusal, match="row 'r-1': ") as refused:
        read_tagged(row(**{"tokens": ["a"], "tags": ["X"], column: value}), "tags")
    assert message in str(refused.value)
