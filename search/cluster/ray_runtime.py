"""Starts a local Ray for one run, or connects to a running Ray cluster."""

import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import GetTimeoutError, RayError
from ray.util.metrics import Gauge
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster.capacity import ClusterShape, Machine, Node
from search.cluster.loopback import end_processes, on_loopback
from search.fence import is_alive
from search.home import ONLY_OURS, Home
from spaces.refusal import Refusal, first_line
from spaces.study_file.study import StudySettings
from trainables.on_ray import Launch
from trainables.training.workers import num_cores

SCRATCH, OWNER = "ts-", "owner.json"
# Longest path of the scratch root in characters: Ray's sockets lie below it, and a socket's path
# has at most 107 characters.
MAX_SCRATCH_ROOT = 24
NODE_SECONDS = 60.0  # time for a node to start a worker and read a file
MAX_REASON = 300  # characters of Ray's message that are quoted
START_TRIES = 3  # of a local Ray: on a busy machine it may need more than the 30 s that Ray waits
PROBE_SECONDS = 5.0  # time for a cluster's head to answer; Ray itself tries for minutes


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster to run on: its address, and whether it adds nodes on demand."""

    address: str
    can_grow: bool = False


def cluster_at(address: str | None, home: Home, *, can_grow: bool = False) -> Cluster | None:
    """The cluster at `HOST:PORT` or `auto`; None where the address is empty or `local`, which means
    a Ray of the run's own. No cluster is asked yet.

    Raises:
        Refusal: the address is a URL, or the home folder is the default one, which is not the same
            folder on every node.
    """
    if address in (None, "", "local"):
        return None
    if "://" in address:
        raise Refusal(
            f"{address!r} is not an address to run at; expected HOST:PORT of the cluster's head, "
            "or `auto` on one of its nodes; from another machine use `submit --address "
            "http://HOST:8265`"
        )
    if home.is_default:
        raise Refusal(
            f"a run on the cluster at {address} needs a home folder that all nodes share; set "
            "--home or TRANSFER_SEARCH_HOME"
        )
    return Cluster(address, can_grow)


def this_machine() -> Machine:
    """Return the cores that this process may use, and all GPUs that torch sees."""
    return Machine(num_cores(), torch.cuda.device_count())


def max_concurrent_trials(settings: StudySettings, home: Home, cluster: Cluster | None) -> int:
    """Return how many trials run at the same time, on the cluster or on this machine.

    Raises Refusal if not even one trial fits, or if the cluster does not answer.
    """
    if cluster is None:
        return this_machine().max_concurrent_trials(settings)
    shape = look_at(cluster.address, home, can_grow=cluster.can_grow)
    return shape.max_concurrent_trials(settings)


def ray_of(launch: Launch, cluster: Cluster | None) -> AbstractContextManager[Path]:
    """Return the context of the Ray that trials run on; it yields Tune's folder."""
    if cluster is not None:
        return attached_ray(launch, cluster.address)
    return local_ray(launch, this_machine())


def make_scratch() -> Path:
    """Create a scratch folder for this process, and remove those of killed processes on this
    host."""
    root = Path(tempfile.gettempdir())
    if len(str(root)) > MAX_SCRATCH_ROOT:
        root = Path("/tmp")
    for folder in root.glob(f"{SCRATCH}*"):
        if _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-", dir=root))
    owner = {"host": socket.gethostname(), "pid": os.getpid()}
    (scratch / OWNER).write_text(json.dumps(owner))
    return scratch


