"""The cells of two sides: what is scored, what is missing, what was not learned."""

from dataclasses import replace
from typing import Any

import pytest

from search.degradation.cells import (
    gap_cells,
    objective_targets,
    silent_targets,
    zero_shot_levels,
)
from search.degradation.paired_scores import PairedScores
from trainables.scoring.scores import Mark, Scores


def runs(planted: Any, *levels: float, **more: Any) -> tuple[Scores, ...]:
    return tuple(planted.scores(level, **more) for level in levels)


def test_cells_are_means_over_the_seeds(planted: Any) -> None:
    sides = PairedScores(
        measured_on="trial 3 beside trial 1",
        intermediate="fact",
        before=runs(planted, 0.4, 0.6),
        after=runs(planted, 0.7, 0.7),
    )
    cells = {(cell.task, cell.language): cell for cell in gap_cells(sides)}
    german = cells["rel", "de"]
    assert (german.before, german.after) == pytest.approx((0.6, 0.8))
    assert german.gain == pytest.approx(0.2)
    assert (german.gap_before, german.gap_after) == pytest.approx((0.1, 0.1))
    assert (german.score("before"), german.gap("after")) == (german.before, german.gap_after)
    assert (german.fertility, german.fertility_unit, german.distances) == (None, "word", {})
    assert cells["retrieval", "de"].gap_before is None, "its source language is not scored"
    assert "en" not in {language for task, language in cells if task == "rel"}


def test_without_a_second_side_nothing_is_gained(planted: Any) -> None:
    sides = PairedScores(
        measured_on="trial 1", intermediate=None, before=runs(planted, 0.5), after=()
    )
    assert {(c.after, c.gain, c.gap_after) for c in gap_cells(sides)} == {(None, None, None)}


def test_a_target_is_silent_where_most_seeds_did_not_learn_it(planted: Any) -> None:
    learned, lost = planted.scores(0.5), planted.scores(0.5, marks={"coh": Mark.COLLAPSED})
    assert silent_targets([learned, lost]) == set(), "half are not most"
    assert silent_targets([learned, lost, lost]) == {"coh"}
    sides = PairedScores(measured_on="", intermediate=None, before=(learned,), after=())
    assert objective_targets(sides) == {"rel", "coh"}


def test_levels_are_the_zero_shot_scores_of_each_run(planted: Any) -> None:
    run = replace(planted.scores(0.5), targets=planted.scores(0.5).targets[:1])
    assert zero_shot_levels([run]) == [
        {("rel", "de"): pytest.approx(0.6), ("rel", "tr"): pytest.approx(0.4)}
    ]
