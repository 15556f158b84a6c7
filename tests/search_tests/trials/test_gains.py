"""Gains by target, on planted scores."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.trials.gains import GainTable, averages, gain_table, seed_gains, task_scores
from search.trials.ranking import TrialRow, best_baseline, ranked
from trainables.scoring.scores import Mark, Scores


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
    assert found.baseline == pytest.approx({"rel": 0.5, "coh": 0.5})
    table = {row.intermediate: row for row in found.rows}
    assert list(table) == ["fact", "seq"]
    assert table["fact"].number == 2
    assert table["fact"].gains == pytest.approx({"rel": 0.3, "coh": -0.1})
    assert table["fact"].mean == pytest.approx(0.1)
    assert table["seq"].gains == pytest.approx({"rel": -0.1, "coh": 0.1})


def test_without_a_baseline_there_is_no_gain(planted: Any) -> None:
    empty = GainTable(baseline={}, baseline_collapsed={}, baseline_seeds=0, rows=())
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
    assert table.baseline == pytest.approx({"rel": 0.5, "coh": 0.4})
    fact = next(found for found in table.rows if found.intermediate == "fact")
    assert fact.gains == pytest.approx({"rel": 0.2, "coh": 0.2})
    assert fact.mean == pytest.approx(0.2)
    assert fact.spread == pytest.approx(0.2 / 2**0.5)
    assert fact.num_seeds == 2
    seq = next(found for found in table.rows if found.intermediate == "seq")
    assert seq.spread is None, "no baseline of its seed: mean against mean"
    assert seq.gains == pytest.approx({"rel": 0.5, "coh": 0.5})


def test_task_scores_count_the_source_language_too(planted: Any) -> None:
    scores = row(planted, 0, None, 0.4, 0.5).scores
    assert scores is not None
    assert task_scores(scores) == pytest.approx({"rel": 0.5, "coh": 0.5})
    assert averages(scores) == {}, "an average that lacks a task is not given"


def of_level(planted: Any, level: float, **marks: Mark) -> Scores:
    scores: Scores = planted.scores(level, marks=marks)
    return scores


def test_a_seed_that_collapsed_counts_and_is_named(planted: Any) -> None:
    """By hand: gains of 0.10, 0.10 and -0.30; 0.10 without the third."""
    winner = {1: of_level(planted, 0.70), 2: of_level(planted, 0.71)}
    winner[3] = of_level(planted, 0.30, rel=Mark.COLLAPSED)
    baseline = {1: of_level(planted, 0.60), 2: of_level(planted, 0.61), 3: of_level(planted, 0.60)}
    gain = seed_gains(winner, baseline)
    assert gain is not None
    assert gain.is_paired
    assert gain.interval.mean == pytest.approx(-0.1 / 3)
    assert (gain.num_first, gain.collapsed_first, gain.collapsed_second) == (3, 1, 0)
    assert gain.sound is not None
    assert (gain.sound.mean, gain.sound.num) == (pytest.approx(0.10), 2)
    of_coh = seed_gains(winner, baseline, "coh")
    assert of_coh is not None
    assert (of_coh.num_collapsed, of_coh.sound) == (0, None), "coh did not collapse"
    assert of_coh.interval.mean == pytest.approx(-0.1 / 3)


def test_without_a_common_seed_means_are_compared(planted: Any) -> None:
    first = {1: of_level(planted, 0.7), 2: of_level(planted, 0.8)}
    second = {3: of_level(planted, 0.5), 4: of_level(planted, 0.6)}
    gain = seed_gains(first, second)
    assert gain is not None
    assert not gain.is_paired
    assert gain.interval.mean == pytest.approx(0.2)
    assert seed_gains(first, {}) is None


levels = st.lists(st.floats(0.3, 0.7), min_size=1, max_size=6)


@given(levels, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_marks_change_no_mean(planted: Any, drawn: list[float], data: st.DataObject) -> None:
    """What collapsed is said beside the gain; the gain over all seeds is the same."""
    second = {seed: of_level(planted, 0.5) for seed in range(len(drawn))}
    plain = {seed: of_level(planted, level) for seed, level in enumerate(drawn)}
    lost = [data.draw(st.booleans()) for _ in drawn]
    marked = {
        seed: of_level(planted, level, coh=Mark.COLLAPSED if lost[seed] else Mark.NONE)
        for seed, level in enumerate(drawn)
    }
    without, with_marks = seed_gains(plain, second), seed_gains(marked, second)
    assert without is not None
    assert with_marks is not None
    assert without.interval == with_marks.interval
    assert with_marks.collapsed_first == sum(lost)


def test_an_intermediate_that_makes_a_target_collapse_has_its_row(planted: Any) -> None:
    rows = []
    plans = ((None, 0.60, {}), ("fact", 0.65, {}), ("coh", 0.35, {"rel": Mark.COLLAPSED}))
    for source, level, marks in plans:
        for seed in (1, 2, 3):
            found = planted.scored(len(rows), level + seed / 1000, source, marks=marks)
            rows.append(replace(found, plan=found.plan.with_seed(seed)))
    order = ranked(rows)
    table = {row.label: row for row in gain_table(order, best_baseline(rows)).rows}
    assert table.keys() == {"fact", "coh"}
    assert table["coh"].gains["coh"] == pytest.approx(-0.25)
    assert (table["coh"].collapsed, table["coh"].num_seeds) == ({"rel": 3}, 3)
    assert table["fact"].collapsed == {}
