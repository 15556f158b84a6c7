"""Sides that tag differently are refused, not compared."""

import pytest

from benchmarks.scoring_throughput import alike


def test_equal_tags_are_counted() -> None:
    tags = {"de": [("O", "B-LOC"), ("O",)], "fr": [("O",)]}
    assert alike((tags, {}), (tags, {})) == "4 of 4 tags"


def test_other_tags_are_refused() -> None:
    ours, theirs = {"de": [("O", "B-LOC")]}, {"de": [("O", "O")]}
    with pytest.raises(AssertionError, match="1 of 2 tags differ"):
        alike((ours, {}), (theirs, {}))


def test_a_row_without_tags_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        alike(({"de": [("O",)]}, {}), ({"de": [()]}, {}))
