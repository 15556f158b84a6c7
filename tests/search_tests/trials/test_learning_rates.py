"""What collapsed, did not learn, or diverged, by learning rate, on planted rows."""

from dataclasses import replace
from typing import Any

from search.findings.find import find
from search.report.sentences import sentences
from search.trials.learning_rates import (
    RateCollapse,
    flat_intermediates,
    half_rates,
    halved,
    learning_rates,
)
from trainables.scoring.scores import Mark


def test_target_phases_count_one_by_one(planted: Any) -> None:
    """One of two targets collapsed at the higher rate: half of its phases, and a trial after the
    intermediate phase."""
    rows = [
        planted.scored(0, 0.5, None, target_rate=1e-4),
        planted.scored(1, 0.4, "fact", target_rate=2e-4, marks={"coh": Mark.COLLAPSED}),
    ]
    assert learning_rates(rows) == {
        "intermediate": (RateCollapse(rate=2e-4, num=1, collapsed=1.0),),
        "target": (
            RateCollapse(rate=1e-4, num=2, collapsed=0.0),
            RateCollapse(rate=2e-4, num=2, collapsed=0.5),
        ),
    }


def test_flat_intermediates_name_their_trials(planted: Any) -> None:
    rows = planted.study_rows()
    flat = [planted.phase_row("fact-0.0002", loss_fell=False)]
    (one,) = flat_intermediates(rows, flat)
    assert (one.label, one.trials) == ("fact", (2, 3, 5, 6, 7, 8))


def test_what_was_trained_at_half_its_rate_is_named(planted: Any) -> None:
    """By the rates of the phases that a trial lists, whoever trained them."""
    row = planted.scored(3, 0.6, "fact", rate=2e-4, target_rate=1e-4)
    stem = planted.phase_row("fact-0.0002", learning_rate=2e-4)
    rel = planted.phase_row(row.phase_keys[1], name="rel", parent=stem.key, learning_rate=1e-4)
    foreign = planted.phase_row("another", learning_rate=5e-5)
    assert halved(row, [stem, rel, foreign]) == ()
    half = replace(stem, learning_rate=1e-4)
    assert halved(row, [half, rel]) == ("fact at 1e-04 (planned 2e-04)",)
    assert halved(row, [stem, replace(rel, learning_rate=5e-5)]) == (
        "rel at 5e-05 (planned 1e-04)",
    )
    # Another trial's retry, at the rate that this one had planned.
    assert halved(row, [replace(stem, retried=True), rel]) == ()
    same = replace(row, plan=planted.plan("rel", 2e-4, 1e-4))
    assert halved(same, [replace(half, name="rel")]) == ("rel at 1e-04 (planned 2e-04)",)


def test_what_was_trained_at_half_its_rate_is_said(planted: Any) -> None:
    rows = planted.study_rows()
    half = planted.phase_row("fact-0.0002", learning_rate=1e-4, retried=True)
    assert [one.number for one in half_rates(rows, [half])] == [2, 3], "of scored trials"
    said = " ".join(sentences(find(replace(planted.record_of(rows), phases=(half,)))))
    assert (
        "These phases diverged and were trained again at half the planned rate: "
        "trial 2 (fact at 1e-04 (planned 2e-04)), trial 3"
    ) in said
