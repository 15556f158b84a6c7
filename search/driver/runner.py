"""run_study: a study file becomes a finished search. READ THIS FIRST."""

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune

from search.addresses import hide_password, refusing
from search.base_encoder import find_encoder
from search.cluster.ray_runtime import Cluster, Gauges, max_concurrent_trials, ray_of
from search.driver.observer import NUMBERS, Observer, logging_to
from search.driver.searcher import StudySearcher, Watch
from search.fence import Fence
from search.home import Home
from search.planning.plan import contract_warnings
from search.planning.prior_estimates import explain
from search.planning.row_warnings import row_warnings, token_warnings
from search.preflight import check_places
from search.provenance import versions, world_facts
from search.record.address import RecordAddress
from search.record.entries import trial_labels
from search.record.mlflow_client import prepare
from search.record.reader import StudyRecord, read_outcomes, read_study
from search.record.writer import DRAIN_SECONDS, INTERRUPTED_DRAIN_SECONDS, RecordWriter, recording
from search.report.description import describe
from search.sampling.pareto import pareto_set
from search.sampling.study import OptunaStudy
from search.trials.language_verdicts import of_selection
from search.trials.ranking import TrialRow, ranked
from spaces.json_values import to_json
from spaces.refusal import Refusal
from spaces.study import StudySettings
from spaces.task_catalog import get_task
from trainables import on_ray
from trainables.encoders.model import BaseEncoder
from trainables.features.features import Data
from trainables.features.prepare import prepare as prepare_data
from trainables.formats.kinds import format_of_task
from trainables.quiet import quiet_libraries
from trainables.rows.rows import Rows
from trainables.scoring.outcomes import ByLanguage
from trainables.store.phase_store import PhaseStore
from trainables.store.stores import open_store, phase_store_address
from trainables.training.context import DATA, check_encoder
from trainables.training.drain import DrainMark
from trainables.training.key_facts import TRAINING_VERSION, KeyFacts
from trainables.training.workers import num_cores

TRAINED_BY = "trained_by"  # mark on a study: the versions of training and of scoring its trials
_ANOTHER_VERSION = (
    "(CHANGELOG.md says what changed): their scores are not comparable; finish it with the version "
    "that began it, or take another [study] name"
)
TRIALS_DRAIN_SECONDS = 15.0  # for the trials in flight to save; Kubernetes ends a pod after 30


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a run of the search left: the record, None where the search is not finished."""

    record: StudyRecord | None
    is_finished: bool
    ended_by: str | None = None  # the limit of hours that left no room for another trial


def run_study(
    settings: StudySettings,
    home: Home,
    watch: Watch,
    *,
    cluster: Cluster | None = None,
    on_prepared: Callable[[int, int], None] = lambda done, of: None,
    on_checked: Callable[[int, int], None] = lambda done, of: None,
    on_ranked: Callable[[int, int], None] = lambda done, of: None,
) -> SearchResult:
    """Start the study, or take it up where an earlier run left it, and search to the end.

    Args:
        cluster: where the trials run; None: a Ray of the run's own on this machine.
        on_prepared: gets how many of how many data sets' splits are tokenised.
        on_checked: gets how many of how many sources and targets have their rows compared.
        on_ranked: gets how many of how many tasks the priors have looked at.

    Raises:
        Refusal: before anything is trained, if the study cannot run here.
    """
    quiet_libraries()
    max_concurrent = max_concurrent_trials(settings, home, cluster)
    address = RecordAddress.of(settings, home)
    phase_store = phase_store_address(settings.resources.phase_store)
    check_places(home, tracking_uri=address.tracking_uri, phase_store=phase_store)
    encoder = find_encoder(settings, home)
    base, rows, warnings = _prepare(settings, home, encoder, on_prepared, on_checked)
    store = open_store(home.path, owner=settings.study.name, address=phase_store)
    study = OptunaStudy.open(home.optuna_url(settings), settings)
    check_version(study, settings)
    with refusing():
        prepare(address.tracking_uri)
    observer = Observer(watch, settings, gpu_hours=study.gpu_hours)
    with (
        logging_to(home.path, settings.study.name),
        driving(study, settings) as stop,
        recording(address, home) as record,
    ):
        _tell_start(study, record, settings, base, rows, warnings)
        if settings.study.priors and study.priors is None:
            _rank(settings, study, Data(home.path / DATA, base, rows), on_ranked, stop)
        searcher = StudySearcher(
            study,
            settings,
            key_facts=KeyFacts.of(base, rows, precision=settings.resources.computes_in),
            store=store,
            log=record,
            watch=observer,
            stop=stop,
            max_concurrent=max_concurrent,
        )
        launch = on_ray.Launch.of(
            settings,
            home=home.path,
            encoder=encoder,
            phase_store=phase_store,
            driver=uuid.uuid4().hex,
        )
        _search(searcher, launch, observer, cluster, max_concurrent=max_concurrent)
        if searcher.is_stopped:
            record.close(INTERRUPTED_DRAIN_SECONDS)
            return SearchResult(None, is_finished=False)
        return _finish(settings, address, study, searcher, record, store)


def check_version(study: OptunaStudy, settings: StudySettings) -> None:
    """Refuse to go on with a study whose trials were trained or scored by another version: their
    scores would not be comparable with those of the trials to come. One that has all its trials may
    be shown."""
    if not 0 < study.num_counted < settings.budget.num_trials:
        return
    mark = study.read_mark(TRAINED_BY) or {"training_version": 1}
    was = mark["training_version"]
    if was != TRAINING_VERSION:
        raise Refusal(
            f"study {settings.study.name!r} was begun with training version {was}, and this "
            f"program trains by version {TRAINING_VERSION} {_ANOTHER_VERSION}"
        )
    scored_by = mark.get("scoring_versions", {})
    for task, version in scoring_versions(settings).items():
        if scored_by.get(task, 1) != version:
            raise Refusal(
                f"study {settings.study.name!r} was begun with scoring version "
                f"{scored_by.get(task, 1)} of target {task!r}, and this program scores it by "
                f"version {version} {_ANOTHER_VERSION}"
            )


def scoring_versions(settings: StudySettings) -> dict[str, int]:
    """The version of each target's main metric."""
    targets = {name: get_task(name) for name in settings.space.targets}
    return {name: format_of_task(task).scoring_version(task) for name, task in targets.items()}


