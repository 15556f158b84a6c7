"""This machine: what trials may take of it, and a Ray of the run's own on it."""

import json
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray
import torch

from search.fence import is_alive
from spaces.refusal import Refusal
from spaces.study import StudySettings
from trainables.on_ray import Launch
from trainables.workers import num_cores

SCRATCH, OWNER = "ts-", "owner.json"
MAX_SCRATCH_ROOT = 24  # characters: Ray's sockets lie below, and their paths end at 107


@dataclass(frozen=True, slots=True)
class Machine:
    """What trials may take of this machine."""

    num_cores: int
    num_gpus: int

    @classmethod
    def here(cls) -> "Machine":
        """The cores that this process may use, and all GPUs that torch sees."""
        return cls(num_cores(), torch.cuda.device_count())

    def max_concurrent_trials(self, settings: StudySettings) -> int:
        """How many trials fit beside each other. Raises Refusal if not even one."""
        resources = settings.resources
        fitting = []
        for name, each, there in (
            ("cpus", resources.cpus_per_worker, self.num_cores),
            ("gpus", resources.gpus_per_worker, self.num_gpus),
        ):
            taken = resources.num_workers * each
            if taken > there:
                raise Refusal(
                    f"a trial of study {settings.study.name!r} takes {resources.num_workers} "
                    f"workers x {each} {name.upper()[:-1]}s = {taken}, and this machine has "
                    f"{there}; lower num_workers or {name}_per_worker in [resources]"
                )
            if taken:
                fitting.append(there // taken)
        return min([*fitting, resources.max_concurrent_trials or fitting[0]])


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
    """A Ray of this run's own, its scratch folders removed at the end."""
    resources = launch.read_settings().resources
    scratch = make_scratch()
    several = resources.num_workers > 1
    environment = {
        "OMP_NUM_THREADS": str(resources.cpus_per_worker),
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
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address="local",
            num_cpus=machine.num_cores,
            num_gpus=machine.num_gpus,
            # Train cleans up after a stopped trial through the dashboard's state API.
            include_dashboard=several,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
            _temp_dir=str(scratch / "ray"),
        )
        if callable(handler):
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own in place of it
        yield scratch
    finally:
        ray.shutdown()
        for folder in (scratch, launch.train_folder):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another study is using it
            launch.train_folder.parent.rmdir()
