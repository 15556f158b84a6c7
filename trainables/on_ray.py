"""Puts a trial plan onto Ray's workers. This is the only module that knows Ray Train.

There are two launchers of the same `run_trial`: inside the warm Tune actor where a trial has one
worker, and a TorchTrainer around the whole trial where it has several.
"""

import ipaddress
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as distributed
from ray import tune
from ray.exceptions import RayError
from ray.train import TrainingFailedError
from ray.tune.integration.ray_train import TuneReportCallback
from torch.distributed import FileStore  # type: ignore[attr-defined]

from spaces.phases import TrialPlan
from spaces.refusal import AwayError, Refusal, first_line
from spaces.study_file.sections import TrackingSection
from spaces.study_file.study import StudySettings
from trainables.quiet import quiet_libraries
from trainables.scoring.scores import Scores
from trainables.training.context import TrialContext
from trainables.training.drain import DrainedError, DrainMark
from trainables.training.trial import DEV, run_trial
from trainables.training.workers import Workers

MAX_FAILURES = 2  # of infrastructure, per trial; divergence does not count


@dataclass(frozen=True, slots=True)
class Launch:
    """What the driver gives to every worker of a study, once.

    Ray writes it to disk, so the addresses of the record, which may contain a password, are left
    out.

    Attributes:
        settings: the settings of the study, as JSON, without `[tracking]`.
        home: the home folder, an absolute path.
        encoder: the folder (or hub name) that the study's encoder stands for.
        phase_store: the address of the object store as the driver resolved it, from the study file
            or from its own environment; None: the home folder alone. Workers use this answer,
            because the environment of another machine may name another store.
        started_in: the driver's working directory, to which relative paths refer.
        driver: a name that tells this driver from every other one.
    """

    settings: str
    home: str
    encoder: str
    phase_store: str | None
    started_in: str
    driver: str

    @classmethod
    def of(
        cls,
        settings: StudySettings,
        *,
        home: Path,
        encoder: str,
        phase_store: str | None = None,
        driver: str = "",
    ) -> "Launch":
        without_tracking = settings.model_copy(update={"tracking": TrackingSection()})
        return cls(
            settings=without_tracking.model_dump_json(),
            home=str(home.resolve()),
            encoder=encoder,
            phase_store=phase_store,
            started_in=str(Path.cwd()),
            driver=driver,
        )

    @property
    def train_folder(self) -> Path:
        """The scratch folder of Ray Train. Nothing in it is read again, and it is removed at the
        end of the run."""
        return Path(self.home) / "ray-train" / self.read_settings().study.name

    @property
    def drain(self) -> DrainMark:
        """The mark that tells workers whether this driver is stopping."""
        return DrainMark(self.train_folder / f"drain-{self.driver}")

    def read_settings(self) -> StudySettings:
        """The settings of the study, parsed."""
        return StudySettings.parse(json.loads(self.settings), is_recorded=True)


def trial_context(launch: Launch) -> TrialContext:
    """The context of this process. Its first trial opens it; later trials use it again."""
    # For every trial, because Tune gives each trial another working folder, also in a warm actor.
    if Path(launch.started_in).is_dir():  # on another machine it may not exist
        os.chdir(launch.started_in)
    return _opened(launch)


@lru_cache(maxsize=1)
def _opened(launch: Launch) -> TrialContext:
    quiet_libraries()
    settings = launch.read_settings()
    torch.set_num_threads(settings.resources.cpus_per_worker)
    resources = settings.resources
    if resources.num_workers > 1:
        workers = Workers.of_process_group(ray.train.torch.get_device())
    else:
        # A worker sees GPUs of other workers: without a GPU of its own it would use theirs.
        workers = Workers.alone(None if resources.gpus_per_worker else torch.device("cpu"))
    return TrialContext.open(
        settings,
        home=Path(launch.home),
        encoder=launch.encoder,
        workers=workers,
        phase_store=launch.phase_store,
        is_stopping=launch.drain.is_set,
    )


def _open(launch: Launch) -> tuple[TrialContext, dict[str, Any]]:
    """The context of this process, and the event with the seconds that opening it took; 0 where it
    was open."""
    is_warm, started = _opened.cache_info().currsize > 0, time.monotonic()
    context = trial_context(launch)
    seconds = 0.0 if is_warm else time.monotonic() - started
    return context, {"event": "start", "seconds": seconds}


