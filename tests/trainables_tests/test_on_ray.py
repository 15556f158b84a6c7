"""What goes to workers and comes back; both launchers are run whole by the search's tests."""

import ipaddress
import json
import multiprocessing
import os
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from ray import tune
from ray.exceptions import RayTaskError
from ray.train import WorkerGroupError
from ray.train.torch import TorchConfig

from spaces.refusal import AwayError, Refusal
from trainables import on_ray
from trainables.on_ray import Launch, pack, reason_of, scores_of, trainable, trial_context, unpack
from trainables.scoring.scores import Scores
from trainables.training.context import TrialContext
from trainables.training.trial import run_trial
from trainables.training.workers import INTERFACE_VARIABLES, Workers, meeting_on_loopback

OpenShop = Callable[..., TrialContext]


def _joined(rank: int, path: str, answers: Any, done: Any) -> None:
    on_ray._meet(rank, path=path, backend="gloo", size=2, timeout=timedelta(minutes=1))
    total = torch.tensor([rank + 1])
    torch.distributed.all_reduce(total)
    found = psutil.Process().net_connections("inet")
    answers.put((int(total), [each.laddr.ip for each in found if each.status == "LISTEN"]))
    done.wait(60)


def test_workers_of_one_machine_listen_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in INTERFACE_VARIABLES:
        monkeypatch.setenv(name, "eth7")  # as for a cluster
    spawn = multiprocessing.get_context("spawn")
    answers, done = spawn.Queue(), spawn.Event()
    path = str(tmp_path / "a%20b?c#d" / "meeting")
    workers = [spawn.Process(target=_joined, args=(rank, path, answers, done)) for rank in (0, 1)]
    with meeting_on_loopback():
        for worker in workers:
            worker.start()
    assert {os.environ[name] for name in INTERFACE_VARIABLES} == {"eth7"}
    try:
        for total, ips in (answers.get(timeout=120), answers.get(timeout=120)):
            assert total == 3
            assert ips
            assert all(ipaddress.ip_address(ip).is_loopback for ip in ips)
    finally:
        done.set()
        for worker in workers:
            worker.join(60)


@pytest.mark.parametrize(
    ("address", "is_alone"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False)]
)
def test_where_workers_meet(
    open_context: OpenShop,
    address: str,
    is_alone: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On several machines by Ray's own way."""
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: address)
    launch = Launch.of(open_context().settings, home=tmp_path, encoder="folder")
    config = on_ray._torch_config(launch, "gloo")
    assert config.backend == "gloo"
    assert config.framework == TorchConfig().framework
    assert (config.backend_cls is on_ray._OneMachine) == is_alone
    assert (config.backend_cls is TorchConfig().backend_cls) != is_alone


def test_an_event_survives_tune() -> None:
    """Tune flattens nested dicts and adds columns of its own."""
    event = {"event": "end", "scores": {"a.b": {"c/d": [1, None, 0.1]}}, "reason": None}
    packed = pack(event)
    assert all(isinstance(value, str) for value in packed.values())
    assert unpack({**packed, "done": False, "training_iteration": 3}) == event
    assert unpack({"done": True, "training_iteration": 3}) is None


def test_events_of_a_real_trial_survive(open_context: OpenShop, events: list[Any]) -> None:
    context = open_context()
    plan = context.settings.search_space().decode(
        {"intermediate": "none", "target.learning_rate": 1e-3}
    )
    scores = run_trial(plan, context, events.append)
    assert [unpack(pack(event)) for event in events] == json.loads(json.dumps(events))
    outcome = scores_of([unpack(pack(event)) or {} for event in events])
    assert isinstance(outcome, Scores)
    assert outcome == scores
    assert scores_of([{"event": "end", "state": "failed", "reason": "x"}]) is None


def test_a_launch_is_plain_and_carries_no_address(open_context: OpenShop, tmp_path: Path) -> None:
    settings = open_context(tracking={"optuna": "postgresql://me:hunter2@h/d"}).settings
    launch = Launch.of(settings, home=tmp_path / "home", encoder="folder")
    assert b"hunter2" not in pickle.dumps(launch)
    assert launch.read_settings().digest() == settings.digest()
    assert launch.read_settings().resources == settings.resources
    assert Path(launch.home).is_absolute()
    assert launch.train_folder == tmp_path / "home" / "ray-train" / "tiny"
    assert hash(launch) == hash(Launch.of(settings, home=tmp_path / "home", encoder="folder"))


