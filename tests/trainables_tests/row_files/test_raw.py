import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from trainables.row_files.raw import half_pair, json_object

HALVES = ("\ud83d", "\ude00", "cut \ud83d", "\ud800\ud800", "\udc00 after", "\ude00\ud83d")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_an_object_is_read_with_and_without_a_mark(row: dict[str, object]) -> None:
    line = json.dumps(row)
    assert json_object(line, "line 1") == row
    assert json_object(f"\ufeff{line}", "line 1") == row


@given(st.text() | st.binary().map(lambda content: content.decode(errors="surrogateescape")))
@example("[" * 100_000)
@example('{"a": ' * 100_000)
@example('{"a": ' + "9" * 5_000 + "}")
@example('"' + "x" * 1_000_000 + '"')
@example("\ufeff")
def test_any_other_line_is_refused_in_one_short_line(line: str) -> None:
    message = refused_with(line)
    if message is not None:
        assert message.startswith("line 3 is ")
        assert "expected" in message
        assert len(message.splitlines()) == 1
        assert len(message) < 400


def refused_with(line: str) -> str | None:
    try:
        assert isinstance(json_object(line, "line 3"), dict)
    except Refusal as refusal:
        return str(refusal)
    return None


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: ["a", {"b": [text]}]])
def test_half_of_a_surrogate_pair_is_found_at_any_depth(half: str, wrap) -> None:
    message = half_pair({"id": "1", "text_a": wrap(half)})
    assert message is not None
    assert message.startswith("column 'text_a' holds half of a surrogate pair at character ")
    assert message.isprintable()
    assert half_pair({"id": "1", half: "text"}) is not None


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()) | st.floats() | st.none()))
def test_whole_characters_are_no_halves(row: dict[str, object]) -> None:
    assert half_pair(row) is None
    assert half_pair(json.loads(json.dumps(row))) is None  # JSON writes an emoji as two halves


def test_a_deep_row_is_searched_to_its_end() -> None:
    deep: object = "\ud83d"
    for _ in range(100_000):
        deep = [deep]
    assert half_pair({"text": deep}) is not None
    while isinstance(deep, list):  # Python frees a list of this depth only level by level
        (deep,) = deep
