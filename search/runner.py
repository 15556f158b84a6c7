"""run_study: a study file becomes a finished search. READ THIS FIRST."""

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune

from search.bases import find_encoder
from search.fence import ATTRIBUTE, Fence
from search.home import Home
from search.record import StudyRecord, read_study
from search.recording import Record
from search.sampler import OptunaStudy
from search.searcher import StudySearcher, Watch
from search.selection import ranked
from search.tracking import prepare
from spaces.refusal import Refusal
from spaces.study import StudySettings
from trainables import on_ray
from trainables.model import BaseEncoder
from trainables.phase_store import PhaseStore
from trainables.world import World

DRAIN_SECONDS = 60.0
PACKAGES = ("torch", "ray", "optuna", "mlflow", "transformers", "tokenizers", "babel")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of the search left: the record, and whether the search is finished."""

    record: StudyRecord
    is_finished: bool
    is_exhausted: bool


def run_study(settings: StudySettings, home: Home, watch: Watch) -> Outcome:
    """Start the study, or take it up where an earlier run left it, and search to the end.

    Raises:
        Refusal: before anything is trained, if the study cannot run here.
    """
    num_cores = os.cpu_count() or 1
    max_concurrent = max_concurrent_trials(settings, num_cores=num_cores)
    prepare(home.mlflow_uri(settings))
    encoder = find_encoder(settings, home)
    base = BaseEncoder.load(encoder, revision=settings.study.revision)
    store = PhaseStore(home.path, owner=settings.study.name)
    study = OptunaStudy.open(home.optuna_url(settings), settings)
    with driving(study, settings) as stop, recording(settings, home) as record:
        searcher = StudySearcher(
            study,
            settings,
            world=World.of(base),
            store=store,
            log=record,
            watch=watch,
            stop=stop,
            max_concurrent=max_concurrent,
        )
        launch = on_ray.Launch.of(settings, home=home.path, encoder=encoder)
        with local_ray(settings, num_cores=num_cores) as scratch:
            _tune(searcher, launch, max_concurrent=max_concurrent, scratch=scratch)
        return _finish(settings, home, study, searcher, record, store)


def _tune(
    searcher: StudySearcher, launch: on_ray.Launch, *, max_concurrent: int, scratch: Path
) -> None:
    """Ray Tune runs what the searcher hands out until it hands out nothing more."""
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
            storage_path=str(scratch / "tune"),
            stop=_Stopper(searcher),
            failure_config=tune.FailureConfig(max_failures=on_ray.MAX_FAILURES),
            verbose=0,
        ),
    )
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)  # metrics it misses were never meant for it
    tuner.fit()


class _Stopper(tune.Stopper):
    """Tune asks it of every result, and in every turn of its loop."""

    def __init__(self, searcher: StudySearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._searcher.should_prune(trial_id, result)

    def stop_all(self) -> bool:
        return self._searcher.is_stopped


def _finish(
    settings: StudySettings,
    home: Home,
    study: OptunaStudy,
    searcher: StudySearcher,
    record: Record,
    store: PhaseStore,
) -> Outcome:
    """Write the summary and the best trials' models once the budget is used up."""
    is_finished = not searcher.is_stopped
    record.drain(DRAIN_SECONDS)
    uri, experiment = home.mlflow_uri(settings), settings.tracking.experiment
    if is_finished:
        rows = read_study(tracking_uri=uri, experiment=experiment, study=settings.study.name).rows
        summary = {
            "importance": study.importance(),
            "is_exhausted": searcher.is_exhausted,
            "num_trials": study.num_counted,
        }
        record.study_finished(rows=rows, summary=summary)
        best = ranked(rows)[: settings.tracking.keep_best]
        keys = {key for row in best for key in row.phase_keys}
        record.log_models(best, {key: store.location(key) for key in sorted(keys)})
        record.drain(DRAIN_SECONDS)
    finished = read_study(tracking_uri=uri, experiment=experiment, study=settings.study.name)
    return Outcome(finished, is_finished, searcher.is_exhausted)


def max_concurrent_trials(settings: StudySettings, *, num_cores: int) -> int:
    """How many trials fit beside each other on this machine. Raises Refusal if not even one."""
    resources = settings.resources
    cores = resources.num_workers * resources.cpus_per_worker
    fitting = num_cores // cores
    if fitting == 0:
        raise Refusal(
            f"a trial of study {settings.study.name!r} takes {resources.num_workers} workers x "
            f"{resources.cpus_per_worker} CPUs = {cores}, and this machine has {num_cores}; lower "
            "num_workers or cpus_per_worker in [resources]"
        )
    return min(fitting, resources.max_concurrent_trials or fitting)


@contextmanager
def local_ray(settings: StudySettings, *, num_cores: int) -> Iterator[Path]:
    """A Ray of this run's own, its scratch folder removed at the end."""
    # A short path: Ray's sockets lie under it, and a socket's path is limited to 107 characters.
    scratch = Path(tempfile.mkdtemp(prefix="ts-"))
    several = settings.resources.num_workers > 1
    environment = {
        "OMP_NUM_THREADS": str(settings.resources.cpus_per_worker),
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    }
    os.environ.update(
        {
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "TUNE_DISABLE_SIGINT_HANDLER": "1",
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
            "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
    )
    try:
        ray.init(
            address="local",
            num_cpus=num_cores,
            # Train cleans up after a stopped trial through the dashboard's state API.
            include_dashboard=several,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
            _temp_dir=str(scratch / "ray"),
        )
        yield scratch
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def driving(study: OptunaStudy, settings: StudySettings) -> Iterator[threading.Event]:
    """Be the study's one driver. The event is set by Ctrl-C, by SIGTERM, and when another driver
    took the study over; what is in flight then stays RUNNING in the database, to be taken up."""
    stop = threading.Event()
    fence = Fence(
        settings.study.name,
        read=lambda: study.read_mark(ATTRIBUTE),
        write=lambda mark: study.write_mark(ATTRIBUTE, mark),
        on_lost=stop.set,
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
            raise Refusal(f"another driver took study {settings.study.name!r} over")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def recording(settings: StudySettings, home: Home) -> Iterator[Record]:
    """The study's MLflow record, opened, told of this start, and emptied at the end."""
    record = Record.open(
        tracking_uri=home.mlflow_uri(settings),
        experiment=settings.tracking.experiment,
        study=settings.study.name,
        outbox=home.outbox(settings.study.name),
    )
    try:
        record.study_started(
            settings=settings.model_dump(mode="json"),
            digest=settings.digest(),
            versions={package: metadata.version(package) for package in PACKAGES},
        )
        yield record
    finally:
        record.close(timeout=DRAIN_SECONDS)
