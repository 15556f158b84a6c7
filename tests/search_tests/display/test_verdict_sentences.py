"""Verdicts and gains in sentences."""

from dataclasses import replace
from typing import Any

from search.display.verdict_sentences import (
    calls,
    collapsed_runs,
    meaning,
    over_seeds,
    seen_rows,
    without_collapsed,
)
from search.stats.intervals import Interval
from search.trials.gains import SeedGain


def test_calls_are_named_and_counted(planted: Any) -> None:
    assert calls(planted.verdicts_of(planted.verdict_cells())) == (
        "better in 1 (rel de +9.0), worse in 1 (coh tr −5.0), tie in 1 of 3"
    )
    first = planted.verdicts_of(planted.verdict_cells())[0]
    many = [replace(first, language=f"l{i}") for i in range(11)]
    assert "rel l7 +9.0 and 3 more), worse in 0, tie in 0 of 11" in calls(many)


def test_calls_over_several_targets_are_adjusted_for_together(planted: Any) -> None:
    recorded = [
        planted.verdict_cell("rel", "de", "better", 0.09, adjusted_all=0.03),
        planted.verdict_cell("rel", "tr", "tie", 0.03, adjusted_all=0.7),
        planted.verdict_cell("coh", "tr", "worse", -0.05, adjusted_all=0.06),
    ]
    cells = planted.verdicts_of(recorded)
    told = (
        "Adjusted for all 3 cells of the 2 targets together, 1 of these 2 calls stay significant."
    )
    assert told in meaning(cells)
    assert len(meaning(cells[:2])) == 2, "one target is adjusted for already"
    older = [replace(cell, adjusted_all=None) for cell in cells]
    assert not any("together" in line for line in meaning(older))


def gain(**fields: Any) -> SeedGain:
    given: dict[str, Any] = {
        "mean": 0.05,
        "low": None,
        "high": None,
        "std": None,
        "num": 1,
        "is_paired": True,
        "num_first": 1,
        "num_second": 1,
        "collapsed_first": 0,
        "collapsed_second": 0,
        "sound": None,
    }
    return SeedGain(**{**given, **fields})


def test_a_gain_over_seeds_has_its_interval_and_what_collapsed() -> None:
    assert over_seeds(gain()) == ""
    sure = gain(low=0.01, high=0.09, std=0.02, num=3)
    assert over_seeds(sure) == " (95 % interval +1.0 to +9.0; paired by seed, ± 2.0 over the seeds)"
    unsure = replace(sure, low=-0.01, is_paired=False, collapsed_second=2, num_second=3)
    assert over_seeds(unsure) == (
        " (95 % interval −1.0 to +9.0, not significant; 0 of 1 seeds collapsed, 2 of 3 beside it)"
    )
    assert collapsed_runs(unsure) == "0 of 1 seeds collapsed, 2 of 3 beside it"


def test_the_gain_without_collapsed_seeds_is_a_second_number() -> None:
    assert list(without_collapsed(gain())) == []
    sound = Interval(mean=0.1, low=None, high=None, std=None, num=1)
    (sentence,) = without_collapsed(gain(sound=sound))
    assert sentence == "Without the seeds that collapsed, it is +10.0 points over 1 seed."


def test_seen_rows_name_the_languages_of_each_target() -> None:
    assert list(seen_rows({})) == []
    (sentence,) = seen_rows({"rel": ["de", "tr"]}, part="half of the")
    assert sentence.startswith("Selection used half of the test rows of rel (de tr). ")
