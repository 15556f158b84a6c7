"""What a retrain writes, on a real MLflow database, and the models that come of it."""

from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.reader import held_phase_keys, read_study
from search.record.registry import Registry
from search.record.writer import RecordWriter
from search.trials.ranking import TrialState
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"


def runs_of(uri: str) -> dict[str, Any]:
    client = connect(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_retrains_are_runs_below_the_study(record: RecordWriter, uri: str, planted: Any) -> None:
    record.study_started(settings={}, digest="", versions={})
    for role, source in (("winner", "fact"), ("baseline", None)):
        plan = planted.plan(source).with_seed(7)
        given = {"seed": 7, "role": role, "plan": plan, "phase_keys": ("k1",)}
        dev = planted.scores(0.55) if role == "winner" else None
        record.retrain("final").started(**given, lock="d1")
        record.retrain("final").finished(
            **given, scores=planted.scores(0.5), validation=dev, lock="d1"
        )
    record.retrain("final").closed(summary={"gain": 0.1})
    assert record.drain(30)
    retrains = read_study(ExperimentAddress(uri, EXPERIMENT).for_study("pocket")).retrains
    assert {(row.role, row.seed, row.state) for row in retrains} == {
        ("winner", 7, TrialState.SCORED),
        ("baseline", 7, TrialState.SCORED),
    }
    assert retrains[0].scores == planted.scores(0.5)
    chosen_by = {row.role: row.validation for row in retrains}
    assert chosen_by == {"winner": planted.scores(0.55), "baseline": None}
    assert {row.lock for row in retrains} == {"d1"}
    runs = runs_of(uri)
    retrain = runs["retrain final"]
    assert retrain.info.status == "FINISHED"
    assert retrain.data.tags["mlflow.parentRunId"] == runs["pocket"].info.run_id
    winner = runs["final winner seed 7"]
    assert winner.data.tags["mlflow.parentRunId"] == retrain.info.run_id
    assert winner.data.metrics["validation.zero_shot_mean"] == pytest.approx(0.55)
    assert winner.data.tags["transfer_search.lock"] == "d1"
    assert "k1" in held_phase_keys(ExperimentAddress(uri, EXPERIMENT))


class Predictor:
    def __init__(self, folder: Path) -> None:
        self.text = (folder / "config.json").read_text()

    def predict(self, data: Any, params: Any = None) -> Any:
        return [self.text, data]


def test_a_registered_model_loads_by_its_alias_without_pickle(
    record: RecordWriter, uri: str, planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "xlm-roberta"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    given = {"seed": 7, "role": "winner", "plan": planted.plan("fact"), "phase_keys": ("k1",)}
    record.retrain("final").started(**given)
    made = [
        record.retrain("final").register(
            folder,
            name="pocket-rel",
            seed=7,
            params={"task": "rel"},
            tags={"task": "rel"},
            requirements=["numpy"],
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    registry = Registry.open(uri)
    assert registry.champion("pocket-rel") is None, "that is for a comparison to say"
    registry.crown(made[0])
    assert (made[0].version, made[0].uri) == ("1", "models:/pocket-rel/1")

    # MLflow's own loader, as a user calls it: with the address of the whole process.
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("search.serving.load_predictor", Predictor)
    loaded = mlflow.pyfunc.load_model("models:/pocket-rel@champion")
    assert loaded.predict(["x"]) == ['{"model_type": "xlm-roberta"}', ["x"]]
    downloaded = Path(mlflow.artifacts.download_artifacts("models:/pocket-rel@champion"))
    names = {path.name for path in downloaded.iterdir()}
    assert {"MLmodel", "config.json", "model.safetensors", "requirements.txt"} <= names
    assert not [name for name in names if name.endswith(".pkl")]

    (folder / "model.safetensors").write_bytes(b"other weights")
    second = record.retrain("final").register(
        folder, name="pocket-rel", seed=7, params={}, tags={}, requirements=[]
    )
    assert second.version == "2"
    assert registry.champion("pocket-rel") == made[0]


def test_registering_without_files_or_run_is_refused(
    record: RecordWriter, planted: Any, tmp_path: Path
) -> None:
    given = {"name": "m", "seed": 1, "params": {}, "tags": {}, "requirements": []}
    with pytest.raises(Refusal, match="has no run"):
        record.retrain("never").register(tmp_path, **given)
    record.retrain("r").started(seed=1, role="winner", plan=planted.plan(None), phase_keys=())
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match="no model files"):
        record.retrain("r").register(tmp_path / "empty", **given)


def test_nothing_is_registered_while_records_wait(uri: str, tmp_path: Path) -> None:
    address = ExperimentAddress(uri, EXPERIMENT).for_study("s")
    record = RecordWriter(address, outbox=tmp_path / "waiting")
    retrain = record.retrain("r")
    retrain.closed(summary={})
    given: dict[str, Any] = {"name": "m", "seed": 1, "params": {}, "tags": {}, "requirements": []}
    with pytest.raises(Refusal, match="MLflow does not answer, and 1 records wait"):
        retrain.register(tmp_path, **given, timeout=0.1)
