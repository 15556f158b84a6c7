"""Which scores are put beside each other, on planted rows."""

from dataclasses import replace
from typing import Any

import pytest

from search.degradation.paired_scores import (
    ExpectedGain,
    of_retrains,
    paired_scores_of,
    retrain_sides,
)
from search.record.reader import RetrainRole, RetrainRow, StudyRecord
from search.recorded_settings import RecordedSettings
from search.trials.ranking import TrialRow, TrialState
from spaces.refusal import Refusal
from trainables.scoring.scores import Mark, Scores


def record_of(rows: tuple[TrialRow, ...], retrains: tuple[RetrainRow, ...] = ()) -> StudyRecord:
    return StudyRecord(
        name="pocket",
        state="finished",
        digest="",
        settings=RecordedSettings(),
        rows=rows,
        phases=(),
        summary={},
        retrains=retrains,
    )


def retrained(planted: Any, name: str, role: str, seed: int, level: float, **more: Any) -> Any:
    source = "fact" if role == "winner" else None
    return RetrainRow(
        name=name,
        seed=seed,
        role=RetrainRole(role),
        state=TrialState.SCORED,
        plan=planted.plan(source),
        phase_keys=(),
        scores=planted.scores(level, **more),
        reason=None,
    )


def means(scores: tuple[Scores, ...]) -> Any:
    return pytest.approx([each.zero_shot_mean for each in scores])


def test_the_best_trials_beside_each_other(planted: Any) -> None:
    sides = paired_scores_of(record_of(planted.study_rows()))
    assert sides is not None
    assert sides.intermediate == "fact"
    assert sides.measured_on == "trial 3 beside trial 1"
    assert means(sides.before) == [0.52]
    assert means(sides.after) == [0.61]


def test_seeds_that_both_have(planted: Any) -> None:
    def row(number: int, level: float, source: str | None, seed: int) -> TrialRow:
        found = planted.scored(number, level, source)
        return replace(found, plan=found.plan.with_seed(seed))

    rows = (
        row(0, 0.5, None, 1),
        row(1, 0.4, None, 2),
        row(2, 0.6, "fact", 2),
        row(3, 0.8, "fact", 1),
        row(4, 0.9, "fact", 3),
    )
    sides = paired_scores_of(record_of(rows))
    assert sides is not None
    pairs = zip(sides.before, sides.after, strict=True)
    assert {(round(a.zero_shot_mean, 3), round(b.zero_shot_mean, 3)) for a, b in pairs} == {
        (0.5, 0.8),
        (0.4, 0.6),
    }


def test_a_retrain_counts_more_than_the_trials_that_chose_it(planted: Any) -> None:
    retrains = (
        retrained(planted, "final", "winner", 1, 0.58),
        retrained(planted, "final", "winner", 2, 0.59),
        retrained(planted, "final", "baseline", 2, 0.53),
        retrained(planted, "final", "baseline", 3, 0.54),
    )
    sides = paired_scores_of(record_of(planted.study_rows(), retrains))
    assert sides is not None
    assert (sides.measured_on, sides.intermediate) == ("retrain 'final'", "fact")
    assert means(sides.before) == [0.53]
    assert means(sides.after) == [0.59]


def test_seeds_that_collapsed_are_on_their_side(planted: Any) -> None:
    retrains = (
        retrained(planted, "final", "winner", 1, 0.7),
        retrained(planted, "final", "winner", 2, 0.3, mark=Mark.COLLAPSED),
        retrained(planted, "final", "baseline", 1, 0.6),
        retrained(planted, "final", "baseline", 2, 0.6),
    )
    sides = paired_scores_of(record_of(planted.study_rows(), retrains))
    assert sides is not None
    assert means(sides.before) == [0.6, 0.6]
    assert means(sides.after) == [0.7, 0.3]


def test_runs_of_an_earlier_retrain_on_other_rows_are_left_out(planted: Any) -> None:
    """Five seeds on the rows of then, three on those of now: seeds 4 and 5 are still the old
    ones."""
    levels = ((1, "now", 0.6, 0.59), (2, "now", 0.6, 0.59), (3, "then", 0.8, 0.6))
    retrains = tuple(
        retrained(planted, "final", role, seed, level, data=data)
        for seed, data, winner, baseline in levels
        for role, level in (("winner", winner), ("baseline", baseline))
    )
    record = record_of(planted.study_rows(), retrains)
    assert {r: list(runs) for r, runs in retrain_sides(record)["final"].items()} == {
        "winner": [1, 2],
        "baseline": [1, 2],
    }
    sides = paired_scores_of(record)
    assert sides is not None
    assert means(sides.after) == [0.6, 0.6]


def test_runs_of_another_lock_are_left_out(planted: Any) -> None:
    """Other training rows do not show in the protocol of the scores."""
    retrains = tuple(
        replace(retrained(planted, "final", role, seed, level), lock=lock)
        for seed, lock, level in ((1, "now", 0.6), (2, "then", 0.9))
        for role in ("winner", "baseline")
    )
    found = retrain_sides(record_of(planted.study_rows(), retrains))["final"]
    assert [list(runs) for runs in found.values()] == [[1], [1]]


def test_one_side_alone(planted: Any) -> None:
    rows = planted.study_rows()
    sides = paired_scores_of(record_of(rows[:2]))
    assert sides is not None
    assert (sides.intermediate, sides.after) == (None, ())
    assert means(sides.before) == [0.52]
    assert paired_scores_of(record_of(rows[2:])) is None, "no baseline"
    lost = paired_scores_of(record_of((planted.scored(0, 0.2, None, mark=Mark.COLLAPSED),)))
    assert lost is not None, "a baseline that collapsed is what there is"
    assert means(lost.before) == [0.2]


def test_a_retrain_says_what_it_trained_and_what_was_expected_of_it(planted: Any) -> None:
    retrains = (
        retrained(planted, "final", "winner", 1, 0.58),
        retrained(planted, "final", "baseline", 1, 0.53),
    )
    record = record_of(planted.study_rows(), retrains)
    (plain,) = of_retrains(record)
    assert (plain.label, plain.targets, plain.expected) == ("fact", ("rel", "coh"), None)
    curse = {"searched": 0.09, "predicted": 0.07, "low": 0.01, "high": 0.13, "falls_out": False}
    stored = {"name": "final", "curse": {**curse, "kept": 0.8}, "languages": []}
    (told,) = of_retrains(replace(record, retrain_summaries=(stored,)))
    assert told.expected == ExpectedGain(searched=0.09, predicted=0.07, low=0.01, high=0.13)
    broken = {**stored, "curse": {"searched": "high"}}
    with pytest.raises(Refusal, match="a verdict in the record of study 'pocket'"):
        of_retrains(replace(record, retrain_summaries=(broken,)))
