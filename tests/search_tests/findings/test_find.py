"""What the report says, in numbers, on planted rows."""

from dataclasses import replace
from typing import Any

import pytest

from search.findings.find import find
from search.findings.findings import PhaseUse
from search.record.reader import RetrainRow, StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.sentences import sentences
from search.trials.learning_rates import RateCollapse
from search.trials.ranking import TrialRow, TrialState
from spaces.refusal import Refusal
from trainables.scoring.scores import Mark, Scores


def record_of(rows: tuple[TrialRow, ...], **fields: Any) -> StudyRecord:
    given: dict[str, Any] = {
        "name": "pocket",
        "state": "finished",
        "digest": "abc",
        "settings": RecordedSettings(),
        "phases": (),
        "summary": {},
        "retrains": (),
    }
    return StudyRecord(**{**given, **fields}, rows=rows)


def test_best_baseline_and_trials(planted: Any) -> None:
    found = find(record_of(planted.study_rows()))
    assert found.best.number == 3
    assert found.baseline.number == 1
    assert found.best in found.trials
    best = found.best
    assert best.objective == 0.61
    assert best.zero_shot_mean == pytest.approx(0.61)
    assert best.transfer_gap == pytest.approx(0.25)
    assert best.transfer_gain == pytest.approx(0.09)
    assert best.paired_gain == pytest.approx(0.09)
    assert best.scores["rel"] == pytest.approx({"en": 0.81, "de": 0.71, "tr": 0.51})
    assert best.worst_language[:2] == ("rel", "tr")
    states = [trial.state for trial in found.trials]
    assert states == ["scored"] * 5 + ["failed", "pruned", "duplicate", "running"]


def test_the_matrix_is_best_beside_baseline(planted: Any) -> None:
    cells = find(record_of(planted.study_rows())).languages
    cell = next(c for c in cells if (c.task, c.language) == ("rel", "tr"))
    assert (cell.best, cell.baseline) == pytest.approx((0.51, 0.42))
    assert cell.difference == pytest.approx(0.09)
    assert (cell.is_source, cell.num_rows) == (False, 100)


def test_a_baseline_that_is_best_is_not_compared_with_itself(planted: Any) -> None:
    found = find(record_of(planted.study_rows()[:2]))
    assert found.best == found.baseline
    assert {cell.difference for cell in found.languages} == {None}


def test_an_empty_study(planted: Any) -> None:
    for rows in ((), planted.study_rows()[5:]):
        found = find(record_of(rows))
        assert found.best is None
        assert found.baseline is None
        assert found.languages == ()
        assert found.overhead_seconds is None


def test_collapsed_trials_count_and_are_shown_by_rate(planted: Any) -> None:
    found = find(record_of(planted.study_rows()))
    groups = {g.intermediate: g for g in found.intermediates}
    assert set(groups) == {"fact", "coh", None}
    assert groups["coh"].mean == pytest.approx(0.30)
    assert groups["coh"].collapsed == {"rel": 1, "coh": 1}
    assert groups["coh"].num_spoilt_pairs == len(groups["coh"].paired_gains) == 1
    assert groups["fact"].mean == pytest.approx(0.605)
    assert groups["fact"].paired_gains == pytest.approx([0.09, 0.10])
    assert found.learning_rates["intermediate"] == (
        RateCollapse(rate=2e-4, num=2, collapsed=0.0),
        RateCollapse(rate=9e-4, num=1, collapsed=1.0),
    )
    of_targets = [(rate.num, rate.collapsed) for rate in found.learning_rates["target"]]
    assert of_targets == [(6, pytest.approx(1 / 3)), (4, 0.0)], "two phases a trial"


def test_rates_of_a_range_are_brought_together(planted: Any) -> None:
    rows = tuple(
        planted.scored(n, 0.5, "fact", rate=2e-5 * (1 + n / 100), target_rate=1e-4)
        for n in range(20)
    )
    found = find(record_of(rows))
    assert found.learning_rates["intermediate"] == (RateCollapse(rate=2e-5, num=20, collapsed=0.0),)


