"""run_study: a study file becomes a finished search. READ THIS FIRST."""

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune

from search.callbacks import OnDone, StartCallbacks
from search.cluster.ray_runtime import Cluster, Gauges, ray_of
from search.driver.finish import finish_study
from search.driver.observer import NUMBERS, Observer, Unwatched, logging_to
from search.driver.searcher import StudySearcher, Watch
from search.driver.start import TRAINED_BY, StartedStudy, scoring_versions, start_study
from search.fence import Fence
from search.home import Home
from search.mlflow_view.state import TrialsView
from search.planning.plan import contract_warnings
from search.planning.prior_estimates import explain
from search.provenance import versions, world_facts
from search.record.reader import StudyRecord
from search.record.writer import INTERRUPTED_DRAIN_SECONDS, RecordWriter, recording
from search.sampling.study import OptunaStudy
from spaces.json_values import to_json
from spaces.redaction import hide_address
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables import on_ray
from trainables.full_disk import disk_full_sentence
from trainables.quiet import quiet_libraries
from trainables.training.drain import DrainMark
from trainables.training.key_facts import TRAINING_VERSION, KeyFacts

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
    watch: Watch | None = None,
    *,
    cluster: Cluster | None = None,
    callbacks: StartCallbacks | None = None,
) -> SearchResult:
    """Start the study, or continue it where an earlier run ended, and search until its budget is
    used up. Every check of a run is made in here.

    Args:
        watch: what shows the trials while they run; None: nothing does.
        cluster: where the trials run; None: a Ray of the run's own on this machine.
        callbacks: what shows how far the start is.

    Raises:
        Refusal: before anything is trained, if the study cannot run here; at the end, if MLflow
            does not answer.
    """
    quiet_libraries()
    callbacks = callbacks or StartCallbacks()
    started = start_study(settings, home, cluster, callbacks)
    observer = Observer(watch or Unwatched(), settings, gpu_hours=started.optuna.history.gpu_hours)
    with (
        logging_to(home.path, settings.study.name),
        driving(started.optuna, settings) as stop,
        recording(started.address, home) as record,
    ):
        _record_start(started, record)
        _rank(started, callbacks.on_ranked, stop)
        searcher = _search(started, record, observer, stop)
        if searcher.disk_full:
            raise Refusal(disk_full_sentence(searcher.disk_full))
        if searcher.is_stopped:
            record.close(INTERRUPTED_DRAIN_SECONDS)
            return SearchResult(None, is_finished=False)
        finished = finish_study(started, record)
        return SearchResult(finished, is_finished=True, ended_by=searcher.ended_by)


def _record_start(started: StartedStudy, record: RecordWriter) -> None:
    """Record that the study begins or continues, with its settings and what it is made of."""
    settings, optuna = started.settings, started.optuna
    if not optuna.history.num_counted:
        made_of = {
            "training_version": TRAINING_VERSION,
            "scoring_versions": scoring_versions(settings),
            "encoder": started.base.digests,
        }
        optuna.write_mark(TRAINED_BY, made_of)
    record.study_started(
        settings=_recorded(settings),
        digest=settings.digest(),
        versions=versions(),
        warnings=[*contract_warnings(settings), *started.warnings],
        world=to_json(world_facts(settings, started.base, started.rows)),
    )
    record.view_saved(TrialsView.of(settings))


def _rank(started: StartedStudy, on_ranked: OnDone, stop: threading.Event) -> None:
    """Estimate the priors and keep them, if the study wants them and has none yet. Nothing is kept
    where the run is interrupted."""
    settings, optuna = started.settings, started.optuna
    if not settings.study.priors or optuna.priors is not None:
        return
    priors = explain(settings, started.data, on_done=on_ranked, is_stopping=stop.is_set)
    if priors is not None:
        optuna.keep_priors(to_json(priors))


def _search(
    started: StartedStudy, record: RecordWriter, observer: Observer, stop: threading.Event
) -> StudySearcher:
    """Run the trials that are left on Ray, which is not started where there are none."""
    settings = started.settings
    searcher = StudySearcher(
        started.optuna,
        settings,
        key_facts=KeyFacts.of(started.base, started.rows, precision=settings.resources.computes_in),
        store=started.store,
        log=record,
        watch=observer,
        stop=stop,
        max_concurrent=started.max_concurrent,
        is_local=started.cluster is None,
    )
    if searcher.is_done:
        return searcher
    launch = on_ray.Launch.of(
        settings,
        home=started.home.path,
        encoder=started.encoder,
        phase_store=started.phase_store,
        driver=uuid.uuid4().hex,
    )
    with ray_of(launch, started.cluster) as folder:
        observer.publish_to(Gauges(NUMBERS))
        _tune(searcher, launch, max_concurrent=started.max_concurrent, folder=folder)
    return searcher


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
    # It lists the ids of trials that did not complete; the searcher knows why.
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
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


def _recorded(settings: StudySettings) -> dict[str, Any]:
    """The settings as MLflow keeps them: passwords of addresses left out."""
    content = settings.model_dump(mode="json")
    tracking = content["tracking"]
    content["tracking"] = {
        name: hide_address(value) if isinstance(value, str) and "://" in value else value
        for name, value in tracking.items()
    }
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
