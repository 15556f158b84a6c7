"""What collapsed, did not learn, or diverged, by learning rate, on planted rows."""

from dataclasses import replace
from typing import Any

import pytest

from search.answers import sentences
from search.findings import find
from search.learning_rates import flat_intermediates, half_rates, learning_rates
from trainables.scores import Mark


def test_target_phases_count_one_by_one(planted: Any) -> None:
    """One of two targets collapsed at the higher rate: half of its phases, and a trial after the
    intermediate phase."""
    rows = [
        planted.scored(0, 0.5, None, target_rate=1e-4),
        planted.scored(1, 0.4, "fact", target_rate=2e-4, marks={"coh": Mark.COLLAPSED}),
    ]
    assert learning_rates(rows) == {
        "intermediate": [{"rate": 2e-4, "num": 1, "collapsed": 1.0}],
        "target": [
            {"rate": 1e-4, "num": 2, "collapsed": 0.0},
            {"rate": 2e-4, "num": 2, "collapsed": pytest.approx(0.5)},
        ],
    }


def test_flat_intermediates_name_their_trials(planted: Any) -> None:
    rows = planted.study_rows()
    flat = [planted.phase_row("fact-0.0002", loss_fell=False)]
    (one,) = flat_intermediates(rows, flat)
    assert (one["label"], one["trials"]) == ("fact", [2, 3, 5, 6, 7, 8])


def test_what_was_trained_at_half_its_rate_is_said(planted: Any) -> None:
    """Its phases have the keys of what was really trained."""
    rows = planted.study_rows()
    halved = planted.phase_row("fact-0.0002", learning_rate=1e-4, retried=True)
    other = planted.phase_row(rows[0].phase_keys[0], name="rel")
    found = half_rates(rows, [halved, other])
    assert [one["number"] for one in found] == [2, 3], "of scored trials"
    assert found[0]["phases"] == [{"name": "fact", "learning_rate": 1e-4}]
    record = replace(planted.record_of(rows), phases=(halved, other))
    said = " ".join(sentences(find(record)))
    assert (
        "Diverged, and trained at half the rate that the plan says: trial 2 (fact at 0.0001)"
    ) in said
