import pytest

from spaces.refusal import MAX_SHOWN, Refusal, first_line, one_line, shown, unknown


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
