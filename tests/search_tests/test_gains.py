"""Gains by target, on planted scores."""

from dataclasses import replace
from typing import Any

import pytest

from search.gains import averages, gain_table, task_scores
from search.selection import TrialRow, best_baseline, ranked
from trainables.scores import Scores


def row(planted: Any, number: int, source: str | None, rel: float, coh: float) -> TrialRow:
    targets = (
        planted.target_scores("rel", {"en": rel + 0.2, "de": rel}),
        planted.target_scores("coh", {"en": coh, "de": coh}),
    )
    value = (rel + coh) / 2
    return replace(planted.scored(number, value, source), scores=Scores(targets=targets))


def test_each_intermediate_at_its_best_trial(planted: Any) -> None:
    rows = [
        row(planted, 0, None, 0.4, 0.5),
        row(planted, 1, "fact", 0.5, 0.45),
        row(planted, 2, "fact", 0.7, 0.4),
        row(planted, 3, "seq", 0.3, 0.6),
    ]
    order = ranked(rows)
    found = gain_table(order, best_baseline(rows))
    assert found["baseline"] == pytest.approx({"rel": 0.5, "coh": 0.5})
    table = {row["intermediate"]: row for row in found["rows"]}
    assert list(table) == ["fact", "seq"]
    assert table["fact"]["number"] == 2
    assert table["fact"]["gains"] == pytest.approx({"rel": 0.3, "coh": -0.1})
    assert table["fact"]["mean"] == pytest.approx(0.1)
    assert table["seq"]["gains"] == pytest.approx({"rel": -0.1, "coh": 0.1})


def test_without_a_baseline_there_is_no_gain(planted: Any) -> None:
    empty = {"baseline": {}, "rows": []}
    assert gain_table([row(planted, 1, "fact", 0.5, 0.4)], None) == empty


def test_means_over_seeds_with_their_spread(planted: Any) -> None:
    """By hand: gains of 0.1 and 0.3 in the mean of both tasks, seed by seed."""

    def of_seed(found: TrialRow, seed: int) -> TrialRow:
        return replace(found, plan=found.plan.with_seed(seed))

    rows = [
        of_seed(row(planted, 0, None, 0.4, 0.5), 1),
        of_seed(row(planted, 1, None, 0.4, 0.3), 2),
        of_seed(row(planted, 2, "fact", 0.5, 0.6), 1),
        of_seed(row(planted, 3, "fact", 0.7, 0.6), 2),
        of_seed(row(planted, 4, "seq", 0.9, 0.9), 7),
    ]
    order = ranked(rows)
    table = gain_table(order, best_baseline(rows))
    assert table["baseline"] == pytest.approx({"rel": 0.5, "coh": 0.4})
    fact = next(found for found in table["rows"] if found["intermediate"] == "fact")
    assert fact["gains"] == pytest.approx({"rel": 0.2, "coh": 0.2})
    assert fact["mean"] == pytest.approx(0.2)
    assert fact["spread"] == pytest.approx(0.2 / 2**0.5)
    assert fact["num_seeds"] == 2
    seq = next(found for found in table["rows"] if found["intermediate"] == "seq")
    assert seq["spread"] is None, "no baseline of its seed: mean against mean"
    assert seq["gains"] == pytest.approx({"rel": 0.5, "coh": 0.5})


def test_task_scores_count_the_source_language_too(planted: Any) -> None:
    scores = row(planted, 0, None, 0.4, 0.5).scores
    assert scores is not None
    assert task_scores(scores) == pytest.approx({"rel": 0.5, "coh": 0.5})
    assert averages(scores) == {}, "an average that lacks a task is not given"