def test_a_worker_opens_the_phase_store_that_the_driver_resolved(
    open_context: OpenShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = open_context(resources={"phase_store": "s3://of-the-file"}).settings
    opened: list[str | None] = []
    monkeypatch.setenv("TRANSFER_SEARCH_PHASE_STORE", "s3://of-the-worker")
    monkeypatch.setattr(
        TrialContext, "open", lambda settings, **keys: opened.append(keys["phase_store"])
    )
    for resolved in ("s3://of-the-driver", None):
        launch = Launch.of(settings, home=tmp_path, encoder="folder", phase_store=resolved)
        trial_context(launch)
        assert launch.read_settings().digest() == settings.digest()
    assert opened == ["s3://of-the-driver", None]


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda")])
def test_a_worker_takes_a_gpu_only_where_the_study_gives_it_one(
    gpus: int, device: str, open_context: OpenShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees all of the machine's."""
    settings = open_context(resources={"gpus_per_worker": gpus}).settings
    launch = Launch.of(settings, home=tmp_path / f"{gpus}", encoder=settings.study.encoder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    given: list[Workers] = []
    monkeypatch.setattr(
        TrialContext, "open", lambda settings, **keys: given.append(keys["workers"])
    )
    on_ray._opened.cache_clear()
    on_ray._opened(launch)
    on_ray._opened.cache_clear()
    (workers,) = given
    assert workers.device.type == device
    assert workers.precision is settings.resources.computes_in


@pytest.mark.parametrize(("error", "is_raised"), [(AwayError, True), (Refusal, False)])
def test_only_what_another_try_may_mend_is_raised(
    error: type[Refusal], is_raised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune starts the trial again where it is: a store that is away may be back."""
    reported: list[Any] = []
    monkeypatch.setattr(on_ray.tune, "report", lambda result: reported.append(unpack(result)))

    def broken(params: Any, launch: Any) -> None:
        raise error("the store")

    monkeypatch.setattr(on_ray, "_trial", broken)
    with pytest.raises(AwayError) if is_raised else nullcontext():
        on_ray.trial({}, launch=Launch("{}", "", "", None, "", ""))
    assert reported == [{"event": "error", "reason": "the store"}]


def test_every_trial_of_a_warm_worker_stands_where_the_driver_did(
    open_context: OpenShop, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later trial reads under a relative name is found too."""
    started, trials = tmp_path / "started", tmp_path / "trials"
    started.mkdir()
    trials.mkdir()
    monkeypatch.chdir(started)
    home, encoder = tmp_path / "home", str(encoder_folder)
    launch = Launch.of(open_context().settings, home=home, encoder=encoder)
    contexts = []
    for _ in range(2):
        os.chdir(trials)  # as Tune does before each
        contexts.append(trial_context(launch))
        assert Path.cwd() == started
    assert contexts[0] is contexts[1]


@pytest.mark.parametrize(
    ("resources", "bundle"),
    [
        ({"cpus_per_worker": 2}, {"CPU": 2.0}),
        ({"cpus_per_worker": 2, "gpus_per_worker": 1}, {"CPU": 2.0, "GPU": 1.0}),
        ({"num_workers": 3}, {"node:__internal_head__": 0.001}),
    ],
)
def test_what_a_trial_takes(
    resources: dict[str, int], bundle: dict[str, float], open_context: OpenShop, tmp_path: Path
) -> None:
    settings = open_context().settings
    settings = settings.model_copy(
        update={"resources": settings.resources.model_copy(update=resources)}
    )
    wrapped = trainable(Launch.of(settings, home=tmp_path, encoder="folder"))
    assert wrapped._resources == tune.PlacementGroupFactory([bundle])  # type: ignore[attr-defined]


def test_the_error_behind_what_ray_wraps_around_it() -> None:
    assert reason_of(Refusal("one line")) == "one line"
    assert reason_of(OSError("no space\non device")) == "OSError: no space"
    assert reason_of(ValueError()) == "ValueError: "
    wrapped = RayTaskError("task", "a long\ntraceback", Refusal("the phase is damaged"))
    assert reason_of(wrapped) == "the phase is damaged"
    assert reason_of(wrapped.as_instanceof_cause()) == "the phase is damaged"
    group = WorkerGroupError("two lines\nof it", worker_failures={0: OSError("gone")})
    assert reason_of(group) == "OSError: gone"