def _prepare(
    settings: StudySettings,
    home: Home,
    encoder: str,
    on_prepared: Callable[[int, int], None],
    on_checked: Callable[[int, int], None],
) -> tuple[BaseEncoder, Rows, list[str]]:
    """The encoder and the rows, tokenised; what a reader of the scores should know of them."""
    base = BaseEncoder.load(encoder, revision=settings.study.revision)
    check_encoder(settings, base)
    rows = Rows.of(settings)
    data = Data(home.path / DATA, base, rows)
    prepare_data(settings, data, num_processes=num_cores(), on_done=on_prepared)
    warned = row_warnings(settings, rows, on_done=on_checked)
    return base, rows, [*warned, *token_warnings(settings, data)]


def _tell_start(
    study: OptunaStudy,
    record: RecordWriter,
    settings: StudySettings,
    base: BaseEncoder,
    rows: Rows,
    warnings: Sequence[str],
) -> None:
    """The study's run, as it begins or goes on: what is asked, and what it will be made of."""
    if not study.num_counted:
        scored_by = scoring_versions(settings)
        mark = {"training_version": TRAINING_VERSION, "scoring_versions": scored_by}
        study.write_mark(TRAINED_BY, mark)
    record.study_started(
        settings=_recorded(settings),
        digest=settings.digest(),
        versions=versions(),
        warnings=[*contract_warnings(settings), *warnings],
        world=world_facts(settings, base, rows),
    )


def _rank(
    settings: StudySettings,
    study: OptunaStudy,
    data: Data,
    on_ranked: Callable[[int, int], None],
    stop: threading.Event,
) -> None:
    """Find out what looks promising and keep it, before anything is asked; nothing of it is kept
    where the run is interrupted."""
    found = explain(settings, data, on_done=on_ranked, is_stopping=stop.is_set)
    if found is not None:
        study.keep_priors(to_json(found))


def _search(
    searcher: StudySearcher,
    launch: on_ray.Launch,
    observer: Observer,
    cluster: Cluster | None,
    *,
    max_concurrent: int,
) -> None:
    """Run the trials that are left on Ray, which is not started where there are none."""
    if searcher.is_done:
        return
    with ray_of(launch, cluster) as folder:
        observer.publish_to(Gauges(NUMBERS))
        _tune(searcher, launch, max_concurrent=max_concurrent, folder=folder)