def _is_left(folder: Path) -> bool:
    """Whether a process of this user on this host made the folder and has ended."""
    try:
        owner = json.loads((folder / OWNER).read_text())
        is_ours = folder.stat().st_uid == os.getuid() and owner["host"] == socket.gethostname()
        return is_ours and not is_alive(owner["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def local_ray(launch: Launch, machine: Machine) -> Iterator[Path]:
    """Start a Ray for this run, which nobody else can reach, and yield Tune's folder. At the end
    whatever processes Ray has left are ended, and the scratch folders are removed."""
    scratch = make_scratch()
    has_several_workers = launch.read_settings().resources.num_workers > 1
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    environment = {**_environment(launch), "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    try:
        with (
            on_loopback(scratch),
            _connected(
                address="local",
                num_cpus=machine.num_cores,
                num_gpus=machine.num_gpus,
                # Train cleans up after a stopped trial through the dashboard's state API.
                include_dashboard=has_several_workers,
                object_store_memory=100 * 2**20,
                runtime_env={"env_vars": environment},
                _temp_dir=str(scratch / "ray"),
            ),
        ):
            yield scratch / "tune"
    finally:
        end_processes(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        _remove_train_folder(launch)


@contextmanager
def attached_ray(launch: Launch, address: str) -> Iterator[Path]:
    """Connect to a running cluster and yield Tune's folder.

    The folder lies in the home folder, because Tune writes to it from every node. The cluster goes
    on running afterwards; only the processes that this driver started on it end.
    """
    try:
        with _connected(address=address, runtime_env={"env_vars": _environment(launch)}):
            yield launch.train_folder / "tune"
    finally:
        _remove_train_folder(launch)


def look_at(address: str, home: Home, *, can_grow: bool) -> ClusterShape:
    """Return the nodes of a cluster.

    Raises Refusal if no cluster answers at the address, or if a node does not see the home folder.
    """
    _probe(address)
    with _connected(address=address):
        alive = [node for node in ray.nodes() if node["Alive"]]
        _check_home(home, alive)
        nodes = (
            Node(
                _name(node),
                int(node["Resources"].get("CPU", 0)),
                int(node["Resources"].get("GPU", 0)),
            )
            for node in alive
        )
        return ClusterShape(tuple(nodes), can_grow)


class Gauges:
    """Numbers for Ray's Prometheus exporter; create it while Ray is connected."""

    def __init__(self, described: Mapping[str, str]) -> None:
        self._gauges = {
            name: Gauge(f"transfer_search_{name}", description=text, tag_keys=("study", "kind"))
            for name, text in described.items()
        }

    def __call__(self, name: str, value: float, **tags: str) -> None:
        self._gauges[name].set(value, tags={"kind": "", **tags})


@contextmanager
def _connected(address: str, **arguments: Any) -> Iterator[None]:
    """Connect this process to Ray without Ray's output, and keep this process's SIGTERM handler."""
    os.environ.update(
        {
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "TUNE_DISABLE_SIGINT_HANDLER": "1",
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
            "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        }
    )
    handler = signal.getsignal(signal.SIGTERM)
    try:
        try:
            _init(address, **arguments)
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            if address == "local":
                raise
            raise _no_cluster(address, first_line(error)) from error
        if callable(handler):
            signal.signal(signal.SIGTERM, handler)  # Ray has replaced it with its own handler
        yield
    finally:
        ray.shutdown()


def _init(address: str, **arguments: Any) -> None:
    """Start or join Ray. A local Ray that is not up in time is ended and tried again, then
    refused."""
    tries = START_TRIES if address == "local" else 1
    for number in range(1, tries + 1):
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **arguments)
            return
        except Exception as error:
            # Ray raises a plain Exception where its node is not up after 30 s.
            if address != "local" or type(error) is not Exception:
                raise
            ray.shutdown()
            end_processes(Path(arguments["_temp_dir"]))
            if number == tries:
                raise Refusal(
                    f"Ray did not start on this machine in {tries} tries "
                    f"({first_line(error)[:MAX_REASON]}); the machine is too busy: run the same "
                    "command again when it is less so"
                ) from error


def _probe(address: str) -> None:
    """Refuse within PROBE_SECONDS if nothing listens at the address.

    `auto` is not checked: Ray finds its address among the processes of this host.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address, first_line(error)) from error


def _no_cluster(address: str, reason: str) -> Refusal:
    return Refusal(
        f"no Ray cluster can be joined at {address} ({reason[:MAX_REASON]}); on a node of the "
        "cluster, expected HOST:PORT of its head or `auto`, and its token (RAY_AUTH_MODE, "
        "RAY_AUTH_TOKEN_PATH) if it asks for one"
    )


def _environment(launch: Launch) -> dict[str, str]:
    """Return the environment variables of every worker."""
    return {
        "OMP_NUM_THREADS": str(launch.read_settings().resources.cpus_per_worker),
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    }


def _remove_train_folder(launch: Launch) -> None:
    shutil.rmtree(launch.train_folder, ignore_errors=True)
    with suppress(OSError):  # it is not empty while another study uses it
        launch.train_folder.parent.rmdir()


def _check_home(home: Home, nodes: list[dict[str, Any]]) -> None:
    """Refuse a home folder that a node does not see, by reading a file of this process there."""
    is_new = not home.path.exists()
    home.path.mkdir(mode=ONLY_OURS, parents=True, exist_ok=True)
    mark, token = home.path / f".seen-{uuid.uuid4().hex}", uuid.uuid4().hex
    mark.write_text(token)
    read = ray.remote(num_cpus=0)(_read)
    try:
        answers = {
            _name(node): read.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(mark))
            for node in nodes
        }
        for name, answer in answers.items():
            try:
                text = ray.get(answer, timeout=NODE_SECONDS)
            except GetTimeoutError:
                text = f"no answer in {NODE_SECONDS:.0f} s"
            except RayError as error:
                text = first_line(error)[:MAX_REASON]
            if text != token:
                raise Refusal(
                    f"node {name} does not see the home folder {home.path} ({text}); give a "
                    "folder (--home) that every node shares, and use the same image on every node"
                )
    finally:
        mark.unlink()
        if is_new:
            home.path.rmdir()


def _read(path: str) -> str:
    """Return the content of a file on a node, or why it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return error.strerror or type(error).__name__


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']}, {node['NodeID'][:8]})"
