"""The verdict in two sentences: nothing is claimed that the statistics do not carry."""

from dataclasses import replace
from typing import Any

import pytest

from search.degradation.paired_scores import ExpectedGain
from search.findings.findings import Findings
from search.glance.evidence import Evidence, Standing
from search.glance.verdict import verdict_sentences
from search.stats.intervals import Interval
from search.trials.ranking import TrialState
from spaces.study_file.sections import Objective
from tests.found import found, gain_of, retrain_of
from trainables.scoring.scores import Mark


def told(findings: Findings) -> str:
    sentences = verdict_sentences(findings, Evidence.of(findings))
    assert 1 <= len(sentences) <= 2
    assert all(sentence.endswith(".") for sentence in sentences)
    return "\n".join(sentences)


def test_one_seed_has_no_known_significance(planted: Any) -> None:
    assert told(found(planted)) == (
        "Intermediate training on fact is best in this search: +9.0 points over the best baseline "
        "(61.0 against 52.0 %) in the zero-shot mean of rel and coh in 2 languages.\n"
        "It is not known whether this is significant, because each side has one seed; and it is "
        "probably too high, because the same rows chose the best of 3 plans and of 2 baselines "
        "(winner's curse)."
    )
    two = (planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact"))
    assert "curse" not in told(found(planted, two)), "there was nothing to choose from"


def test_seeds_in_the_search_are_judged_and_still_chosen(planted: Any) -> None:
    clear = told(found(planted, gain=gain_of(0.09, 0.02)))
    assert "over 3 seeds (95 % interval +7.0 to +11.0, significant)" in clear
    assert "The gain is probably too high, because the same rows chose the best of 3" in clear
    vague = told(found(planted, gain=gain_of(0.01, 0.02)))
    assert vague.startswith("No intermediate training is shown to help: the best, fact, is at +1.0")
    assert "(95 % interval −1.0 to +3.0, not significant)" in vague


def test_the_best_of_many_baselines_is_too_high_as_well(planted: Any) -> None:
    rows = (*planted.study_rows()[:2], planted.scored(9, 0.6, "fact"))
    text = told(found(planted, rows))
    assert (
        "it may be too high or too low, because the same rows chose the best of 1 plan and of 2 "
        "baselines"
    ) in text


def test_no_gain(planted: Any) -> None:
    rows = (planted.scored(0, 0.6, None), planted.scored(1, 0.55, "fact"))
    assert told(found(planted, rows)) == (
        "No intermediate training is shown to help: the one plan with it does not beat the best "
        "baseline (trial 0, 60.0 %).\n"
        "It, fact, is at −5.0 points from it in the zero-shot mean of rel and coh in 2 languages "
        "(one seed: it is not known whether that is significant)."
    )
    more = (*rows, planted.scored(2, 0.5, "coh"))
    text = told(found(planted, more, gain=gain_of(-0.05, 0.06)))
    assert text.startswith(
        "No intermediate training is shown to help: none of 2 plans with it beats"
    )
    assert "not significant" in text
    text = told(found(planted, more, gain=gain_of(-0.05, 0.02)))
    assert text.startswith("Use no intermediate training: none of 2 plans")


def test_a_trial_that_is_best_by_another_objective_alone_is_not_recommended(planted: Any) -> None:
    text = told(found(planted, gain=gain_of(-0.02, None)))
    assert text.startswith("No intermediate training is shown to help: trial 3 (fact) is best by")
    named = found(planted, objectives=(Objective.WORST_LANGUAGE,))
    assert "is best in this search by worst_language: +9.0" in told(named)


@pytest.mark.parametrize(
    ("mean", "half", "lead", "call"),
    [
        (0.05, 0.02, "Use intermediate training on fact: ", "+3.0 to +7.0, significant"),
        (0.01, 0.02, "Intermediate training on fact is not shown to help: ", "not significant"),
        (-0.05, 0.02, "Do not use intermediate training on fact: ", "significant"),
    ],
)
def test_fresh_seeds_decide(planted: Any, mean: float, half: float, lead: str, call: str) -> None:
    side = Interval(mean=0.6, low=None, high=None, std=None, num=3)
    retrain = retrain_of(
        gain_of(mean, half),
        winner=side,
        baseline=replace(side, mean=0.55),
        gain_over_twin=gain_of(0.03, 0.04),
        expected=ExpectedGain(searched=0.09, predicted=0.07, low=0.01, high=0.13),
    )
    text = told(found(planted, retrains=(retrain,)))
    assert text.startswith(f"{lead}with 3 fresh seeds on test rows its gain over ")
    assert call in text.split("\n")[0]
    assert "(60.0 against 55.0 %)" in text
    assert (
        "The search had shown +9.0, and +7.0 was expected (winner's curse); over its own target "
        "phases alone it is +3.0 (95 % interval −1.0 to +7.0, not significant)."
    ) in text


def test_one_fresh_seed_shows_nothing(planted: Any) -> None:
    text = told(found(planted, retrains=(retrain_of(gain_of(0.1, None, seeds=1)),)))
    assert text.startswith("Intermediate training on fact is not shown to help: with 1 fresh seed ")
    assert "one seed gives no interval" in text


def test_what_cannot_be_told(planted: Any) -> None:
    rows = planted.study_rows()
    assert told(found(planted, (), state="running")) == (
        "No trial is scored yet; the study is running."
    )
    failed = tuple(
        planted.unscored(n, TrialState.FAILED, reason=reason)
        for n, reason in enumerate(("a", "loss was not finite", "loss was not finite"))
    )
    assert told(found(planted, failed)) == (
        "None of the 3 trials that ended is scored, so there is no answer yet.\n"
        "The most frequent reason: loss was not finite."
    )
    assert "Only baselines are scored" in told(found(planted, rows[:2]))
    assert "No baseline is scored" in told(found(planted, rows[2:4]))
    collapsed = (planted.scored(0, 0.3, None, mark=Mark.COLLAPSED),)
    assert "Every scored trial collapsed" in told(found(planted, collapsed))


def test_every_standing_has_its_sentences(planted: Any) -> None:
    retrain = retrain_of(gain_of(0.05, 0.02))
    for standing in Standing:
        evidence = Evidence(standing=standing, label="fact", gain=gain_of(0.05, 0.02))
        fresh = tuple(Standing)[8:]
        evidence = replace(evidence, retrain=retrain if standing in fresh else None)
        assert verdict_sentences(found(planted), evidence)


def test_long_names_are_cut(planted: Any) -> None:
    long = found(planted, objective_targets=tuple(f"target-{n}" for n in range(9)))
    text = told(replace(long, retrains=()))
    assert "the zero-shot mean of 9 targets in" in text