def trainable(launch: Launch) -> Callable[[dict[str, Any]], None]:
    """The function that Ray Tune runs, with the resources of one trial of the study."""
    resources = launch.read_settings().resources
    if resources.num_workers == 1:
        share = {"CPU": float(resources.cpus_per_worker), "GPU": float(resources.gpus_per_worker)}
        bundle = {name: amount for name, amount in share.items() if amount}
    else:
        # The trial itself only waits for its workers: it takes no CPU, and runs on the head node.
        bundle = {"node:__internal_head__": 0.001}
    factory = tune.PlacementGroupFactory([bundle])
    wrapped: Callable[[dict[str, Any]], None] = tune.with_resources(
        partial(trial, launch=launch), factory
    )
    return wrapped


def trial(params: Mapping[str, Any], *, launch: Launch) -> None:
    """One Tune trial. A failure is reported first; it is raised only where another attempt may
    succeed."""
    try:
        _trial(params, launch)
    except DrainedError as error:
        tune.report(pack({"event": "drained", "reason": str(error)}))
    except Exception as error:
        tune.report(pack({"event": "error", "reason": reason_of(error)}))
        if not isinstance(error, Refusal) or isinstance(error, AwayError):
            raise


def _trial(params: Mapping[str, Any], launch: Launch) -> None:
    """Decode the parameters, once, and run the plan where the study says."""
    settings = launch.read_settings()
    plan = settings.search_space().decode(params)
    if settings.resources.num_workers == 1:
        context, start = _open(launch)
        tune.report(pack(start))
        run_trial(plan, context, lambda event: tune.report(pack(event)))
    else:
        _fit(TrialJob(plan, DEV), launch, callbacks=[TuneReportCallback()])


def reason_of(error: BaseException) -> str:
    """The error inside Ray's wrappers, in one line."""
    failures = getattr(error, "worker_failures", None)  # Ray Train's, by rank
    if failures:
        return reason_of(next(iter(failures.values())))
    while isinstance(cause := getattr(error, "cause", None), BaseException):
        error = cause
    line = first_line(error, empty="")
    return line if isinstance(error, Refusal) else f"{type(error).__name__}: {line}"