def test_intermediate_phases_that_learned_nothing(planted: Any) -> None:
    """Of a baseline's phase, and of one that no trial has, nothing is said."""
    rows = planted.study_rows()
    flat = [
        planted.phase_row("fact-0.0002", loss_fell=False),
        planted.phase_row("coh-0.0009", name="coh", learning_rate=9e-4),
        planted.phase_row(rows[0].phase_keys[0], loss_fell=False),
        planted.phase_row("of-no-trial", loss_fell=False),
    ]
    found = find(replace(record_of(rows), phases=tuple(flat)))
    (one,) = found.flat_intermediates
    assert (one.label, one.learning_rate) == ("fact", 2e-4)
    assert one.trials == (2, 3, 5, 6, 7, 8)
    assert find(record_of(rows)).flat_intermediates == ()


def test_what_other_rules_would_have_chosen(planted: Any) -> None:
    """Trial 1 is better in the source language, trial 2 in the zero-shot languages."""

    def row(number: int, english: float, german: float) -> TrialRow:
        target = planted.target_scores("rel", {"en": english, "de": german, "tr": 0.5})
        scores = Scores(targets=(target,), of_interest=("rel",))
        found = planted.scored(number, (german + 0.5) / 2, "fact", rate=number * 1e-4)
        return replace(found, scores=scores)

    rows = (planted.scored(0, 0.3, None), row(1, 0.95, 0.6), row(2, 0.8, 0.7))
    found = find(record_of(rows))
    assert found.best.number == 2
    (other,) = found.selection.other_rules
    assert (other.rule, other.number) == ("source_dev", 1)
    assert other.zero_shot_mean == pytest.approx(0.55)
    pivots = {"evaluation": {"selection": "pivot_dev", "pivot_languages": ["tr"]}}
    rules = find(record_of(rows, settings=RecordedSettings.parse(pivots))).selection.other_rules
    assert {rule.rule: rule.number for rule in rules} == {"target_dev": 2, "source_dev": 1}


def test_targets_without_rows_under_the_rule_are_named(planted: Any) -> None:
    """Retrieval has no source language, so that source_dev cannot see it."""
    row = planted.scored(0, 0.5, None)
    assert row.scores is not None
    row = replace(row, scores=replace(row.scores, of_interest=()))
    settings = RecordedSettings.parse({"evaluation": {"selection": "source_dev"}})
    assert find(record_of((row,), settings=settings)).selection.left_out == ("retrieval",)


def test_languages_without_rows_are_named(planted: Any) -> None:
    settings = {"evaluation": {"languages": ["de", "tr", "sw"]}}
    found = find(record_of(planted.study_rows(), settings=RecordedSettings.parse(settings)))
    assert found.unscored_languages == {"rel": ["sw"], "coh": ["sw"], "retrieval": ["sw"]}


def test_trials_under_different_protocols_are_not_compared(planted: Any) -> None:
    other = planted.scored(1, 0.6, "fact", data="d2", rows=50)
    rows = (planted.scored(0, 0.5, None), other)
    with pytest.raises(Refusal, match=r"'rel': data, rows.*--force"):
        find(record_of(rows))
    found = find(record_of(rows), force=True)
    for task in ("rel", "coh"):
        assert found.protocol_differences[task] == ["data", "rows"]


def test_overhead_is_of_warm_trials(planted: Any) -> None:
    def row(number: int, startup: float, total: float) -> TrialRow:
        spent = {"training": 2.0, "evaluation": 1.0, "startup": startup, "total": total}
        return replace(planted.scored(number, 0.5, None), seconds=spent)

    rows = (row(0, 4.0, 9.0), row(1, 0.0, 3.1), row(2, 0.0, 3.2), row(3, 0.0, 3.4))
    found = find(record_of(rows))
    assert found.overhead_seconds == pytest.approx(0.2)
    assert found.seconds["total"] == pytest.approx(18.7)


