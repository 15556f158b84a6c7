"""Scores that are drawn instead of trained."""

import random

from benchmarks.common.drawn_scores import drawn_scores


def test_the_same_draw_gives_the_same_scores() -> None:
    scores = drawn_scores("xnli", ["en", "de"], random.Random(0))
    assert scores == drawn_scores("xnli", ["en", "de"], random.Random(0))
    assert scores != drawn_scores("xnli", ["en", "de"], random.Random(1))
    assert scores.source_language == "en"
    assert list(scores.zero_shot) == ["de"]
