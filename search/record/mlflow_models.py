"""Models: writes MLflow's logged models and links each to its run, with or without its files."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.mlflow_view.labels import filter_of, tagged
from search.record.entries import Entry, Labels
from search.record.mlflow_runs import Runs
from search.record.mlmodel import OUTCOMES, write_mlmodel
from spaces.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A logged model in the record: its run, and the URI of its files."""

    model_id: str
    run_id: str
    location: str


class Models:
    """The logged models of one experiment; each is created once, however often it is written."""

    def __init__(self, client: Any, runs: Runs) -> None:
        self._client = client
        self._runs = runs

    def put(self, study: str, entry: Entry) -> None:
        """Write a logged model that refers to the files of a phase, and link it to its run."""
        from mlflow.entities import Metric

        run_id = self._runs.ensure(study, entry["run"], name=entry["name"], time=entry["time"])
        tags = {"study": study, "phase": entry["key"]}
        model = self._ensure(run_id, entry["name"], tags=tags, params=entry["params"])
        metrics = []
        for name in entry["metrics"]:
            history = self._client.get_metric_history(run_id, name)
            # With the time of the run's value, MLflow stores no second value for the run but links
            # the value to the model too.
            metrics += [
                Metric(name, m.value, m.timestamp, m.step, model_id=model.model_id)
                for m in history[-1:]
            ]
        self._client.log_batch(run_id, metrics=metrics)
        if str(model.status) != "READY":
            with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
                Path(folder, "reference.json").write_text(json.dumps(entry["params"], indent=1))
                self._client.log_model_artifacts(model.model_id, folder)
            self._client.finalize_logged_model(model.model_id, "READY")

    def log(
        self,
        study: str,
        labels: Labels,
        folder: Path,
        *,
        digest: str,
        name: str,
        loader_module: str,
        params: Mapping[str, str],
        requirements: Sequence[str],
        outcomes: Path | None = None,
    ) -> LoggedModel:
        """Log a folder of model files for a run, with the files that MLflow needs to load it, and
        with the file of `outcomes`. Raises Refusal if the study has no such run."""
        runs = self._runs.find(study, **labels)
        if not runs:
            raise Refusal(f"study {study!r} has no run {labels} in MLflow to register a model for")
        run_id = runs[0].run_id
        tags = {"study": study, "run": run_id, "sha256": digest}
        model = self._ensure(run_id, name, tags=tags, params={**params, "sha256": digest})
        if str(model.status) != "READY":
            self._client.log_model_artifacts(model.model_id, str(folder))
            with tempfile.TemporaryDirectory(prefix="transfer-search-") as extra:
                write_mlmodel(Path(extra), folder, model.model_id, run_id, loader_module)
                Path(extra, "requirements.txt").write_text("".join(f"{r}\n" for r in requirements))
                if outcomes is not None:
                    shutil.copyfile(outcomes, Path(extra, OUTCOMES))
                self._client.log_model_artifacts(model.model_id, extra)
            self._client.finalize_logged_model(model.model_id, "READY")
        return LoggedModel(model_id=model.model_id, run_id=run_id, location=model.artifact_location)

    def _ensure(
        self, run_id: str, name: str, *, tags: Mapping[str, str], params: Mapping[str, str]
    ) -> Any:
        """Return the logged model with these tags; create it and the link from its run if they are
        missing."""
        from mlflow.entities import LoggedModelOutput

        experiment_id = self._runs.ensure_experiment()
        models = self._client.search_logged_models([experiment_id], filter_string=filter_of(tags))
        model = next(iter(models), None) or self._client.create_logged_model(
            experiment_id, name=name, source_run_id=run_id, tags=tagged(tags), params=dict(params)
        )
        outputs = self._client.get_run(run_id).outputs
        if model.model_id not in {m.model_id for m in (outputs.model_outputs if outputs else ())}:
            self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return model
