"""The sentences of the report."""

from dataclasses import replace
from typing import Any

import pytest

from search.display.verdict_sentences import MEANING, ONE_SEED
from search.findings.find import find
from search.record.reader import RetrainRow, StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.sentences import closing, sentences
from search.trials.ranking import TrialRow, TrialState
from spaces.phases import Target, TrialPlan
from spaces.tasks.catalogue import SHIPPED
from trainables.scoring.scores import Mark, Scores


def said(rows: tuple[TrialRow, ...], **fields: Any) -> str:
    given: dict[str, Any] = {
        "name": "pocket",
        "state": "finished",
        "digest": "",
        "settings": RecordedSettings(),
        "phases": (),
        "summary": {},
        "retrains": (),
    }
    found = find(StudyRecord(**{**given, **fields}, rows=rows))
    return "\n".join([*sentences(found), *closing(found)])


def test_intermediate_training_helps(planted: Any) -> None:
    text = said(planted.study_rows())
    assert (
        "Intermediate training on fact lifts the zero-shot mean by +9.0 points over the best "
        "baseline (trial 1, 52.0 %), to 61.0 % (trial 3)."
    ) in text
    assert "2 of 2 trials on fact gain, from +9.0 to +10.0 points" in text
    assert "No language loses (of 6 scores" in text
    assert "`retrain` to measure it on test rows" in text
    assert "Share of runs that collapsed, by learning rate" in text
    assert "0.0009 (intermediate): 100% of 1" in text
    assert "Overhead of a warm trial, neither training nor evaluation: 0.50 s" in text


def test_it_does_not(planted: Any) -> None:
    rows = (planted.scored(0, 0.6, None), planted.scored(1, 0.55, "fact"))
    text = said(rows)
    assert "No intermediate training beats the best baseline (trial 0, 60.0 %)." in text
    assert "differs from it by −5.0 points" in text


def test_languages_that_lose_are_named_worst_first(planted: Any) -> None:
    target = planted.target_scores("rel", {"en": 0.9, "de": 0.9, "tr": 0.30, "sw": 0.35})
    base = planted.target_scores("rel", {"en": 0.9, "de": 0.5, "tr": 0.40, "sw": 0.40})
    rows = (
        replace(planted.scored(0, 0.43, None), scores=Scores(targets=(base,))),
        replace(planted.scored(1, 0.52, "fact"), scores=Scores(targets=(target,))),
    )
    assert "Languages that lose: rel tr −10.0, rel sw −5.0 (of 3 scores)." in said(rows)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (5, 9, "No trial is scored yet; the study is finished."),
        (2, 4, "No baseline is scored"),
        (0, 0, "No trial is scored yet"),
    ],
)
def test_what_cannot_be_told_yet(planted: Any, first: int, last: int, expected: str) -> None:
    assert expected in said(planted.study_rows()[first:last])


def test_all_collapsed(planted: Any) -> None:
    rows = tuple(
        planted.scored(n, 0.3, s, mark=Mark.COLLAPSED) for n, s in enumerate((None, "coh"))
    )
    assert "Every scored trial collapsed" in said(rows)


def test_a_retrain_says_whether_it_can_be_told_from_none(planted: Any) -> None:
    def runs(gains: tuple[float, ...]) -> tuple[RetrainRow, ...]:
        return tuple(
            RetrainRow(
                name="final",
                seed=seed,
                role=role,
                state=TrialState.SCORED,
                plan=planted.plan("fact"),
                phase_keys=(),
                scores=planted.scores(0.5 + (gain if role == "winner" else 0.0)),
                reason=None,
            )
            for seed, gain in enumerate(gains)
            for role in ("winner", "baseline")
        )

    rows = planted.study_rows()
    clear = said(rows, retrains=runs((0.05, 0.06, 0.07)))
    assert "with 3 fresh seeds on the test split: +6.0 points over its baseline" in clear
    assert "(95 % interval +3.5 to +8.5; paired by seed, ± 1.0 over the seeds)" in clear
    assert "`retrain` to measure it" not in clear
    noisy = said(rows, retrains=runs((0.05, -0.04, 0.02)))
    assert "not significant" in noisy
    assert "with 1 fresh seed on the test split: +5.0 points over its baseline." in said(
        rows, retrains=runs((0.05,))
    )


def test_languages_without_rows_are_said_once_for_all_tasks(planted: Any) -> None:
    settings = {"evaluation": {"languages": ["de", "tr", "sw"]}}
    text = said(planted.study_rows(), settings=RecordedSettings.parse(settings))
    assert "The rule target_dev finds no rows in sw (for rel, coh, retrieval)." in text


