"""MLflow: the only file that knows it. A client by address, runs and models by id, plain values.

Nothing global: no active run, no tracking address of the process. Every write may be repeated.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from search.addresses import check_reachable, check_scheme, folder_name, sqlite_path
from search.record import mlflow_files as artifacts
from search.record.entries import STUDY, TRIAL, Entry, Labels
from search.record.mlmodel import OUTCOMES, write_mlmodel
from search.record.outbox import Undeliverable
from spaces.refusal import Refusal

TAG = "transfer_search."

# Of MLflow's error codes, those that say that the request itself is wrong.
_OUR_FAULT = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST"})
_MAX_METRICS = 800
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows runs, not chats
_NOTE = "mlflow.note.content"  # the tag that the UI shows as the run's description


def connect(tracking_uri: str) -> Any:
    """An MLflow client for this address alone. Raises Refusal at once where nobody answers."""
    check_reachable(tracking_uri)
    # MLflow reads these when it is imported or called; its own defaults wait four minutes.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a run
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def prepare(tracking_uri: str) -> None:
    """Create a SQLite database once, before several processes open it; a server needs nothing."""
    path = sqlite_path(tracking_uri)
    if path is None:
        check_scheme(tracking_uri)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(path.name + ".lock")):
        path.touch(mode=0o600)
        connect(tracking_uri).search_experiments(max_results=1)


def list_experiments(tracking_uri: str) -> list[str]:
    """Names of all experiments that are not deleted."""
    client, names, token = connect(tracking_uri), list[str](), None
    while True:
        page = client.search_experiments(page_token=token)
        names += [experiment.name for experiment in page]
        token = page.token
        if not token:
            return names


@contextlib.contextmanager
def delivering() -> Iterator[None]:
    """Tell what will never be taken (Undeliverable) from what may be tried again later."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except Refusal:
        raise
    except MlflowException as error:
        if error.error_code in _OUR_FAULT:
            raise Undeliverable(str(error)) from error
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Undeliverable(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Run:
    """What readers need of an MLflow run; `place` is the address of its artifacts, `tags` are ours,
    without their prefix."""

    run_id: str
    place: str
    name: str
    status: str
    started: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A model in the record: the run it is of, and where its files lie."""

    model_id: str
    run_id: str
    location: str


@dataclass(slots=True)
class _Known:
    """What a run has already, so far as we know: nobody else writes it while we hold the outbox."""

    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    status: str

    @classmethod
    def of(cls, run: Any) -> "_Known":
        data = run.data
        return cls(dict(data.params), dict(data.metrics), dict(data.tags), run.info.status)


class Tracker:
    """One experiment of an MLflow server: bring runs and models into a state, and read them."""

    def __init__(self, client: Any, *, tracking_uri: str, experiment: str) -> None:
        self._client = client
        self._experiment = experiment
        path = sqlite_path(tracking_uri)
        # Without a server MLflow's default is a folder in whatever directory one stands in.
        self._artifacts = (path.parent.absolute() / "artifacts").as_uri() if path else None
        self._run_ids: dict[frozenset[tuple[str, str]], str] = {}
        self._known: dict[str, _Known] = {}
        self._experiment_id: str | None = None
        # Study -> whether it had no run as we came, so that what we have not made is not there: to
        # search for each run takes the longer the more there are.
        self._is_new: dict[str, bool] = {}

    def find(self, study: str | None = None, **labels: str) -> list[Run]:
        """Runs of a study (or of all) that carry these labels, oldest first."""
        return [_run(run) for run in self._search(_wanted(study, labels))]

    def read_json(self, run: Run, name: str) -> Any:
        """An artifact of the run, or None if the run has none of this name."""
        return artifacts.read_json(self._client, run.run_id, run.place, name)

    def fetch(self, run: Run, name: str, into: Path) -> list[Path]:
        """The files of one folder of the run's artifacts, brought here."""
        return artifacts.fetch(self._client, run.run_id, name, into)

    def put_run(self, study: str, entry: Entry) -> str:
        """Bring a run into the state that the entry describes; its id. Writes what differs."""
        made = {name: entry[name] for name in ("parent", "lasted") if name in entry}
        run_id = self._ensure_run(
            study, entry["labels"], name=entry["name"], time=entry["time"], **made
        )
        known = self._known[run_id]
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
        """Files from disk, to the artifacts of a run."""
        run_id = self._ensure_run(study, entry["labels"], name=entry["name"], time=entry["time"])
        artifacts.put_paths(self._client, run_id, entry["paths"])

    def put_gains(self, study: str, entry: Entry) -> None:
        """Write the metrics and tags of trials that are missing or have changed."""
        for run in self._search(_wanted(study, {"role": TRIAL})):
            number = run.data.tags[TAG + "trial"]
            metrics = entry["gains"].get(number, {})
            tags = {TAG + k: v for k, v in entry.get("tags", {}).get(number, {}).items()}
            self._known[run.info.run_id] = _Known.of(run)
            self._log(run.info.run_id, entry["time"], metrics=metrics, params={}, tags=tags)

    def put_model(self, study: str, entry: Entry) -> None:
        """A logged model that says where the files of a phase lie, linked to its run."""
        from mlflow.entities import Metric

        run_id = self._ensure_run(study, entry["run"], name=entry["name"], time=entry["time"])
        tags = {"study": study, "phase": entry["key"]}
        model = self._ensure_model(run_id, entry["name"], tags=tags, params=entry["params"])
        metrics = []
        for name in entry["metrics"]:
            history = self._client.get_metric_history(run_id, name)
            # At the time of the run's own value it is the same value, now of the model too.
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

    def log_model(
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
        """Log a folder of model files for a run; what MLflow needs to load it lies beside them, and
        the file of `outcomes`."""
        found = self.find(study, **labels)
        if not found:
            raise Refusal(f"study {study!r} has no run {labels} in MLflow to register a model of")
        run_id = found[0].run_id
        tags = {"study": study, "run": run_id, "sha256": digest}
        model = self._ensure_model(run_id, name, tags=tags, params={**params, "sha256": digest})
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

    def _search(self, tags: Mapping[str, str], *, page_size: int = 1000) -> Iterator[Any]:
        experiment_id, token = self._find_experiment(), None
        while experiment_id is not None:
            page = self._client.search_runs(
                [experiment_id],
                filter_string=_filter(tags),
                order_by=["attributes.start_time ASC"],
                page_token=token,
                max_results=page_size,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _find_experiment(self) -> str | None:
        if self._experiment_id is None:
            found = self._client.get_experiment_by_name(self._experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise Refusal(
                    f"experiment {self._experiment!r} was deleted in MLflow: restore it "
                    f"(mlflow experiments restore -x {found.experiment_id}) or name another"
                )
            self._experiment_id = None if found is None else found.experiment_id
        return self._experiment_id

    def _ensure_experiment(self) -> str:
        found = self._find_experiment()
        if found is not None:
            return found
        folder = folder_name(self._experiment)
        location = f"{self._artifacts}/{folder}" if self._artifacts else None
        made = self._client.create_experiment(
            self._experiment, artifact_location=location, tags=_KIND
        )
        self._experiment_id = str(made)
        return self._experiment_id

    def _ensure_run(self, study: str, labels: Labels, *, name: str, **made: Any) -> str:
        """The one run with these labels, made where it is missing."""
        wanted = _wanted(study, labels)
        key = frozenset(wanted.items())
        if key not in self._run_ids:
            run = self._standing(study, wanted)
            if run is None:
                # Where no answer comes, it may be made all the same: then it is searched for.
                is_new, self._is_new[study] = self._is_new[study], False
                run = self._make_run(wanted, study, name=name, **made)
                self._is_new[study] = is_new
            self._run_ids[key] = run.info.run_id
            self._known[run.info.run_id] = _Known.of(run)
        return self._run_ids[key]

    def _standing(self, study: str, tags: Mapping[str, str]) -> Any:
        if study not in self._is_new:
            some = self._search(_wanted(study, {}), page_size=1)
            self._is_new[study] = next(some, None) is None
        return None if self._is_new[study] else next(self._search(tags, page_size=1), None)

    def _make_run(
        self,
        tags: Mapping[str, str],
        study: str,
        *,
        name: str,
        time: int,
        parent: Labels | None = None,
        lasted: float = 0.0,
    ) -> Any:
        tags = dict(tags)
        if parent is not None:
            above = None if parent["role"] == STUDY else {"role": STUDY}
            title = " ".join(parent.values())
            tags["mlflow.parentRunId"] = self._ensure_run(
                study, parent, name=title, time=time, parent=above
            )
        return self._client.create_run(
            self._ensure_experiment(),
            start_time=time - round(lasted * 1000),
            tags=tags,
            run_name=name,
        )

    def _log(
        self,
        run_id: str,
        time: int,
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Write what the run does not have, in one call where MLflow's limits allow."""
        from mlflow.entities import Metric, Param, RunTag

        known = self._known[run_id]
        fresh = [Metric(k, v, time, 0) for k, v in metrics.items() if known.metrics.get(k) != v]
        # MLflow refuses to change a param: what a resume may change (the budget) is in the files.
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

    def _ensure_model(
        self, run_id: str, name: str, *, tags: Mapping[str, str], params: Mapping[str, str]
    ) -> Any:
        """The one logged model with these tags, and the link from its run."""
        from mlflow.entities import LoggedModelOutput

        experiment_id = self._ensure_experiment()
        tags = {TAG + key: value for key, value in tags.items()}
        found = self._client.search_logged_models([experiment_id], filter_string=_filter(tags))
        model = next(iter(found), None) or self._client.create_logged_model(
            experiment_id, name=name, source_run_id=run_id, tags=tags, params=dict(params)
        )
        outputs = self._client.get_run(run_id).outputs
        if model.model_id not in {m.model_id for m in (outputs.model_outputs if outputs else ())}:
            self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return model


def _wanted(study: str | None, labels: Mapping[str, str]) -> dict[str, str]:
    tags = labels if study is None else {"study": study, **labels}
    return {TAG + name: value for name, value in tags.items()}


def _filter(tags: Mapping[str, str]) -> str:
    for value in tags.values():
        if "'" in value or "\\" in value:
            raise Refusal(f"{value!r} cannot name a run: MLflow's filters take no quotes")
    return " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())


def _run(run: Any) -> Run:
    ours = {k.removeprefix(TAG): v for k, v in run.data.tags.items() if k.startswith(TAG)}
    info = run.info
    return Run(info.run_id, info.artifact_uri, info.run_name, info.status, info.start_time, ours)
