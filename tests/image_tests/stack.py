"""What the tests of image and stack share: the stack's commands, and a study of seconds."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
TAG = "transfer-search:test"
COMPOSE = (["docker", "compose"], ["docker-compose"])
Start = Callable[..., Container]
Output = Callable[..., str]

CUT_STUDY = """\
[study]
name = "cut"
encoder = "/work/base"
seed = 17

[space]
intermediate = ["none", "fact"]
intermediate_learning_rate = [5e-4]
target_learning_rate = [1e-3]
targets = ["coh"]

[training.intermediate]
num_steps = 5
batch_size = 8
max_length = 64

[training.target]
num_steps = 5
batch_size = 8
max_length = 64
max_train_rows = 50

[evaluation]
languages = ["de", "es"]
max_rows = 40

[budget]
num_trials = 2
"""


class Stack:
    """The services of compose.yaml, up, on free ports of loopback, with secrets of their own."""

    def __init__(self, compose: list[str], folder: Path) -> None:
        self.folder = folder
        self.project = f"ts-test-{uuid.uuid4().hex[:8]}"
        self.mlflow_port, self.ray_port = _free_ports(2)
        self._compose = [*compose, "--project-name", self.project]
        self._environment = {
            **os.environ,
            "IMAGE": TAG,
            "MLFLOW_PUBLISHED_PORT": str(self.mlflow_port),
            "RAY_PUBLISHED_PORT": str(self.ray_port),
        }

    def compose(self, *words: str, stdin: bytes | None = None) -> str:
        """Run docker compose with these words; what it prints. It must end well."""
        done = subprocess.run(
            [*self._compose, *words],
            cwd=self.folder,
            env=self._environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        printed = done.stdout.decode()
        assert done.returncode == 0, f"compose {' '.join(words)}:\n{printed[-4000:]}"
        return printed

    def secret(self, name: str) -> str:
        return (self.folder / ".secrets" / name).read_text()


def find_compose() -> list[str] | None:
    """The words that call docker compose here."""
    return next((words for words in COMPOSE if _answers(words)), None)


def _answers(words: list[str]) -> bool:
    if shutil.which(words[0]) is None:
        return False
    return subprocess.run([*words, "version"], capture_output=True).returncode == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
