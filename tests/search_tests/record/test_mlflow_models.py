"""Logged models: linked to their run, made once."""

from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.mlflow_models import Models
from search.record.mlflow_runs import Runs
from search.record.writer import RecordWriter
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"


def test_models_by_reference_are_linked_to_their_trial(
    record: RecordWriter, uri: str, planted: Any
) -> None:
    row = planted.scored(2, 0.6, "fact")
    record.trial_finished(row, baseline=None)
    locations = {key: {"uri": f"file:///store/{key}", "sha256": "5"} for key in row.phase_keys}
    for _ in range(2):
        record.log_models([row], locations)
    assert record.drain(30)
    client = connect(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    models = client.search_logged_models([experiment.experiment_id])
    assert {model.name for model in models} == {"trial-0002-rel", "trial-0002-coh"}
    assert all(str(model.status) == "READY" for model in models)
    rel = next(model for model in models if model.name.endswith("rel"))
    assert rel.params["uri"] == f"file:///store/{row.phase_keys[1]}"
    metrics = {metric.key: metric.value for metric in rel.metrics}
    assert metrics == pytest.approx({"zero_shot_mean.rel": 0.6, "source.rel": 0.8})
    run = client.get_run(rel.source_run_id)
    assert {m.model_id for m in run.outputs.model_outputs} == {m.model_id for m in models}
    assert len(client.get_metric_history(run.info.run_id, "source.rel")) == 1


def test_a_folder_of_files_is_logged_once_for_a_run_that_is_there(uri: str, tmp_path: Path) -> None:
    client = connect(uri)
    runs = Runs(client, ExperimentAddress(uri, EXPERIMENT))
    folder, labels = tmp_path / "model", {"role": "retrain_run", "seed": "1"}
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    given: dict[str, Any] = {"name": "m", "params": {}, "requirements": ["numpy"]}
    given |= {"digest": "d", "loader_module": "search.serving"}
    models = Models(client, runs)
    with pytest.raises(Refusal, match="has no run"):
        models.log("s", labels, folder, **given)
    run_id = runs.ensure("s", labels, name="run", time=1)
    first = models.log("s", labels, folder, **given)
    assert models.log("s", labels, folder, **given) == first
    assert first.run_id == run_id
    there = {path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert there == {"config.json", "MLmodel", "requirements.txt"}
