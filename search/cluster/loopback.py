"""A local Ray that nobody else can reach: it listens on loopback alone and asks for a token."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from ray._private import ray_constants
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationTokenLoader,
    Config,
)

from trainables.training.workers import meeting_on_loopback

TOKEN_FILE = "token"
END_SECONDS = 10.0  # time for a killed process to be gone
# Ray has no other public way to keep to loopback: it does so where it runs no clusters.
_CLUSTERS, _MODE, _TOKEN, _TOKEN_PATH = (
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_TOKEN_PATH",
)


@contextmanager
def on_loopback(folder: Path) -> Iterator[None]:
    """Every Ray that is started inside listens on loopback alone and refuses who does not know the
    new token in `folder`, a file that only this user can read.

    Ray reads these settings from the environment of this process, its children inherit it. They
    come before what the user has set, and are as they were afterwards.
    """
    token = folder / TOKEN_FILE
    token.touch(0o600, exist_ok=False)
    token.write_text(secrets.token_hex(32))
    names = (_CLUSTERS, _MODE, _TOKEN, _TOKEN_PATH)
    before = {name: os.environ[name] for name in names if name in os.environ}
    has_clusters = ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update({_CLUSTERS: "0", _MODE: "token", _TOKEN_PATH: str(token)})
    os.environ.pop(_TOKEN, None)
    ray_constants.ENABLE_RAY_CLUSTER = False  # it has read its variable when it was imported
    _read_again()
    try:
        with meeting_on_loopback():
            yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
        ray_constants.ENABLE_RAY_CLUSTER = has_clusters
        _read_again()


def end_processes(folder: Path) -> int:
    """End the processes of Rays that this process has started in `folder` and that have not ended
    by themselves. Returns how many there were.

    Ray does not end what it has started where its node is not up in time.
    """
    found = _of_ray(folder)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=END_SECONDS)
    return len(found)


def _of_ray(folder: Path) -> list[psutil.Process]:
    """The children that have the folder in their command line, and all that these have started
    (Ray's workers rename themselves)."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if any(str(folder) in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found


def _read_again() -> None:
    """Ray keeps the mode and the token of this process. In this order: with the old mode, a thread
    of Ray that has not ended would look for a token that is gone, and abort the process."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
