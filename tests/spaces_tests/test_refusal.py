import pytest

from spaces.refusal import Refusal, first_line, unknown


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
