"""The record, on a real MLflow database: what is written once is read back the same."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.reader import StudyRecord, read_study
from search.record.writer import RecordWriter, drain_left
from search.trials.ranking import TrialState
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"


def read(uri: str, study: str = "pocket") -> StudyRecord:
    return read_study(ExperimentAddress(uri, EXPERIMENT).for_study(study))


SETTINGS = {"study": {"name": "pocket", "seed": 0}, "budget": {"num_trials": 9}}


def write_study(record: RecordWriter, planted: Any) -> None:
    rows = planted.study_rows()
    record.study_started(
        settings=SETTINGS, digest="abc", versions={"torch": "2.13"}, world={"train": {"a@en": "d"}}
    )
    for row in rows:
        if row.state is not TrialState.DUPLICATE:  # those never start
            record.trial_started(
                row.number, params=row.params, plan=row.plan, phase_keys=row.phase_keys
            )
        if row.state is not TrialState.RUNNING:
            record.trial_finished(row, baseline=rows[0] if row.number else None)
    record.phase_finished(planted.phase_row("fact-0.0002"), plan_phase={"name": "fact"})
    record.study_finished(
        rows=rows, phases=[planted.phase_row("fact-0.0002")], summary={"importance": {"rate": 0.1}}
    )
    assert record.drain(60)


def runs_of(uri: str) -> dict[str, Any]:
    client = connect(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_a_study_is_read_back_bit_for_bit(record: RecordWriter, uri: str, planted: Any) -> None:
    write_study(record, planted)
    found = read(uri)
    assert found.rows == planted.study_rows()
    assert found.phases == (planted.phase_row("fact-0.0002"),)
    assert (found.name, found.digest, found.state) == ("pocket", "abc", "finished")
    assert found.settings.content == SETTINGS
    assert found.summary == {"importance": {"rate": 0.1}}
    assert found.world == {"train": {"a@en": "d"}}
    assert found.versions == {"torch": "2.13"}


def test_a_study_that_goes_on_is_read_run_by_run(
    record: RecordWriter, uri: str, planted: Any
) -> None:
    """What stood in one file when it ended is not all there is any more."""
    write_study(record, planted)
    new = planted.scored(9, 0.7, "fact")
    record.study_started(settings=SETTINGS, digest="abc", versions={})
    record.trial_finished(new, baseline=None)
    assert record.drain(60)
    assert read(uri).rows == (*planted.study_rows(), new)
    record.study_finished(rows=[new], phases=[], summary={})
    assert record.drain(60)
    assert read(uri).rows == (new,)  # the file is what is read, and no trial's run


def test_runs_say_what_happened(record: RecordWriter, uri: str, planted: Any) -> None:
    write_study(record, planted)
    runs = runs_of(uri)
    assert len(runs) == 9 + 1 + 1
    best = runs["0003 fact 2e-04 -> 2e-04"]
    assert best.data.metrics["objective"] == pytest.approx(0.61)
    assert best.data.metrics["zero_shot.rel.tr"] == pytest.approx(0.51)
    assert best.data.metrics["transfer_gain"] == pytest.approx(0.61 - 0.52)
    assert best.data.metrics["paired_gain"] == pytest.approx(0.61 - 0.52)
    assert best.data.metrics["worst_language"] == pytest.approx(0.51)
    assert best.data.tags["transfer_search.worst_language"] == "rel/tr"
    assert best.data.params["intermediate.learning_rate"] == "0.0002"
    scalars = [name for name in best.data.metrics if not name.startswith("zero_shot.")]
    assert len(scalars) <= 25
    collapsed = runs["0004 coh 9e-04 -> 1e-04"]
    assert collapsed.data.tags["transfer_search.mark.rel"] == "collapsed"
    study = runs["pocket"]
    assert study.data.tags["transfer_search.best_trial"] == "3"
    assert study.data.params["budget.num_trials"] == "9"
    assert all(
        run.data.tags["mlflow.parentRunId"] == study.info.run_id
        for name, run in runs.items()
        if name != "pocket"
    )


def test_what_a_trial_drops_is_measured_again_in_the_end(
    record: RecordWriter, uri: str, planted: Any
) -> None:
    """As it ended it was allowed, beside a weaker baseline than its own."""
    baselines = [planted.scored(n, 0.3 + n / 2, None, target_rate=(n + 1) * 1e-4) for n in (0, 1)]
    ended = replace(
        planted.scored(2, 0.55, "fact", target_rate=2e-4),
        values={"zero_shot_mean": 0.55, "hours": 0.5},
        largest_drop=-0.05,
        is_feasible=True,
    )
    settings = {"evaluation": {"max_drop": 0.01}}
    record.study_started(settings=settings, digest="abc", versions={})
    for row in (ended, *baselines):
        record.trial_finished(row, baseline=None)
    assert record.drain(60)
    (tags,) = (run.data.tags for run in runs_of(uri).values() if "0002" in run.info.run_name)
    assert tags["transfer_search.feasible"] == "true"
    rows = read(uri).rows
    assert [row.is_feasible for row in rows] == [True, True, False]
    dropped = replace(ended, largest_drop=pytest.approx(0.25), sure_drop=rows[2].sure_drop)
    assert rows[2] == replace(dropped, is_feasible=False)
    assert 0.01 < rows[2].sure_drop < 0.25
    record.study_finished(rows=rows, phases=[], summary={})
    assert record.drain(60)
    (run,) = (run for run in runs_of(uri).values() if "0002" in run.info.run_name)
    assert run.data.tags["transfer_search.feasible"] == "false"
    assert run.data.metrics["largest_drop"] == pytest.approx(0.25)
    assert run.data.metrics["objective.hours"] == 0.5


def test_states_become_mlflow_states(record: RecordWriter, uri: str, planted: Any) -> None:
    write_study(record, planted)
    client = connect(uri)
    by_number = {
        run.data.tags["transfer_search.trial"]: run.info.status
        for run in runs_of(uri).values()
        if "transfer_search.trial" in run.data.tags
    }
    assert [by_number[str(n)] for n in (3, 5, 6, 7, 8)] == [
        "FINISHED",
        "FAILED",
        "KILLED",
        "FINISHED",
        "RUNNING",
    ]
    best = runs_of(uri)["0003 fact 2e-04 -> 2e-04"].info.run_id
    files = {file.path for file in client.list_artifacts(best)}
    assert files == {"plan.json", "trial.json", "matrix.json", "matrix.parquet"}


def test_gains_are_corrected_once_all_baselines_are_there(
    record: RecordWriter, uri: str, planted: Any
) -> None:
    """While the study ran, trial 3 was measured against the first baseline."""
    write_study(record, planted)
    client = connect(uri)
    runs = runs_of(uri)
    best = runs["0003 fact 2e-04 -> 2e-04"].info.run_id
    values = [m.value for m in client.get_metric_history(best, "transfer_gain")]
    assert values == pytest.approx([0.61 - 0.50, 0.61 - 0.52])
    assert len(client.get_metric_history(best, "objective")) == 1


def test_a_trial_taken_up_again_has_one_run(record: RecordWriter, uri: str, planted: Any) -> None:
    row = planted.scored(0, 0.5, None)
    for _ in range(2):
        record.trial_started(0, params=row.params, plan=row.plan, phase_keys=row.phase_keys)
        record.trial_finished(row, baseline=None)
    assert record.drain(30)
    runs = runs_of(uri)
    assert len(runs) == 2  # the trial and the study above it
    trial = runs["0000 baseline 1e-04"]
    assert trial.info.status == "FINISHED"
    history = connect(uri).get_metric_history(trial.info.run_id, "objective")
    assert [m.value for m in history] == [0.5]


def test_a_resumed_study_may_have_another_budget(record: RecordWriter, uri: str) -> None:
    for num_trials in (9, 20):
        settings = {**SETTINGS, "budget": {"num_trials": num_trials}}
        record.study_started(settings=settings, digest="abc", versions={})
    assert record.drain(30)
    budget = read(uri).settings.budget
    assert budget is not None
    assert budget.num_trials == 20
    assert not list(Path(record.outbox.path.parent).glob("*.refused"))


def test_a_phase_is_logged_once_whoever_reports_it(
    record: RecordWriter, uri: str, planted: Any
) -> None:
    for _ in range(2):
        record.phase_finished(planted.phase_row("k1"), plan_phase={})
    record.phase_finished(planted.phase_row("k2", dev_score=None, parent="k1"), plan_phase={})
    record.study_started(settings={}, digest="", versions={})
    assert record.drain(30)
    found = read(uri).phases
    assert {row.key for row in found} == {"k1", "k2"}
    assert len(found) == 2


def test_what_an_ended_driver_left_is_sent_by_the_next_reader(
    uri: str, tmp_path: Path, planted: Any
) -> None:
    address = ExperimentAddress(uri, EXPERIMENT).for_study("pocket")
    away = ExperimentAddress("http://127.0.0.1:9", EXPERIMENT).for_study("pocket")
    outbox = tmp_path / "left"
    drain_left(address, outbox=outbox)
    record = RecordWriter(address, outbox=outbox)
    record.study_started(settings={}, digest="d", versions={})
    with pytest.raises(Refusal, match="does not answer"):
        drain_left(away, outbox=outbox)
    drain_left(address, outbox=outbox)
    assert record.pending == 0
    assert read(uri).digest == "d"
    # With nothing left to send it matters to nobody whether MLflow is there.
    drain_left(away, outbox=outbox)


def test_a_record_is_never_pickled(record: RecordWriter) -> None:
    with pytest.raises(TypeError, match="stays in the driver"):
        pickle.dumps(record)
