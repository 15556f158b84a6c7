"""Runs by their labels: one of each, whoever asks for it, and how often MLflow is asked."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.mlflow_runs import Runs
from search.record.writer import RecordWriter
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"
STUDY, TRIAL = {"role": "study"}, {"role": "trial", "trial": "0"}


class Counting:
    """A client that counts the calls of each name."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._client, name)


def test_a_run_is_made_once_and_its_parent_with_it(uri: str) -> None:
    client = Counting(connect(uri))
    runs = Runs(client, ExperimentAddress(uri, EXPERIMENT))
    made = [runs.ensure("s", TRIAL, name="t", time=5000, parent=STUDY, lasted=2) for _ in range(2)]
    assert made[0] == made[1]
    assert client.calls["create_run"] == 2
    assert client.calls["search_runs"] <= 1, "of a new study nothing else can be there"
    (trial,) = runs.find("s", role="trial")
    (study,) = runs.find("s", role="study")
    assert (trial.run_id, trial.name, trial.started) == (made[0], "t", 3000)
    assert trial.tags == {"study": "s", **TRIAL}
    assert client.get_run(trial.run_id).data.tags["mlflow.parentRunId"] == study.run_id
    assert runs.known[trial.run_id].tags["transfer_search.trial"] == "0"


def test_a_run_that_another_process_made_is_found(uri: str) -> None:
    first = Runs(connect(uri), ExperimentAddress(uri, EXPERIMENT))
    run_id = first.ensure("s", TRIAL, name="t", time=1)
    again = Runs(connect(uri), ExperimentAddress(uri, EXPERIMENT))
    assert again.ensure("s", TRIAL, name="t", time=2) == run_id
    assert again.ensure("other", TRIAL, name="t", time=2) != run_id
    assert len(again.find(role="trial")) == 2, "of all studies"


def test_nothing_is_made_by_looking(uri: str) -> None:
    client = connect(uri)
    assert Runs(client, ExperimentAddress(uri, "never")).find("s") == []
    assert client.get_experiment_by_name("never") is None


def test_a_deleted_experiment_is_named_and_nothing_is_lost(
    uri: str, tmp_path: Path, planted: Any
) -> None:
    record = RecordWriter(ExperimentAddress(uri, "gone").for_study("s"), outbox=tmp_path / "outbox")
    client = connect(uri)
    client.delete_experiment(client.create_experiment("gone"))
    record.phase_finished(planted.phase_row("k"), plan_phase={})
    with pytest.raises(Refusal, match="was deleted in MLflow"):
        record.outbox.deliver_all()
    assert record.pending == 1
