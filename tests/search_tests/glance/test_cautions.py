"""What changes the answer, or how far it can be trusted."""

from dataclasses import replace
from typing import Any

from search.degradation.paired_scores import ExpectedGain
from search.findings.findings import Findings, OtherRule
from search.glance.cautions import cautions
from search.glance.evidence import Evidence
from search.stats.intervals import Interval
from search.trials.ranking import TrialRow
from spaces.study_file.sections import SelectionRule
from tests.found import found, gain_of, retrain_of
from trainables.scoring.scores import Mark


def told(findings: Findings) -> str:
    return "\n".join(cautions(findings, Evidence.of(findings)))


def many(planted: Any, *baselines: TrialRow) -> tuple[TrialRow, ...]:
    plans = (planted.scored(10 + n, 0.6, "fact", rate=(n + 1) * 1e-4) for n in range(6))
    return (*baselines, *plans)


def test_a_sound_study_has_none(planted: Any) -> None:
    two = (planted.scored(0, 0.5, None), planted.scored(1, 0.5, None, target_rate=2e-4))
    assert told(found(planted, many(planted, *two))) == ""


def test_targets_that_a_side_did_not_learn(planted: Any) -> None:
    def pair(of_baseline: Mark, of_best: Mark) -> tuple[TrialRow, ...]:
        return (
            planted.scored(0, 0.5, None, marks={"rel": of_baseline}),
            planted.scored(1, 0.6, "fact", marks={"rel": of_best}),
        )

    without = told(found(planted, pair(Mark.NO_SIGNAL, Mark.NONE)))
    assert "The best baseline did not learn rel: the gain there is not better transfer." in without
    both = told(found(planted, pair(Mark.COLLAPSED, Mark.NO_SIGNAL)))
    assert "Neither side learned rel: differences there are noise." in both
    lost = told(found(planted, pair(Mark.NONE, Mark.COLLAPSED)))
    assert "The best trial did not learn rel." in lost
    assert "After fact, rel collapsed in 1 of 1 trials; without intermediate training in 0" in lost


def test_few_plans_and_baselines_that_were_not_searched(planted: Any) -> None:
    assert "Few plans: 2 with intermediate training, 2 without." in told(
        found(planted, planted.study_rows()[:4])
    )
    alone = told(found(planted, many(planted, planted.scored(0, 0.5, None))))
    assert "One baseline beside 6 plans with intermediate training" in alone


def test_collapsed_and_diverged_seeds(planted: Any) -> None:
    sound = Interval(mean=0.1, low=None, high=None, std=None, num=2)
    gain = replace(gain_of(-0.03, 0.5), collapsed_first=1, sound=sound)
    retrain = retrain_of(gain, num_failed={"winner": 2})
    text = told(found(planted, retrains=(retrain,)))
    assert (
        "1 of 3 seeds collapsed, 0 of 3 beside it; without these the gain is +10.0 points."
    ) in text
    assert "2 runs of the retrain diverged and have no score." in text


def test_a_best_trial_that_was_not_retrained(planted: Any) -> None:
    retrain = retrain_of(gain_of(0.1, 0.05), label="coh")
    text = told(found(planted, retrains=(retrain,)))
    assert text.startswith("The best of the search is trial 3 (fact): it was not retrained.")


def test_fresh_seeds_that_gain_less_than_expected(planted: Any) -> None:
    expected = ExpectedGain(searched=0.12, predicted=0.1, low=0.08, high=0.14, falls_out=True)
    retrain = retrain_of(gain_of(0.05, 0.02), expected=expected)
    assert ("The fresh seeds gain less than was expected (95 % interval +8.0 to +14.0).") in told(
        found(planted, retrains=(retrain,))
    )
    as_expected = replace(retrain, expected=replace(expected, falls_out=False))
    assert "expected" not in told(found(planted, retrains=(as_expected,)))


def test_a_retrain_of_one_target_is_named_and_does_not_decide(planted: Any) -> None:
    findings = found(planted, retrains=(retrain_of(gain_of(0.05, 0.02), targets=("rel",)),))
    assert Evidence.of(findings).retrain is None
    assert (
        "Retrained for rel alone, with fact: +5.0 points (95 % interval +3.0 to +7.0; paired by "
        "seed, ± 1.0 over the seeds)."
    ) in told(findings)


def test_what_else_a_reader_must_know(planted: Any) -> None:
    findings = found(planted, state="running", protocol_differences={"rel": ["data"]})
    chosen = OtherRule(rule=SelectionRule.SOURCE_DEV, number=2, name="fact", zero_shot_mean=0.6)
    selection = replace(
        findings.selection,
        other_rules=(chosen, replace(chosen, number=3)),
        left_out=("coh",),
        seen_test_rows={"rel": ["de"]},
    )
    text = told(replace(findings, selection=selection, warnings=("rows are missing",)))
    for line in (
        "The search has not ended: further trials may change the answer.",
        "Scores on rel do not compare between trials: data differ.",
        "1 of 9 trials failed and are in no number.",
        "The selection rule source_dev would choose trial 2 instead.",
        "The rule target_dev finds no rows in coh",
        "Selection used the test rows of rel (de).",
        "Before the search: rows are missing.",
    ):
        assert line in text
    assert text.count("would choose") == 1
