"""Reading the record: what is there, what is not, and what is only half there."""

from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.reader import held_phase_keys, list_studies, read_study
from search.record.writer import RecordWriter
from search.recorded_settings import RecordedSettings
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"


def written(
    uri: str, outbox: Path, study: str = "pocket", experiment: str = EXPERIMENT
) -> RecordWriter:
    record = RecordWriter(ExperimentAddress(uri, experiment).for_study(study), outbox=outbox)
    record.study_started(settings={}, digest="d", versions={})
    return record


def test_an_unknown_study_is_refused_with_the_nearest(uri: str, tmp_path: Path) -> None:
    assert written(uri, tmp_path / "outbox").outbox.deliver_all()
    with pytest.raises(Refusal, match="Did you mean 'pocket'"):
        read_study(ExperimentAddress(uri, EXPERIMENT).for_study("pockets"))
    listed = list_studies(ExperimentAddress(uri, EXPERIMENT))
    assert [(study.name, study.state, study.digest) for study in listed] == [
        ("pocket", "running", "d")
    ]
    assert list_studies(ExperimentAddress(uri, "another")) == ()


def test_studies_are_listed_latest_first(uri: str, tmp_path: Path, planted: Any) -> None:
    for name in ("first", "second"):
        record = written(uri, tmp_path / name, name)
        if name == "first":
            record.study_finished(rows=[planted.scored(4, 0.5, None)], phases=[], summary={})
        assert record.outbox.deliver_all()
    listed = list_studies(ExperimentAddress(uri, EXPERIMENT))
    assert [study.name for study in listed] == ["second", "first"]
    assert [study.state for study in listed] == ["running", "finished"]
    assert [study.best_trial for study in listed] == [None, 4]
    assert listed[0].started >= listed[1].started


def test_a_study_without_trials_is_empty_not_missing(uri: str, tmp_path: Path) -> None:
    assert written(uri, tmp_path / "outbox").outbox.deliver_all()
    found = read_study(ExperimentAddress(uri, EXPERIMENT).for_study("pocket"))
    assert (found.rows, found.phases, found.retrains) == ((), (), ())
    assert (found.settings, found.summary, found.state) == (RecordedSettings(), {}, "running")


def test_studies_of_other_names_and_experiments_stay_apart(
    uri: str, tmp_path: Path, planted: Any
) -> None:
    for level, study, experiment in ((0.5, "a", "e"), (0.6, "b", "e"), (0.7, "a", "f")):
        record = written(uri, tmp_path / f"{study}-{experiment}", study, experiment)
        record.trial_finished(planted.scored(0, level, None), baseline=None)
        assert record.outbox.deliver_all()
    for level, study, experiment in ((0.5, "a", "e"), (0.6, "b", "e"), (0.7, "a", "f")):
        found = read_study(ExperimentAddress(uri, experiment).for_study(study))
        assert [row.objective for row in found.rows] == [level]


def test_a_run_cut_off_before_its_file_is_left_out(uri: str, tmp_path: Path, planted: Any) -> None:
    record = written(uri, tmp_path / "outbox")
    record.trial_finished(planted.scored(0, 0.5, None), baseline=None)
    assert record.outbox.deliver_all()
    client = connect(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    tags = {"study": "pocket", "role": "trial", "trial": "1"}
    client.create_run(experiment, tags={f"transfer_search.{k}": v for k, v in tags.items()})
    found = read_study(ExperimentAddress(uri, EXPERIMENT).for_study("pocket"))
    assert [row.number for row in found.rows] == [0]


def test_an_ended_run_whose_file_was_deleted_is_refused(
    uri: str, tmp_path: Path, planted: Any
) -> None:
    record = written(uri, tmp_path / "outbox")
    record.trial_finished(planted.scored(0, 0.5, None), baseline=None)
    assert record.outbox.deliver_all()
    (file,) = Path(uri.removeprefix("sqlite:///")).parent.rglob("trial.json")
    file.unlink()
    with pytest.raises(Refusal, match=r"has ended, but its trial.json is not"):
        read_study(ExperimentAddress(uri, EXPERIMENT).for_study("pocket"))


def test_a_finished_study_without_its_settings_is_refused(uri: str, tmp_path: Path) -> None:
    record = written(uri, tmp_path / "outbox")
    record.study_finished(rows=[], phases=[], summary={})
    assert record.outbox.deliver_all()
    (file,) = Path(uri.removeprefix("sqlite:///")).parent.rglob("settings.json")
    file.unlink()
    with pytest.raises(Refusal, match=r"has ended, but its settings.json is not"):
        read_study(ExperimentAddress(uri, EXPERIMENT).for_study("pocket"))


def test_phases_are_held_as_long_as_a_trial_lists_them(
    uri: str, tmp_path: Path, planted: Any
) -> None:
    record = written(uri, tmp_path / "outbox")
    rows = [planted.scored(0, 0.5, None), planted.scored(1, 0.5, "fact")]
    for row in rows:
        record.trial_finished(row, baseline=None)
    assert record.outbox.deliver_all()
    held = held_phase_keys(ExperimentAddress(uri, EXPERIMENT))
    assert held == {*rows[0].phase_keys, *rows[1].phase_keys}
    client = connect(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    (trial,) = client.search_runs([experiment], "tags.`transfer_search.trial` = '1'")
    client.delete_run(trial.info.run_id)
    held = held_phase_keys(ExperimentAddress(uri, EXPERIMENT))
    assert held == set(rows[0].phase_keys)
    assert held_phase_keys(ExperimentAddress(uri, "none")) == frozenset()