def test_shared_phases_are_counted(planted: Any) -> None:
    rows = planted.study_rows()
    phases = tuple(
        planted.phase_row(key) for key in sorted({k for r in rows for k in r.phase_keys})
    )
    found = find(record_of(rows, phases=phases))
    assert found.phases == PhaseUse(trained=12, used=13, reused=1)


def test_retrains_are_paired_by_seed(planted: Any) -> None:
    def row(role: str, seed: int, level: float, mark: Mark = Mark.NONE) -> RetrainRow:
        return RetrainRow(
            name="final",
            seed=seed,
            role=role,
            state=TrialState.SCORED,
            plan=planted.plan("fact" if role == "winner" else None),
            phase_keys=(),
            scores=planted.scores(level, mark=mark),
            reason=None,
        )

    rows = (
        row("winner", 1, 0.60),
        row("baseline", 1, 0.50),
        row("winner", 2, 0.62),
        row("baseline", 2, 0.54),
        row("winner", 3, 0.90),
        row("baseline", 3, 0.10, Mark.COLLAPSED),
    )
    (retrain,) = find(record_of(planted.study_rows(), retrains=rows)).retrains
    assert retrain.seeds == (1, 2, 3)
    gain = retrain.gain
    assert gain.mean == pytest.approx((0.10 + 0.08 + 0.80) / 3)
    assert (gain.num, gain.collapsed_first, gain.collapsed_second) == (3, 0, 1)
    assert not gain.excludes_zero
    assert gain.sound is not None
    assert gain.sound.mean == pytest.approx(0.09)
    assert gain.sound.num == 2
    assert retrain.winner.num == 3


def test_a_thousand_trials_take_seconds(planted: Any) -> None:
    rows = tuple(
        planted.scored(
            n, 0.5 + n / 3000, "fact" if n > 10 else None, target_rate=1e-5 * (1 + n % 11)
        )
        for n in range(1000)
    )
    assert find(record_of(rows)).best.number == 999


def test_the_best_plan_is_shown_over_all_its_seeds(planted: Any) -> None:
    """By hand: 0.70 and 0.60 less 0.50 and 0.52; Turkish lies 0.075 under the mean."""
    levels = ((None, 1, 0.50), (None, 2, 0.52), ("fact", 1, 0.70), ("fact", 2, 0.60))
    rows = tuple(
        replace(row, plan=row.plan.with_seed(seed))
        for number, (source, seed, level) in enumerate(levels)
        for row in [planted.scored(number, level, source)]
    )
    found = find(record_of(rows))
    assert (found.best_mean, found.baseline_mean) == pytest.approx((0.65, 0.51))
    assert found.gain.mean == pytest.approx(0.14)
    assert found.gain.num == 2
    cell = next(c for c in found.languages if (c.task, c.language) == ("rel", "tr"))
    assert (cell.best, cell.baseline) == pytest.approx((0.55, 0.41))
    assert "by +14.0 points over the best baseline" in " ".join(sentences(found))
    assert "in the mean of 2 seeds" in " ".join(sentences(found))


def test_a_target_that_one_intermediate_loses_stays_in_the_tables(planted: Any) -> None:
    """Both intermediate tasks lose the same one of two targets: what they do to the other, and
    that they lose it, is said."""
    lost = {"rel": Mark.COLLAPSED}
    rows = (
        planted.scored(0, 0.50, None),
        planted.scored(1, 0.55, "fact", marks=lost),
        planted.scored(2, 0.45, "coh", marks=lost),
    )
    found = find(record_of(rows))
    assert [row.label for row in found.gains.rows] == ["fact", "coh"]
    assert [row.collapsed for row in found.gains.rows] == [{"rel": 1}] * 2
    said = " ".join(sentences(found))
    assert "After fact, rel collapsed in 1 of 1 trials, without intermediate training in 0" in said
    assert "After coh, rel collapsed in 1 of 1 trials" in said
    assert found.best.number == 1
