"""The comparison that a verdict rests on."""

from dataclasses import replace
from typing import Any

import pytest

from search.glance.evidence import Evidence, LanguageGain, Standing, deciding_retrain
from search.trials.language_verdicts import Call
from tests.found import found, gain_of, retrain_of
from trainables.scoring.scores import Mark


def test_the_standing_follows_what_is_scored(planted: Any) -> None:
    rows = planted.study_rows()
    collapsed = tuple(
        planted.scored(n, 0.3, name, mark=Mark.COLLAPSED) for n, name in enumerate((None, "coh"))
    )
    for given, expected in (
        ((), Standing.NOTHING_SCORED),
        (rows[5:], Standing.NOTHING_SCORED),
        (collapsed, Standing.NOTHING_LEARNED),
        (rows[2:4], Standing.NO_BASELINE),
        (rows[:2], Standing.ONLY_BASELINES),
        ((planted.scored(0, 0.6, None), planted.scored(1, 0.5, "fact")), Standing.NO_GAIN),
        (rows, Standing.UNTESTED),
    ):
        evidence = Evidence.of(found(planted, given))
        assert evidence.standing is expected
        assert (evidence.gain is None) == (expected in tuple(Standing)[:4])


@pytest.mark.parametrize(
    ("mean", "half", "in_search", "after_retrain"),
    [
        (0.05, 0.02, Standing.SIGNIFICANT, Standing.CONFIRMED),
        (0.05, 0.06, Standing.NOT_SIGNIFICANT, Standing.NOT_CONFIRMED),
        (-0.05, 0.02, Standing.NO_GAIN, Standing.REFUTED),
        (-0.05, 0.06, Standing.NO_GAIN, Standing.NOT_CONFIRMED),
        (0.05, None, Standing.UNTESTED, Standing.NOT_CONFIRMED),
    ],
)
def test_significance_decides(
    planted: Any, mean: float, half: float | None, in_search: Standing, after_retrain: Standing
) -> None:
    gain = gain_of(mean, half)
    assert Evidence.of(found(planted, gain=gain)).standing is in_search
    both = found(planted, gain=gain_of(0.2, 0.1), retrains=(retrain_of(gain),))
    assert Evidence.of(both).standing is after_retrain
    assert Evidence.of(both).gain == gain


def test_a_retrain_decides_only_over_all_objective_targets(planted: Any) -> None:
    whole, other = retrain_of(gain_of(0.1, 0.05)), retrain_of(gain_of(0.2, 0.05), name="later")
    for retrains, expected in (
        ((), None),
        ((whole,), whole),
        ((whole, other), other),
        ((whole, replace(other, targets=("rel",))), whole),
        ((whole, replace(other, gain=None)), whole),
        ((replace(whole, label=None),), None),
    ):
        assert deciding_retrain(found(planted, retrains=retrains)) == expected


def test_gains_by_language_leave_the_source_out_and_keep_the_verdicts(planted: Any) -> None:
    cells = planted.verdicts_of(
        [*planted.verdict_cells(), planted.verdict_cell("rel", "en", "better", 0.2)]
    )
    evidence = Evidence.of(found(planted, verdicts=cells))
    assert [(g.task, g.language, g.call) for g in evidence.languages] == [
        ("rel", "de", Call.BETTER),
        ("rel", "tr", Call.TIE),
        ("coh", "tr", Call.WORSE),
    ]
    assert evidence.languages[0].low == pytest.approx(0.07)
    fresh = retrain_of(gain_of(0.1, 0.05), languages=cells[:1])
    of_retrain = Evidence.of(found(planted, verdicts=cells, retrains=(fresh,)))
    assert [g.language for g in of_retrain.languages] == ["de"]


def test_without_verdicts_the_differences_are_untested(planted: Any) -> None:
    evidence = Evidence.of(found(planted))
    assert LanguageGain(task="rel", language="de", mean=pytest.approx(0.09)) in evidence.languages
    assert {gain.call for gain in evidence.languages} == {None}
    assert "en" not in {gain.language for gain in evidence.languages if gain.task == "rel"}


def test_the_best_plan_below_the_baseline_has_gains_by_language_too(planted: Any) -> None:
    rows = (planted.scored(0, 0.6, None), planted.scored(1, 0.55, "fact"))
    evidence = Evidence.of(found(planted, rows))
    assert evidence.label == "fact"
    means = [gain.mean for gain in evidence.languages if gain.task != "retrieval"]
    assert means == [pytest.approx(-0.05)] * 4
