"""Studies side by side, on planted rows."""

from dataclasses import replace
from typing import Any

import pytest

from search.record.reader import StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.comparison import compare
from search.trials.ranking import TrialRow, TrialState
from spaces.refusal import Refusal


def record_of(name: str, rows: tuple[TrialRow, ...], **fields: Any) -> StudyRecord:
    given: dict[str, Any] = {
        "name": name,
        "state": "finished",
        "digest": "abc",
        "settings": RecordedSettings.parse({}),
        "phases": (),
        "summary": {},
        "retrains": (),
    }
    return StudyRecord(**{**given, **fields}, rows=rows)


def test_two_studies_by_target(planted: Any) -> None:
    first = record_of("first", planted.study_rows())
    second = record_of(
        "second", (planted.scored(0, 0.50, None), planted.scored(1, 0.65, "coh")), state="running"
    )
    found = compare([first, second])
    one, two = found.studies
    assert (one.study, one.num_trials, one.state) == ("first", 5, "finished")
    assert (one.best, one.baseline) == (
        "trial 3: fact 2e-04 -> 2e-04",
        "trial 1: baseline 2e-04",
    )
    assert (one.objective, one.selection) == (0.61, "target_dev")
    assert (one.gain, two.gain) == pytest.approx((0.09, 0.15))
    cells = found.targets["rel"]
    assert cells["first"].best == pytest.approx(0.61)
    assert cells["first"].baseline == pytest.approx(0.52)
    assert cells["second"].gain == pytest.approx(0.15)
    assert (cells["first"].difference, cells["second"].difference) == pytest.approx((0, 0.04))
    assert cells["second"].mixed == {}


def test_a_target_that_one_study_has_not(planted: Any) -> None:
    row = planted.scored(0, 0.5, None)
    less = replace(row, scores=replace(row.scores, targets=row.scores.targets[:1]))
    found = compare([record_of("all", (row,)), record_of("less", (less,))])
    cell = found.targets["coh"]["less"]
    assert (cell.best, cell.baseline, cell.gain, cell.difference) == (None,) * 4


def test_unlike_protocols_are_not_put_beside_each_other(planted: Any) -> None:
    first = record_of("first", (planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact")))
    whole = "whole test as validation and test"
    second = record_of("second", (planted.scored(0, 0.5, None, cut=whole, rows=50),))
    with pytest.raises(Refusal) as caught:
        compare([first, second])
    assert str(caught.value) == (
        "target 'rel' was scored differently: cut is '' in study first and "
        f"'{whole}' in study second; such scores do not compare. --force shows them all the same"
    )
    cells = compare([first, second], force=True).targets["coh"]
    assert cells["first"].mixed == {"cut": "", "rows": 0}
    assert cells["second"].mixed == {"cut": whole, "rows": 50}


def test_a_baseline_of_another_protocol_is_named(planted: Any) -> None:
    mixed = record_of("mixed", (planted.scored(0, 0.5, None, data="d2"),))
    mixed = replace(mixed, rows=(*mixed.rows, planted.scored(1, 0.6, "fact")))
    other = record_of("other", (planted.scored(0, 0.5, None),))
    with pytest.raises(
        Refusal, match=r"data is 'd1' in study mixed and 'd2' in study mixed \(base"
    ):
        compare([mixed, other])


def test_what_cannot_be_compared(planted: Any) -> None:
    one = record_of("one", planted.study_rows())
    for records in ([one], [one, one]):
        with pytest.raises(Refusal, match="two studies or more"):
            compare(records)
    with pytest.raises(Refusal, match="study 'empty' has no scored trial yet"):
        compare([one, record_of("empty", planted.study_rows()[5:])])


def test_plans_with_several_seeds_are_shown_by_their_means(planted: Any) -> None:
    def of_seed(number: int, level: float, source: str | None, seed: int) -> TrialRow:
        row = planted.scored(number, level, source)
        return replace(row, plan=row.plan.with_seed(seed))

    several = record_of(
        "several",
        (
            of_seed(0, 0.50, None, 1),
            of_seed(1, 0.52, None, 2),
            of_seed(2, 0.80, "fact", 1),
            of_seed(3, 0.60, "fact", 2),
        ),
    )
    found = compare([several, record_of("one", planted.study_rows())])
    study = found.studies[0]
    assert (study.best_mean, study.baseline_mean) == pytest.approx((0.70, 0.51))
    assert (study.gain, study.objective) == pytest.approx((0.19, 0.70))
    assert (study.num_seeds, study.num_collapsed) == (2, 0)
    cell = found.targets["rel"]["several"]
    assert (cell.best, cell.baseline) == pytest.approx((0.70, 0.51))


def test_a_seed_that_was_pruned_is_no_seed_of_its_plan(planted: Any) -> None:
    """Its scores are of few rows, half-way through."""
    rows = [planted.scored(0, 0.5, None), planted.scored(1, 0.7, "fact")]
    half = planted.scored(2, 0.1, "fact")
    half = replace(half, plan=half.plan.with_seed(7), state=TrialState.PRUNED)
    found = compare([record_of("one", (*rows, half)), record_of("two", tuple(rows))])
    assert [study.num_seeds for study in found.studies] == [1, 1]
    assert found.targets["rel"]["one"].best == pytest.approx(0.7)
