import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.examples import Answer, SpanExample
from trainables.formats.base import RowError
from trainables.formats.span import SpanFormat
from trainables.rows.reading import Row, nearest, read_squad, read_tagged


def row(**content: object) -> Row:
    return Row(content, SHIPPED.get("squad"), "en", "r-1")


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


CONTEXT = "Ada and Bo lived in Ada, 1884."


@pytest.mark.parametrize(
    ("texts", "starts", "expected"),
    [
        (["Ada"], [0], [("Ada", 0)]),
        (["Ada"], [20.0], [("Ada", 20)]),
        (["Ada", "1884"], [0.0, 25], [("Ada", 0), ("1884", 25)]),
        ("Ada", 0, [("Ada", 0)]),
        ("Ada", [20], [("Ada", 20)]),
        (["Ada"], 20.0, [("Ada", 20)]),
        ([], [], []),
    ],
)
def test_answers_with_one_meaning_are_taken(texts, starts, expected) -> None:
    answers = {"text": texts, "answer_start": starts}
    result = read_squad(row(question="Q?", context=CONTEXT, answers=answers))
    assert isinstance(result.example, SpanExample)
    assert [(answer.text, answer.start) for answer in result.example.answers] == expected
    assert all(type(answer.start) is int for answer in result.example.answers)
    assert result.num_mended == 0


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": "Ada", "answer_start": [0, 1, 2]}, "1 answers and 3 offsets"),
        ({"text": ["Ada", "Bo"], "answer_start": 0}, "2 answers and 1 offsets"),
        ({"text": [None], "answer_start": [0]}, "text 0 of its answers is None, expected text"),
        ({"text": None, "answer_start": None}, "text 0 of its answers is None, expected text"),
        ({"text": ["Ada"], "answer_start": [None]}, "answer_start 0 of its answers is None, expec"),
        (
            {"text": ["Ada"], "answer_start": ["0"]},
            "answer_start 0 of its answers is '0', expected",
        ),
        (
            {"text": ["Ada"], "answer_start": [0.5]},
            "answer_start 0 of its answers is 0.5, expected",
        ),
        ({"text": ["Ada"], "answer_start": [float("nan")]}, "is nan, expected a whole number"),
        ({"text": ["Ada"], "answer_start": [float("inf")]}, "is inf, expected a whole number"),
        ({"text": ["Ada"], "answer_start": [True]}, "is True, expected a whole number"),
        ({"text": [["Ada"]], "answer_start": [0]}, "text 0 of its answers is ['Ada'], expected"),
        ({"text": ["Ada"]}, "expected text and answer_start"),
        ([{"text": "Ada", "answer_start": 0}], "expected text and answer_start"),
        ("Ada", "column 'answers' is 'Ada', expected text and answer_start"),
        (None, "column 'answers' is None, expected text and answer_start"),
    ],
)
def test_other_answers_are_refused_with_the_row(answers: object, message: str) -> None:
    with pytest.raises(RowError, match="task 'squad', row 'r-1': ") as refused:
        read_squad(row(question="Q?", context=CONTEXT, answers=answers))
    assert message in str(refused.value)


def both_forms(text: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("Cafe in Málaga, café in São Paulo.", "café"),
        ("Sie wohnt in Köln.", "Köln"),
        ("그는 서울에 산다.", "서울"),
        ("Tiếng Việt ở Hà Nội.", "Hà Nội"),
        ("प्रश्न क़लम है", "क़लम"),
        ("が か が", "が"),
        ("ψυχή ᾧ ἄνθρωπος", "ᾧ"),
        ("a\u0323\u0302 b", "a\u0302\u0323"),  # two orders of two marks
        ("10 \u212b long", "\u00c5"),  # the angstrom sign is the letter
    ],
)
def test_an_answer_in_another_unicode_form_is_found(context: str, answer: str) -> None:
    for held in both_forms(context):
        for sought in (answer, *both_forms(answer)):
            answers = {"text": [sought], "answer_start": [0]}
            result = read_squad(row(question="Q?", context=held, answers=answers))
            assert isinstance(result.example, SpanExample)
            (found,) = result.example.answers
            assert held[found.start : found.start + len(found.text)] == found.text
            assert unicodedata.normalize("NFD", found.text) == unicodedata.normalize("NFD", answer)
            SpanFormat().check(result.example, SHIPPED.get("squad"))


def test_the_nearest_of_several_equivalent_answers_is_taken() -> None:
    held, sought = both_forms("é é é")[1], "\u00e9"
    for start, expected in ((0, 0), (2, 3), (5, 6), (-9, 0), (10**30, 6)):
        answers = {"text": [sought], "answer_start": [start]}
        result = read_squad(row(question="Q?", context=held, answers=answers))
        assert getattr(result.example, "answers", None) == (Answer(text="e\u0301", start=expected),)
        assert result.num_mended == 1


@given(
    before=st.text(max_size=9), answer=st.text(min_size=1, max_size=9), after=st.text(max_size=9)
)
def test_an_answer_that_the_context_holds_is_found_in_every_form(
    before: str, answer: str, after: str
) -> None:
    # A mark at the start would belong to the blank before it.
    assume(not unicodedata.combining(unicodedata.normalize("NFD", answer)[0]))
    context = f"{before} {answer} {after}"
    for held in (context, *both_forms(context)):
        for sought in both_forms(answer):
            answers = {"text": [sought], "answer_start": [len(before) + 1]}
            result = read_squad(row(question="Q?", context=held, answers=answers))
            (found,) = getattr(result.example, "answers", ())
            piece = held[found.start : found.start + len(found.text)]
            assert piece == found.text
            assert unicodedata.normalize("NFD", piece) == unicodedata.normalize("NFD", answer)
