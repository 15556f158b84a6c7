"""Where trials run: a Ray of the run's own on this machine, or a cluster that is there already."""

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
from search.fence import is_alive
from search.home import Home
from spaces.refusal import Refusal, first_line
from spaces.study import StudySettings
from trainables.on_ray import Launch
from trainables.training.workers import num_cores

SCRATCH, OWNER = "ts-", "owner.json"
MAX_SCRATCH_ROOT = 24  # characters: Ray's sockets lie below, and their paths end at 107
NODE_SECONDS = 60.0  # for a node to start a worker and read a file
MAX_REASON = 300  # characters of what Ray says
PROBE_SECONDS = 5.0  # for a cluster's head to answer; Ray itself tries for minutes


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster to run on: its address, and whether nodes are added to it on demand."""

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
            f"{address!r} is no address to run at; expected HOST:PORT of the cluster's head or "
            "`auto`, on one of its nodes. From elsewhere: `submit --address http://HOST:8265`"
        )
    if home.is_default:
        raise Refusal(
            f"a run on the cluster at {address} needs --home or TRANSFER_SEARCH_HOME: a folder "
            "that is the same on every node"
        )
    return Cluster(address, can_grow)


def this_machine() -> Machine:
    """The cores that this process may use, and all GPUs that torch sees."""
    return Machine(num_cores(), torch.cuda.device_count())


def max_concurrent_trials(settings: StudySettings, home: Home, cluster: Cluster | None) -> int:
    """How many trials run beside each other, on the cluster or on this machine. Raises Refusal if
    not even one does, or if the cluster is away."""
    if cluster is None:
        return this_machine().max_concurrent_trials(settings)
    shape = look_at(cluster.address, home, can_grow=cluster.can_grow)
    return shape.max_concurrent_trials(settings)


def ray_of(launch: Launch, cluster: Cluster | None) -> AbstractContextManager[Path]:
    """The Ray that trials run on. Yields Tune's folder."""
    if cluster is not None:
        return attached_ray(launch, cluster.address)
    return local_ray(launch, this_machine())


def make_scratch() -> Path:
    """A scratch folder of this process; those of killed processes of this host are removed."""
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
    """Whether a process of ours on this host made the folder and is gone."""
    try:
        owner = json.loads((folder / OWNER).read_text())
        ours = folder.stat().st_uid == os.getuid() and owner["host"] == socket.gethostname()
        return ours and not is_alive(owner["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def local_ray(launch: Launch, machine: Machine) -> Iterator[Path]:
    """A Ray of this run's own, its scratch folders removed at the end. Yields Tune's folder."""
    scratch = make_scratch()
    several = launch.read_settings().resources.num_workers > 1
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    environment = {**_environment(launch), "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    try:
        with _connected(
            address="local",
            num_cpus=machine.num_cores,
            num_gpus=machine.num_gpus,
            # Train cleans up after a stopped trial through the dashboard's state API.
            include_dashboard=several,
            object_store_memory=100 * 2**20,
            runtime_env={"env_vars": environment},
            _temp_dir=str(scratch / "ray"),
        ):
            yield scratch / "tune"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        _remove_train_folder(launch)


@contextmanager
def attached_ray(launch: Launch, address: str) -> Iterator[Path]:
    """A cluster that somebody else started and ends; what this driver started on it ends with it.
    Yields Tune's folder, in the home folder: Tune writes there from every node."""
    try:
        with _connected(address=address, runtime_env={"env_vars": _environment(launch)}):
            yield launch.train_folder / "tune"
    finally:
        _remove_train_folder(launch)


def look_at(address: str, home: Home, *, can_grow: bool) -> ClusterShape:
    """The shape of a cluster. Raises Refusal where none is there, or where one of its nodes does
    not see the home folder."""
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
    """Numbers for Ray's Prometheus exporter; made where Ray is connected."""

    def __init__(self, described: Mapping[str, str]) -> None:
        self._gauges = {
            name: Gauge(f"transfer_search_{name}", description=text, tag_keys=("study", "kind"))
            for name, text in described.items()
        }

    def __call__(self, name: str, value: float, **tags: str) -> None:
        self._gauges[name].set(value, tags={"kind": "", **tags})


@contextmanager
def _connected(address: str, **arguments: Any) -> Iterator[None]:
    """A connection to Ray in this process, quiet, and with this process's SIGTERM handler kept."""
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
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **arguments)
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            if address == "local":
                raise
            raise _away(address, first_line(error)) from error
        if callable(handler):
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own in place of it
        yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Refuse soon where nobody listens. What `auto` means, Ray finds out among its processes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _away(address, first_line(error)) from error


def _away(address: str, reason: str) -> Refusal:
    return Refusal(
        f"no Ray cluster can be joined at {address} ({reason[:MAX_REASON]}); expected HOST:PORT of "
        "its head or `auto`, on one of its nodes, and its token (RAY_AUTH_MODE, "
        "RAY_AUTH_TOKEN_PATH) if it asks for one"
    )


def _environment(launch: Launch) -> dict[str, str]:
    """Of every worker."""
    return {
        "OMP_NUM_THREADS": str(launch.read_settings().resources.cpus_per_worker),
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    }


def _remove_train_folder(launch: Launch) -> None:
    shutil.rmtree(launch.train_folder, ignore_errors=True)
    with suppress(OSError):  # another study is using it
        launch.train_folder.parent.rmdir()


def _check_home(home: Home, nodes: list[dict[str, Any]]) -> None:
    """Refuse a home folder that some node does not see: write a file here, read it there."""
    is_new = not home.path.exists()
    home.path.mkdir(parents=True, exist_ok=True)
    mark, token = home.path / f".seen-{uuid.uuid4().hex}", uuid.uuid4().hex
    mark.write_text(token)
    read = ray.remote(num_cpus=0)(_read)
    try:
        asked = {
            _name(node): read.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(mark))
            for node in nodes
        }
        for name, answer in asked.items():
            try:
                seen = ray.get(answer, timeout=NODE_SECONDS)
            except GetTimeoutError:
                seen = f"no answer in {NODE_SECONDS:.0f} s"
            except RayError as error:
                seen = first_line(error)[:MAX_REASON]
            if seen != token:
                raise Refusal(
                    f"node {name} does not see the home folder {home.path} ({seen}); give a "
                    "folder (--home) that is the same on every node, and the same image"
                )
    finally:
        mark.unlink()
        if is_new:
            home.path.rmdir()


def _read(path: str) -> str:
    """On a node: what is in the file, or why it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return error.strerror or type(error).__name__


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']}, {node['NodeID'][:8]})"
