"""The only file that knows Ray Train: how a trial plan gets onto workers.

Two launchers of the same `run_trial`: inline in the warm Tune actor where a trial has one worker,
a TorchTrainer around the whole trial where it has several.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray import tune
from ray.exceptions import RayError
from ray.train import TrainingFailedError
from ray.tune.integration.ray_train import TuneReportCallback

from spaces.phases import TrialPlan
from spaces.refusal import AwayError, Refusal, first_line
from spaces.sections import TrackingSection
from spaces.study import StudySettings
from trainables.quiet import quiet_libraries
from trainables.scoring.scores import Scores
from trainables.training.context import TrialContext
from trainables.training.drain import DrainedError, DrainMark
from trainables.training.trial import DEV, run_trial
from trainables.training.workers import Workers

MAX_FAILURES = 2  # of infrastructure, a trial; divergence is no failure here


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
        """Ray Train's scratch: nothing in it is read again, and the run's end removes it."""
        return Path(self.home) / "ray-train" / self.read_settings().study.name

    @property
    def drain(self) -> DrainMark:
        """Where the workers look whether this driver is going away."""
        return DrainMark(self.train_folder / f"drain-{self.driver}")

    def read_settings(self) -> StudySettings:
        return StudySettings.parse(json.loads(self.settings))


def trial_context(launch: Launch) -> TrialContext:
    """The context of this process, opened by its first trial and kept for the next ones."""
    # For every trial: Tune puts each into a folder of its own, also those of a warm actor.
    if Path(launch.started_in).is_dir():  # on another machine it may not be there
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
        # A worker sees GPUs that it was not given: one without its own would share another's.
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
    """This process's context, and the event that says how long its opening took: nothing where
    it is warm."""
    is_warm, started = _opened.cache_info().currsize > 0, time.monotonic()
    context = trial_context(launch)
    seconds = 0.0 if is_warm else time.monotonic() - started
    return context, {"event": "start", "seconds": seconds}


def trainable(launch: Launch) -> Callable[[dict[str, Any]], None]:
    """What Ray Tune runs, with the resources that a trial of the study takes."""
    resources = launch.read_settings().resources
    if resources.num_workers == 1:
        share = {"CPU": float(resources.cpus_per_worker), "GPU": float(resources.gpus_per_worker)}
        bundle = {name: amount for name, amount in share.items() if amount}
    else:
        # The trial itself only waits for its workers: no CPU, and a place on the head node.
        bundle = {"node:__internal_head__": 0.001}
    factory = tune.PlacementGroupFactory([bundle])
    wrapped: Callable[[dict[str, Any]], None] = tune.with_resources(
        partial(trial, launch=launch), factory
    )
    return wrapped


def trial(params: Mapping[str, Any], *, launch: Launch) -> None:
    """One Tune trial, run where the study says. What breaks it is told first; only what another
    try may mend is raised."""
    try:
        _trial(params, launch)
    except DrainedError as error:
        tune.report(pack({"event": "drained", "reason": str(error)}))
    except Exception as error:
        tune.report(pack({"event": "error", "reason": reason_of(error)}))
        if not isinstance(error, Refusal) or isinstance(error, AwayError):
            raise


def _trial(params: Mapping[str, Any], launch: Launch) -> None:
    """The params are decoded here, once."""
    settings = launch.read_settings()
    plan = settings.search_space().decode(params)
    if settings.resources.num_workers == 1:
        context, start = _open(launch)
        tune.report(pack(start))
        run_trial(plan, context, lambda event: tune.report(pack(event)))
    else:
        _fit(TrialJob(plan, DEV), launch, callbacks=[TuneReportCallback()])


def reason_of(error: BaseException) -> str:
    """The error behind what Ray wraps around it, in a line."""
    failures = getattr(error, "worker_failures", None)  # of Ray Train, by rank
    if failures:
        return reason_of(next(iter(failures.values())))
    while isinstance(cause := getattr(error, "cause", None), BaseException):
        error = cause
    line = first_line(error, empty="")
    return line if isinstance(error, Refusal) else f"{type(error).__name__}: {line}"


def pack(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as Tune carries it: as text, since Tune flattens nested dicts."""
    return {"event": event["event"], "payload": json.dumps(event)}


def unpack(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event of a Tune result; None if it carries none."""
    event: dict[str, Any] | None = json.loads(result["payload"]) if "payload" in result else None
    return event


@dataclass(frozen=True, slots=True)
class TrialJob:
    """A plan to train, the split that it is scored on, and others that it is scored on too."""

    plan: TrialPlan
    split: str
    also: tuple[str, ...] = ()

    def run(self, context: TrialContext, report: Callable[[Mapping[str, Any]], None]) -> None:
        run_trial(self.plan, context, report, split=self.split, also=self.also)


def train_plans(
    jobs: Sequence[TrialJob],
    launch: Launch,
    *,
    max_concurrent: int,
    on_done: Callable[[int, list[dict[str, Any]]], None],
) -> None:
    """Run plans without Tune, as `retrain` does, through the same phase store.

    `on_done` gets the index of a plan and its events, as plans finish. Raises Refusal where a plan
    cannot be trained.
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
    """(index, events) of every plan, as plans finish."""
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
    """Outside Tune: an actor that keeps its context between plans."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    def run(self, index: int, job: TrialJob) -> tuple[int, list[dict[str, Any]]]:
        events: list[dict[str, Any]] = []
        job.run(trial_context(self._launch), lambda event: events.append(dict(event)))
        return index, events


def _fit(job: TrialJob, launch: Launch, *, callbacks: list[Any]) -> list[dict[str, Any]]:
    """One Ray Train run for the whole trial; returns the first worker's events."""
    resources = launch.read_settings().resources
    train: Any = ray.train  # its V2 classes, which the type stubs do not show
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
        torch_config=train.torch.TorchConfig(
            backend="nccl" if resources.gpus_per_worker else "gloo"
        ),
        run_config=train.RunConfig(
            # A name of its own: a run of a known name would be taken for finished.
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


def _train_worker(config: dict[str, Any]) -> str:
    """One of several workers; all of them report the same events at the same points."""
    events: list[dict[str, Any]] = []

    def report(event: Mapping[str, Any]) -> None:
        if event["event"] != "progress":  # told by the clock, so not at the same points
            events.append(dict(event))
            ray.train.report(pack(event))

    context, start = _open(config["launch"])
    report(start)
    try:
        config["job"].run(context, report)
    except DrainedError as error:
        report({"event": "drained", "reason": str(error)})  # raised, Train would try it again
    return json.dumps(events)


def scores_of(events: Sequence[Mapping[str, Any]], *, also: str | None = None) -> Scores | None:
    """The scores that a trial's events end with, or those on a split that it was scored on too;
    None if it diverged."""
    end = events[-1]
    found = end.get("scores") if also is None else end.get("also", {}).get(also)
    return Scores.from_dict(found) if found else None