def _tune(
    searcher: StudySearcher, launch: on_ray.Launch, *, max_concurrent: int, folder: Path
) -> None:
    """Ray Tune runs what the searcher hands out until it hands out nothing more."""
    launch.drain.make()
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")  # the watch tells of them, in a line
    tuner = tune.Tuner(
        on_ray.trainable(launch),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            max_concurrent_trials=max_concurrent,
            # A warm actor is what makes inline trials cheap; Train's workers are new for each fit.
            reuse_actors=launch.read_settings().resources.num_workers == 1,
        ),
        run_config=tune.RunConfig(
            name="study",
            storage_path=str(folder),
            stop=_Stopper(searcher, launch.drain),
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher starts them again
            verbose=0,
        ),
    )
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)  # metrics it misses were never meant for it
    tuner.fit()


class _Stopper(tune.Stopper):
    """Tune asks it of every result, and in every turn of its loop.

    Where the search is to end, the trials in flight get a while to save where they are.
    """

    def __init__(self, searcher: StudySearcher, drain: DrainMark) -> None:
        self._searcher = searcher
        self._drain = drain
        self._deadline: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._searcher.should_prune(trial_id, result)

    def stop_all(self) -> bool:
        if not self._searcher.is_stopped:
            return False
        if self._deadline is None:
            self._drain.set()
            self._deadline = time.monotonic() + TRIALS_DRAIN_SECONDS
        return self._searcher.is_drained or time.monotonic() > self._deadline


def _finish(
    settings: StudySettings,
    address: RecordAddress,
    study: OptunaStudy,
    searcher: StudySearcher,
    record: RecordWriter,
    store: PhaseStore,
) -> SearchResult:
    """Write the summary and the best trials' models once the budget is used up."""

    def read() -> StudyRecord:
        if not record.drain(DRAIN_SECONDS):
            raise Refusal(
                f"study {settings.study.name!r} is searched to its end, but {record.pending} "
                f"records wait for MLflow at {hide_password(address.tracking_uri)}: run it again "
                "when MLflow answers"
            )
        return read_study(address)

    def outcomes_of(row: TrialRow) -> Mapping[str, ByLanguage]:
        return read_outcomes(address, trial_labels(row.number))

    searched = read()
    rows, names = searched.rows, settings.evaluation.objectives
    importances = {name.value: study.importance(index) for index, name in enumerate(names)}
    summary = {
        "verdicts": of_selection(rows, outcomes_of),
        "importance": importances[names[0].value] if names else study.importance(),
        "importances": importances,
        "pareto": pareto_set(rows, settings) if len(names) > 1 else [],
        "priors": study.priors,
        "exhausted": study.exhausted,
        "num_trials": study.num_counted,
    }
    record.study_finished(rows=rows, phases=searched.phases, summary=summary)
    best = ranked(rows)[: settings.tracking.keep_best]
    keys = {key for row in best for key in row.phase_keys}
    record.log_models(best, {key: store.location(key) for key in sorted(keys)})
    finished = read()
    describe(record, finished)
    return SearchResult(finished, is_finished=True, ended_by=searcher.ended_by)


def _recorded(settings: StudySettings) -> dict[str, Any]:
    """The settings as MLflow keeps them: passwords of addresses left out."""
    content = settings.model_dump(mode="json")
    for name in ("mlflow", "optuna"):
        if content["tracking"][name]:
            content["tracking"][name] = hide_password(content["tracking"][name])
    return content


@contextmanager
def driving(study: OptunaStudy, settings: StudySettings) -> Iterator[threading.Event]:
    """Be the study's one driver. The event is set by Ctrl-C, by SIGTERM, and when another driver
    took the study over; what is in flight then stays RUNNING in the database, to be taken up."""
    stop = threading.Event()
    fence = Fence(
        settings.study.name,
        read=study.read_mark,
        write=study.write_mark,
        on_lost=stop.set,
        wait=stop.wait,
    )
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def interrupted(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends it hard

    try:
        for number in handlers:
            signal.signal(number, interrupted)
        with fence:
            yield stop
        if fence.lost:
            raise Refusal(
                f"study {settings.study.name!r} is no longer this driver's: {fence.lost}; the "
                "same command goes on from here when no other driver runs it"
            )
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
