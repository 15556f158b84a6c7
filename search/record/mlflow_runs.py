"""Runs: finds the runs of an MLflow experiment by their labels and creates missing ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search.addresses import file_url, folder_name, sqlite_path
from search.mlflow_view.labels import STUDY, TAG, filter_of, tagged
from search.record.address import ExperimentAddress
from search.record.entries import Labels
from spaces.refusal import Refusal

_KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows runs, not chats


@dataclass(frozen=True, slots=True)
class Run:
    """The part of an MLflow run that readers need; `artifacts` is the URI of its artifacts, `tags`
    are our own tags without their prefix."""

    run_id: str
    artifacts: str
    name: str
    status: str
    started: int
    tags: Mapping[str, str]


@dataclass(slots=True)
class KnownRun:
    """The known content of a run. It stays true because no other process writes the run while this
    one holds the outbox."""

    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    status: str

    @classmethod
    def of(cls, run: Any) -> "KnownRun":
        data = run.data
        return cls(dict(data.params), dict(data.metrics), dict(data.tags), run.info.status)


class Runs:
    """The runs of one experiment, which is created together with its first run.

    A search takes longer the more runs there are. Therefore ids are cached, and the runs of a study
    that had none at first are not searched for.

    Attributes:
        known: id of each run that was created or found -> its known content.
    """

    def __init__(self, client: Any, experiment: ExperimentAddress) -> None:
        self._client = client
        self._experiment = experiment.name
        path = sqlite_path(experiment.tracking_uri)
        # Without a server, MLflow would put artifacts into a folder of the current directory.
        self._artifacts = file_url(path.parent / "artifacts") if path else None
        self._run_ids: dict[frozenset[tuple[str, str]], str] = {}
        self._experiment_id: str | None = None
        self._is_new: dict[str, bool] = {}  # study -> whether it had no run at first
        self.known: dict[str, KnownRun] = {}

    def find(self, study: str | None = None, **labels: str) -> list[Run]:
        """Return the runs of a study (or of all studies) that have these labels, oldest first."""
        wanted = labels if study is None else {"study": study, **labels}
        return [_run(run) for run in self.search(wanted)]

    def search(self, labels: Labels, *, page_size: int = 1000) -> Iterator[Any]:
        """Yield MLflow's runs that have these labels, oldest first."""
        experiment_id, token = self._find_experiment(), None
        while experiment_id is not None:
            page = self._client.search_runs(
                [experiment_id],
                filter_string=filter_of(labels),
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
            experiment = self._client.get_experiment_by_name(self._experiment)
            if experiment is not None and experiment.lifecycle_stage != "active":
                raise Refusal(
                    f"experiment {self._experiment!r} was deleted in MLflow; restore it (mlflow "
                    f"experiments restore -x {experiment.experiment_id}) or name another one"
                )
            self._experiment_id = None if experiment is None else experiment.experiment_id
        return self._experiment_id

    def ensure_experiment(self) -> str:
        """Return the id of the experiment; create it if it is missing."""
        existing = self._find_experiment()
        if existing is not None:
            return existing
        folder = folder_name(self._experiment)
        location = f"{self._artifacts}/{folder}" if self._artifacts else None
        made = self._client.create_experiment(
            self._experiment, artifact_location=location, tags=_KIND
        )
        self._experiment_id = str(made)
        return self._experiment_id

    def ensure(self, study: str, labels: Labels, *, name: str, **made: Any) -> str:
        """Return the id of the run with these labels; create the run if it is missing."""
        wanted = {"study": study, **labels}
        key = frozenset(wanted.items())
        if key not in self._run_ids:
            run = self._standing(study, wanted)
            if run is None:
                # If the answer is lost, the run may exist all the same. The next call must then
                # search for it.
                is_new, self._is_new[study] = self._is_new[study], False
                run = self._make_run(wanted, study, name=name, **made)
                self._is_new[study] = is_new
            self._run_ids[key] = run.info.run_id
            self.known[run.info.run_id] = KnownRun.of(run)
        return self._run_ids[key]

    def _standing(self, study: str, wanted: Labels) -> Any:
        if study not in self._is_new:
            runs = self.search({"study": study}, page_size=1)
            self._is_new[study] = next(runs, None) is None
        return None if self._is_new[study] else next(self.search(wanted, page_size=1), None)

    def _make_run(
        self,
        wanted: Labels,
        study: str,
        *,
        name: str,
        time: int,
        parent: Labels | None = None,
        lasted: float = 0.0,
    ) -> Any:
        tags = tagged(wanted)
        if parent is not None:
            above = None if parent["role"] == STUDY else {"role": STUDY}
            title = " ".join(parent.values())
            tags["mlflow.parentRunId"] = self.ensure(
                study, parent, name=title, time=time, parent=above
            )
        return self._client.create_run(
            self.ensure_experiment(),
            start_time=time - round(lasted * 1000),
            tags=tags,
            run_name=name,
        )


def _run(run: Any) -> Run:
    ours = {k.removeprefix(TAG): v for k, v in run.data.tags.items() if k.startswith(TAG)}
    info = run.info
    return Run(info.run_id, info.artifact_uri, info.run_name, info.status, info.start_time, ours)
