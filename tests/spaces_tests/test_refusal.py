import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.redaction import hide_secrets
from spaces.refusal import (
    MAX_MESSAGE,
    MAX_SHOWN,
    MAX_WORD,
    AwayError,
    Refusal,
    first_line,
    one_line,
    shortened,
    shown,
    unknown,
)


def test_the_nearest_known_name_is_offered() -> None:
    refusal = unknown("task", "fcat", ["rel", "fact", "coh"])
    assert str(refusal) == "unknown task 'fcat'. Did you mean 'fact'? Known: coh, fact, rel"
    assert isinstance(refusal, ValueError)


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert "Did you mean" not in str(unknown("task", "zzz", ["rel", "fact"]))


def test_a_long_list_is_cut_and_stays_one_line() -> None:
    message = str(unknown("task", "x", [f"name{i:03d}" for i in range(100)]))
    assert message.endswith("name039, ...")
    assert "\n" not in message


def test_a_refusal_is_one_kind_of_mistake() -> None:
    assert issubclass(Refusal, ValueError)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("no space\non device"), "no space"),
        (OSError("\n  no space  \r\non device"), "no space  "),
        (Refusal("one line"), "one line"),
        (ValueError(), "ValueError"),
        (ValueError(" \n"), "ValueError"),
    ],
)
def test_a_refusal_quotes_one_line_of_an_error(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_an_error_that_says_nothing_may_be_named_otherwise() -> None:
    assert first_line(ValueError(), empty="") == ""
    assert first_line(ValueError("said"), empty="unsaid") == "said"


def test_what_was_given_is_shortened_wherever_a_refusal_quotes_it() -> None:
    name = "x" * 5000
    for refusal in (
        unknown("task", name, ["fact"]),
        unknown("task", name, [name, "y" * 5000]),
        Refusal(f"{name} is no folder; expected one"),
        Refusal(f"a is {name!r}; expected one"),
        Refusal(f"a is {['ab'] * 5000}; expected one"),
        AwayError(f"{name} {name} does not answer; expected one"),
    ):
        assert len(str(refusal)) <= MAX_MESSAGE + 3
        assert max(map(len, str(refusal).split())) <= MAX_WORD + 3
    assert str(Refusal(f"a is {['ab'] * 5000}; expected one")).endswith("; expected one")


def test_a_name_of_ten_megabytes_is_compared_at_once() -> None:
    began = time.monotonic()
    unknown("task", "x" * 10_000_000, [f"task{number}" for number in range(1000)])
    assert time.monotonic() - began < 2


@given(st.text())
def test_a_message_of_usual_length_stays_as_it_is(text: str) -> None:
    assert str(Refusal(text[:MAX_WORD])) == hide_secrets(text[:MAX_WORD])


@given(st.lists(st.text(max_size=800), max_size=12).map(" ".join))
def test_a_message_that_was_shortened_is_not_shortened_again(text: str) -> None:
    once = shortened(text)
    assert len(once) <= MAX_MESSAGE + 3
    assert pickle.loads(pickle.dumps(Refusal(once))).args == Refusal(once).args


@pytest.mark.parametrize("value", ["a", 7, 7.5, None, ["a", {"b": [1]}], {"x": None}, ("a",)])
def test_a_small_value_is_shown_as_it_is(value: object) -> None:
    assert shown(value) == repr(value)


def test_a_large_value_is_shown_in_part() -> None:
    assert shown("x" * 1_000_000) == f"{'x' * 50!r}... (1,000,000 characters)"
    deep: object = []
    for _ in range(900):
        deep = [deep]
    for value in (deep, ["x" * 1_000_000], list(range(1_000_000)), {"a": b"x" * 1_000_000}):
        assert len(shown(value)) <= MAX_SHOWN + 3
    assert len(str(unknown("label", "x" * 1_000_000, ["bug", "wish"]))) < 200


def test_a_message_is_one_short_line() -> None:
    assert one_line("größe 'a' and 文字") == "größe 'a' and 文字"
    assert one_line("a\nb\ud83d\x00\u2028") == "a\\nb\\ud83d\\x00\\u2028"
    assert one_line("x" * 5000, limit=10) == "x" * 10 + "..."
