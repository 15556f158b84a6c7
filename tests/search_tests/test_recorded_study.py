"""A study that was read: its trials, scores, gains, phases and retrains as typed data frames."""

import doctest
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search import api, recorded_study
from search.recorded_study import Study
from spaces.refusal import Refusal

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture
def study(planted_home: Path) -> Study:
    return api.read("tiny", home=planted_home)


def test_the_examples_of_the_documentation(
    planted_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", str(planted_home))
    done = doctest.testmod(recorded_study, optionflags=FLAGS)
    assert done.failed == 0
    assert done.attempted >= 12


def test_what_it_says_of_itself(study: Study, planted_home: Path, planted: Any) -> None:
    assert repr(study) == "Study('tiny', finished, 9 trials)"
    assert (study.name, study.is_finished, study.ended_by) == ("tiny", True, None)
    assert study.home.path == planted_home
    assert (study.best.number, study.baseline and study.baseline.number) == (3, 1)
    rows = planted.study_rows()
    assert study.record.rows[3].scores == rows[3].scores


def test_every_column_has_its_type_in_an_empty_frame_too(study: Study, planted: Any) -> None:
    empty = Study(planted.record_of(()), study.address, study.home)
    for name in ("trials", "scores", "gains", "phases", "retrains"):
        full, none = getattr(study, name)(), getattr(empty, name)()
        assert len(full)
        assert not len(none)
        assert dict(none.dtypes) == {column: full.dtypes[column] for column in none.columns}
        kinds = {str(kind) for kind in full.dtypes}
        assert kinds <= {"Int64", "Float64", "boolean", "string"}, name
    with pytest.raises(Refusal, match="no scored trial yet"):
        assert empty.best
    assert empty.baseline is None


def test_trials(study: Study) -> None:
    frame = study.trials().set_index("trial")
    assert list(frame.state[5:]) == ["failed", "pruned", "duplicate", "running"]
    assert frame.reason[5] == "loss was not finite, twice"
    assert frame.duplicate_of[7] == 2
    assert frame.intermediate.isna().sum() == 2
    assert frame.paired_gain[3] == pytest.approx(0.09)
    assert frame.transfer_gain[2] == pytest.approx(0.08)
    assert frame.paired_gain.isna()[0]
    assert list(frame.is_collapsed.dropna()) == [False, False, False, False, True]
    assert frame["params_target.learning_rate"][3] == 2e-4
    assert frame["params_intermediate.learning_rate"].isna()[0]
    assert frame.seconds[3] == pytest.approx(4.5)


def test_scores_and_gains(study: Study) -> None:
    scores = study.scores()
    assert len(scores) == 5 * (3 + 3 + 2)
    cells = scores.set_index(["trial", "target", "language"])
    assert cells.score[3, "rel", "de"] == pytest.approx(0.71)
    assert cells.is_source[3, "rel", "en"]
    assert cells.mark[4, "rel", "de"] == "collapsed"
    assert pd.isna(cells.mark[3, "rel", "de"])
    gains = study.gains()
    assert set(gains.trial) == {2, 3, 4}
    assert set(gains.baseline) == {1}
    assert gains.gain.to_numpy() == pytest.approx((gains.score - gains.baseline_score).to_numpy())


def test_a_retrain_without_scores_has_a_row(study: Study) -> None:
    frame = study.retrains()
    failed = frame[frame.state == "failed"]
    assert len(failed) == 1
    assert failed.target.isna().all()
    assert list(failed.reason) == ["diverged"]
    scored = frame[frame.state == "scored"]
    assert set(zip(scored.role, scored.seed, strict=True)) == {("winner", 1)}
    assert len(scored) == 3 + 3 + 2


def test_findings_are_the_reports(study: Study) -> None:
    from search.findings.find import find

    assert study.findings() == find(study.record)
