"""Connects to MLflow by address, and writes runs and models by id with plain values.

No global state of MLflow is used: no active run, no tracking address of the process. Every write
may be repeated.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import filelock

from search import moved_home
from search.addresses import check_reachable, check_scheme, sqlite_path
from search.home import make_file
from search.mlflow_view.labels import TAG, TRIAL
from search.mlflow_view.links import TrialsPage
from search.mlflow_view.saved import page_of, put_view
from search.outbox.outbox import UndeliverableError
from search.record import mlflow_files as artifacts
from search.record.address import ExperimentAddress
from search.record.entries import Entry
from search.record.mlflow_models import Models
from search.record.mlflow_runs import KnownRun, Run, Runs
from spaces.refusal import Refusal

# MLflow's error codes for a request that is itself wrong, so that sending it again is useless.
_OUR_FAULT = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST"})
_MAX_METRICS = 800
_NOTE = "mlflow.note.content"  # the tag that the UI shows as the run's description


def connect(tracking_uri: str) -> Any:
    """Return an MLflow client for this address. Raises Refusal at once if no server answers."""
    check_reachable(tracking_uri)
    # MLflow reads these when it is imported or called. By default it would wait four minutes.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines per run
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    from mlflow import MlflowClient

    if sqlite_path(tracking_uri) is not None:
        _follow_moved_homes()
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@cache
def _follow_moved_homes() -> None:
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun

    moved_home.follow(
        {
            SqlExperiment: ["artifact_location"],
            SqlRun: ["artifact_uri"],
            SqlLoggedModel: ["artifact_location"],
            SqlModelVersion: ["source", "storage_location"],
        }
    )


def prepare(tracking_uri: str) -> None:
    """Create a SQLite database before several processes open it; do nothing for a server."""
    path = sqlite_path(tracking_uri)
    if path is None:
        check_scheme(tracking_uri)
        return
    make_file(path)
    with filelock.FileLock(path.with_name(path.name + ".lock")):
        connect(tracking_uri).search_experiments(max_results=1)


def list_experiments(tracking_uri: str) -> list[str]:
    """Return the names of all experiments that are not deleted."""
    client, names, token = connect(tracking_uri), list[str](), None
    while True:
        page = client.search_experiments(page_token=token)
        names += [experiment.name for experiment in page]
        token = page.token
        if not token:
            return names


@contextlib.contextmanager
def delivering() -> Iterator[None]:
    """Turn errors that a later try cannot avoid into UndeliverableError; pass on all others."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except Refusal:
        raise
    except MlflowException as error:
        if error.error_code in _OUR_FAULT:
            raise UndeliverableError(str(error)) from error
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UndeliverableError(f"{type(error).__name__}: {error}") from error


class Tracker:
    """Writes and reads the runs of one experiment of an MLflow server; `models` does the same for
    logged models."""

    def __init__(self, client: Any, experiment: ExperimentAddress) -> None:
        self._client = client
        self._runs = Runs(client, experiment)
        self.models = Models(client, self._runs)

    def find(self, study: str | None = None, **labels: str) -> list[Run]:
        """Return the runs of a study (or of all studies) that have these labels, oldest first."""
        return self._runs.find(study, **labels)

    def read_json(self, run: Run, name: str) -> Any:
        """Return the content of a JSON artifact; None if the run has none of this name."""
        return artifacts.read_json(self._client, run.run_id, run.artifacts, name)

    def fetch(self, run: Run, name: str, into: Path) -> list[Path]:
        """Download the files of one folder of the run's artifacts into `into`."""
        return artifacts.fetch(self._client, run.run_id, name, into)

    def put_run(self, study: str, entry: Entry) -> str:
        """Bring a run into the state that the entry describes, and return its id. Only what differs
        is written."""
        if_new = {name: entry[name] for name in ("parent", "lasted") if name in entry}
        run_id = self._runs.ensure(
            study, entry["labels"], name=entry["name"], time=entry["time"], **if_new
        )
        known = self._runs.known[run_id]
        self._log(
            run_id,
            entry["time"],
            metrics=entry.get("metrics", {}),
            params=entry.get("params", {}),
            tags={TAG + name: value for name, value in entry.get("tags", {}).items()}
            | ({_NOTE: entry["note"]} if "note" in entry else {}),
        )
        if entry.get("files"):
            artifacts.put_files(self._client, run_id, entry["files"])
        if entry.get("inputs"):
            artifacts.put_inputs(self._client, run_id, entry["inputs"])
        status = entry["status"]
        if status == "RUNNING" and known.status != "RUNNING":
            self._client.update_run(run_id, status=status)
        elif status not in (None, "RUNNING"):
            self._client.set_terminated(run_id, status, end_time=entry["time"])
        known.status = status or known.status
        return run_id

    def put_paths(self, study: str, entry: Entry) -> None:
        """Copy files from disk to the artifacts of a run."""
        run_id = self._runs.ensure(study, entry["labels"], name=entry["name"], time=entry["time"])
        artifacts.put_paths(self._client, run_id, entry["paths"])

    def put_view(self, entry: Entry) -> None:
        """Save a view of the experiment's runs for MLflow's UI."""
        put_view(self._client, self._runs.ensure_experiment(), entry)

    def page_of(self, study: str) -> TrialsPage:
        """The page of a study's trials in MLflow's UI."""
        return page_of(self._client, self._runs.ensure_experiment(), study)

    def put_gains(self, study: str, entry: Entry) -> None:
        """Write the metrics and tags of trials that are missing or have changed."""
        for run in self._runs.search({"study": study, "role": TRIAL}):
            number = run.data.tags[TAG + "trial"]
            metrics = entry["gains"].get(number, {})
            tags = {TAG + k: v for k, v in entry.get("tags", {}).get(number, {}).items()}
            self._runs.known[run.info.run_id] = KnownRun.of(run)
            self._log(run.info.run_id, entry["time"], metrics=metrics, params={}, tags=tags)

    def _log(
        self,
        run_id: str,
        time: int,
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Write what the run does not have yet, in one call if MLflow's limits allow it."""
        from mlflow.entities import Metric, Param, RunTag

        known = self._runs.known[run_id]
        fresh = [Metric(k, v, time, 0) for k, v in metrics.items() if known.metrics.get(k) != v]
        # MLflow refuses to change a param. What a resumed study may change (the budget) is also in
        # the files, which can change.
        rest = {
            "params": [Param(k, v) for k, v in params.items() if k not in known.params],
            "tags": [RunTag(k, v) for k, v in tags.items() if known.tags.get(k) != v],
        }
        for start in range(0, max(1, len(fresh)), _MAX_METRICS):
            if fresh or any(rest.values()):
                self._client.log_batch(run_id, fresh[start : start + _MAX_METRICS], **rest)
            rest = {}
        known.metrics.update(metrics)
        known.params.update(params)
        known.tags.update(tags)


def open_tracker(experiment: ExperimentAddress) -> Tracker:
    """Return a tracker of an experiment. Raises Refusal at once if no server answers."""
    return Tracker(connect(experiment.tracking_uri), experiment)