def test_what_mattered_is_said_largest_first(planted: Any) -> None:
    summary = {"importance": {"a": 0.1, "target.learning_rate": 0.9}}
    text = said(planted.study_rows(), summary=summary)
    assert "target.learning_rate 0.90, a 0.10" in text


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({"exhausted": "space"}, "The space is exhausted: every plan in it was tried."),
        ({"exhausted": "sampler"}, "The sampler proposes nothing new: 20 times in a row"),
        ({"is_exhausted": True}, "The sampler proposes nothing new: 20 times in a row"),
        ({"is_exhausted": False}, None),
        ({"exhausted": None}, None),
    ],
)
def test_what_there_was_no_more_of(
    summary: dict[str, Any], expected: str | None, planted: Any
) -> None:
    """Records of earlier versions said that the space was exhausted, where the sampler was sure."""
    text = said(planted.study_rows(), summary=summary)
    assert (expected or "exhausted") in text or expected is None
    assert ("nothing new" in text) == (expected is not None and "nothing new" in expected)
    assert ("space is exhausted" in text) == (summary.get("exhausted") == "space")


def test_rows_that_were_cut_are_counted_by_language(planted: Any) -> None:
    cut = replace(
        planted.target_scores("rel", {"en": 0.9, "de": 0.9, "tr": 0.30}),
        num_rows={"en": 100, "de": 100, "tr": 50},
        num_truncated={"en": 1, "de": 5, "tr": 4},
    )
    whole = replace(planted.target_scores("coh", {"en": 0.9, "de": 0.9}), num_truncated={"de": 0})
    row = replace(planted.scored(0, 0.6, None), scores=Scores(targets=(cut, whole)))
    text = said((row,))
    assert (
        "Cut to max_length (32 tokens): 10 of the 250 scored rows of rel, most in tr (4 of 50)."
    ) in text
    assert "scored rows of coh" not in text


def test_targets_without_signal_in_any_trial_are_named(planted: Any) -> None:
    def row(number: int, of_coh: Mark) -> TrialRow:
        targets = (
            planted.target_scores("rel", {"en": 0.34, "de": 0.34}, mark=Mark.NO_SIGNAL),
            planted.target_scores("coh", {"en": 0.6, "de": 0.5}, mark=of_coh),
        )
        return replace(planted.scored(number, 0.4, None), scores=Scores(targets=targets))

    text = said((row(0, Mark.NO_SIGNAL), row(1, Mark.NONE)))
    assert "No signal in rel: every trial is at chance" in text
    assert "No signal" not in said((planted.scored(0, 0.6, None),))


def test_test_rows_that_selection_has_seen(planted: Any) -> None:
    """Only where a study takes a single evaluation split whole."""
    target = planted.target_scores("xquad", {"en": 0.8, "de": 0.6, "tr": 0.5})
    plan = TrialPlan(
        encoder="tiny",
        intermediate=None,
        targets=(Target(task=SHIPPED.get("xquad"), phase=planted.phase("squad", 1e-4)),),
    )
    row = replace(planted.scored(0, 0.55, None), plan=plan, scores=Scores(targets=(target,)))
    text = said((row,), settings=RecordedSettings.parse({"evaluation": {"halves": False}}))
    assert "Selection used the test rows of xquad (de tr). The benchmark has only one" in text
    for settings in ({}, {"evaluation": {"halves": True}}):
        assert "Selection used" not in said((row,), settings=RecordedSettings.parse(settings))


def test_verdicts_by_language_say_what_they_are_worth(planted: Any) -> None:
    rows = planted.study_rows()
    cells = {"trial": 3, "baseline": 1, "languages": planted.verdict_cells()}
    text = said(rows, summary={"verdicts": cells})
    assert "on the rows that chose the trial and with one seed: better in 1 (rel de +9.0)" in text
    assert ONE_SEED in text
    cells["languages"] = planted.verdict_cells(num_seeds=3)
    several = said(rows, summary={"verdicts": cells})
    assert "that chose the trial and over 3 seeds: better in 1" in several
    assert MEANING in several
    assert ONE_SEED not in several
    stale = said(rows, summary={"verdicts": {**cells, "trial": 2}})
    assert "By language" not in stale, "another trial was the best when they were judged"


def test_verdicts_of_a_retrain_are_those_of_its_record(planted: Any) -> None:
    runs = tuple(
        RetrainRow(
            name="final",
            seed=1,
            role=role,
            state=TrialState.SCORED,
            plan=planted.plan("fact"),
            phase_keys=(),
            scores=planted.scores(level),
            reason=None,
        )
        for role, level in (("winner", 0.6), ("baseline", 0.5))
    )
    summaries = ({"name": "final", "languages": planted.verdict_cells()}, {"name": "other"})
    text = said(planted.study_rows(), retrains=runs, retrain_summaries=summaries)
    assert "By language, on test rows with 1 fresh seed: better in 1 (rel de +9.0)" in text
    assert MEANING in text


def test_a_phase_that_learned_nothing_is_named(planted: Any) -> None:
    phases = (planted.phase_row("fact-0.0002", loss_fell=False),)
    text = said(planted.study_rows(), phases=phases)
    assert "did not fall; they taught nothing: fact at 0.0002." in text
    assert "taught nothing" not in said(planted.study_rows())


def test_rules_that_choose_the_same_trial_are_named_too(planted: Any) -> None:
    text = said(planted.study_rows())
    assert "The rule source_dev would choose the same trial." in text