def pack(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as a Tune result. It is packed as text, because Tune flattens nested dicts."""
    return {"event": event["event"], "payload": json.dumps(event)}


def unpack(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event in a Tune result; None where it has none."""
    event: dict[str, Any] | None = json.loads(result["payload"]) if "payload" in result else None
    return event


@dataclass(frozen=True, slots=True)
class TrialJob:
    """A plan to train, the split that it is scored on, and the other splits (`also`) that it is
    scored on."""

    plan: TrialPlan
    split: str
    also: tuple[str, ...] = ()

    def run(self, context: TrialContext, report: Callable[[Mapping[str, Any]], None]) -> None:
        """Run the plan in this context, and report its events."""
        run_trial(self.plan, context, report, split=self.split, also=self.also)


def train_plans(
    jobs: Sequence[TrialJob],
    launch: Launch,
    *,
    max_concurrent: int,
    on_done: Callable[[int, list[dict[str, Any]]], None],
) -> None:
    """Run plans without Tune, as `retrain` does, with the same phase store.

    `on_done` gets the index of a plan and its events, in the order in which plans finish. Raises
    Refusal where a plan cannot be trained.
    """
    several = launch.read_settings().resources.num_workers > 1
    try:
        if several:
            for index, job in enumerate(jobs):
                on_done(index, _fit(job, launch, callbacks=[]))
        else:
            for index, events in _run_on_actors(jobs, launch, max_concurrent):
                on_done(index, events)
    except (RayError, TrainingFailedError) as error:
        raise Refusal(f"training failed: {reason_of(error)}") from error


def _run_on_actors(
    jobs: Sequence[TrialJob], launch: Launch, max_concurrent: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """(index, events) of every plan, in the order in which plans finish."""
    resources = launch.read_settings().resources
    num_actors = min(max_concurrent, len(jobs))
    actor = ray.remote(
        num_cpus=resources.cpus_per_worker,
        num_gpus=resources.gpus_per_worker,
        max_restarts=MAX_FAILURES,
        max_task_retries=MAX_FAILURES,
    )(_WarmWorker)
    pool = ray.util.ActorPool([actor.remote(launch) for _ in range(num_actors)])
    yield from pool.map_unordered(
        lambda worker, task: worker.run.remote(*task), list(enumerate(jobs))
    )


class _WarmWorker:
    """An actor outside Tune that keeps its context between plans."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    def run(self, index: int, job: TrialJob) -> tuple[int, list[dict[str, Any]]]:
        events: list[dict[str, Any]] = []
        job.run(trial_context(self._launch), lambda event: events.append(dict(event)))
        return index, events


def _fit(job: TrialJob, launch: Launch, *, callbacks: list[Any]) -> list[dict[str, Any]]:
    """One Ray Train run for the whole trial. Returns the first worker's events."""
    resources = launch.read_settings().resources
    train: Any = ray.train  # has V2 classes that the type stubs lack
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    per_worker = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    trainer = train.torch.TorchTrainer(
        _train_worker,
        train_loop_config={"job": job, "launch": launch},
        scaling_config=train.ScalingConfig(
            num_workers=resources.num_workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker={key: value for key, value in per_worker.items() if value},
        ),
        torch_config=_torch_config(launch, "nccl" if resources.gpus_per_worker else "gloo"),
        run_config=train.RunConfig(
            # A new name each time: Ray Train takes a run of a known name for finished.
            name=uuid.uuid4().hex,
            storage_path=str(launch.train_folder),
            callbacks=callbacks,
            failure_config=train.FailureConfig(
                max_failures=MAX_FAILURES, controller_failure_limit=3
            ),
        ),
    )
    result = trainer.fit()
    events: list[dict[str, Any]] = json.loads(result.return_value)
    return events


def _torch_config(launch: Launch, backend: str) -> Any:
    """How the workers of one trial meet. A node that others reach by a loopback address is the only
    machine."""
    if ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback:
        return _OneMachineConfig(backend=backend, folder=str(launch.train_folder))
    return ray.train.torch.TorchConfig(backend=backend)


_TorchBackend: Any = ray.train.torch.TorchConfig().backend_cls


class _OneMachine(_TorchBackend):  # type: ignore[misc]
    """The workers of one machine meet in a new file. Otherwise the first one listens for the others
    on every interface, without a password."""

    def on_start(self, worker_group: Any, backend_config: "_OneMachineConfig") -> None:
        options = {
            "path": f"{backend_config.folder}/meeting-{uuid.uuid4().hex}",
            "backend": backend_config.backend,
            "size": len(worker_group),
            "timeout": timedelta(seconds=backend_config.timeout_s),
        }
        ray.get(
            [
                worker_group.execute_single_async(rank, _meet, rank, **options)
                for rank in range(len(worker_group))
            ]
        )


@dataclass
class _OneMachineConfig(ray.train.torch.TorchConfig):
    """As for `TorchConfig`; workers meet below `folder`."""

    folder: str = ""

    @property
    def backend_cls(self) -> Any:
        return _OneMachine


def _meet(rank: int, *, path: str, backend: str, size: int, timeout: timedelta) -> None:
    """Join torch's process group."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    store = FileStore(path, size)
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timeout
    )


def _train_worker(config: dict[str, Any]) -> str:
    """One of several workers. All of them report the same events at the same points."""
    events: list[dict[str, Any]] = []

    def report(event: Mapping[str, Any]) -> None:
        if event["event"] != "progress":  # reported by the clock, so not at the same points
            events.append(dict(event))
            ray.train.report(pack(event))

    context, start = _open(config["launch"])
    report(start)
    try:
        config["job"].run(context, report)
    except DrainedError as error:
        report({"event": "drained", "reason": str(error)})  # not raised: Ray Train would try again
    return json.dumps(events)


def scores_of(events: Sequence[Mapping[str, Any]], *, also: str | None = None) -> Scores | None:
    """The scores at the end of a trial's events, on its split or, with `also`, on another split
    that it was scored on; None where it diverged."""
    end = events[-1]
    scores = end.get("scores") if also is None else end.get("also", {}).get(also)
    return Scores.from_dict(scores) if scores else None
