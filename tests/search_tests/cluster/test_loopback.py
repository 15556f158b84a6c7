"""A local Ray is this run's alone: where it listens, whom it refuses, what it leaves behind."""

import ipaddress
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray
from ray._private import node, ray_constants, services

from search.cluster import ray_runtime
from search.cluster.capacity import Machine
from search.cluster.loopback import END_SECONDS, TOKEN_FILE, end_processes, on_loopback
from search.cluster.ray_runtime import START_TRIES, local_ray
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.on_ray import Launch

OPEN = {  # what a user may have set for a cluster, or to be let alone
    "RAY_AUTH_MODE": "disabled",
    "RAY_AUTH_TOKEN": "of-the-cluster",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
    "GLOO_SOCKET_IFNAME": "eth7",
}
JOIN = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=30)
    print("let in")
except AuthenticationError:
    print("refused")
"""


@pytest.fixture
def launch(settings_of: Callable[..., StudySettings], tmp_path: Path) -> Launch:
    return Launch.of(settings_of(), home=tmp_path / "home", encoder="tiny")


def processes() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def listening() -> dict[str, str]:
    """Address -> process, of every socket of this process and of those below it that waits for
    others."""
    found = {}
    for process in (psutil.Process(), *processes()):
        for connection in process.net_connections("inet"):
            is_bound = connection.status in {psutil.CONN_LISTEN, psutil.CONN_NONE}
            if is_bound and connection.laddr:
                found[f"{connection.laddr.ip} {connection.laddr.port}"] = process.name()
    return found


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address.split()[0])
    return bool((getattr(ip, "ipv4_mapped", None) or ip).is_loopback)


def join(address: str, **environment: str) -> str:
    """What Ray says to another process that asks the Ray of this one for its keys."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    line = [sys.executable, "-c", JOIN, address]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={**known, **environment}, timeout=60
    )
    return done.stdout.strip() or done.stderr[-600:]


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_ray_is_this_runs_alone(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OPEN.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with local_ray(launch, Machine(2, 0)) as folder:
        token = folder.parent / TOKEN_FILE
        assert token.stat().st_mode & 0o777 == 0o600
        assert token.stat().st_uid == os.getuid()
        assert len(token.read_text()) == 64

        told = ray.get(ray.remote(lambda: dict(os.environ)).remote())
        assert told["RAY_AUTH_MODE"] == "token"
        assert told["RAY_AUTH_TOKEN_PATH"] == str(token)
        assert told["GLOO_SOCKET_IFNAME"].startswith("lo")
        assert "RAY_AUTH_TOKEN" not in told

        found = listening()
        assert len(found) >= 4, "GCS, raylet, an agent, a worker"
        assert {address: name for address, name in found.items() if not is_loopback(address)} == {}

        gcs = ray.get_runtime_context().gcs_address
        path, content = str(token), token.read_text()
        assert join(gcs, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=path) == "let in"
        assert join(gcs, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=content[::-1]) == "refused"
        assert join(gcs, RAY_AUTH_MODE="disabled") == "refused"
    assert not folder.parent.exists()
    changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
    assert not {name for name in changed if "AUTH" in name or name in OPEN}
    assert ray_constants.ENABLE_RAY_CLUSTER


@pytest.mark.ray
@pytest.mark.slow
def test_a_start_that_times_out_leaves_no_process(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are real; Ray's clock runs so fast that it does not wait for them."""
    seen: list[int] = []

    def unknown(*_: object) -> None:
        seen.append(len(processes()))
        raise RuntimeError("no node yet")

    ticks = iter(range(0, 10**9, 60))
    clock = {**vars(time), "monotonic": lambda: next(ticks)}
    monkeypatch.setattr(node, "time", SimpleNamespace(**clock))
    monkeypatch.setattr(services, "get_node", unknown)
    before = processes()
    with (
        pytest.raises(Refusal, match="did not start on this machine"),
        local_ray(launch, Machine(1, 0)),
    ):
        pass
    assert len(seen) == START_TRIES
    assert all(num >= len(before) + 3 for num in seen), "Ray has started its processes"
    assert max(seen) - min(seen) <= 2, "those of the try before have ended"
    assert set(processes()) <= set(before)


def test_only_our_own_processes_are_ended(tmp_path: Path) -> None:
    """A child that renames itself is known by its parent; a child of another folder stays."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    parent, other = (
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / name)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        for name in ("ray", "other")
    )
    deadline = time.monotonic() + END_SECONDS
    while not all(psutil.Process(process.pid).children() for process in (parent, other)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    below = psutil.Process(parent.pid).children()
    assert end_processes(tmp_path / "ray") == 2
    assert parent.wait(END_SECONDS) is not None
    assert not any(process.is_running() for process in below)
    assert other.poll() is None
    assert end_processes(tmp_path / "ray") == 0
    assert end_processes(tmp_path) == 2


def test_a_token_is_new_and_never_overwrites(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with on_loopback(tmp_path):
            first = (tmp_path / TOKEN_FILE).read_text()
    finally:
        os.umask(old)
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError), on_loopback(tmp_path):
        pass
    (tmp_path / TOKEN_FILE).unlink()
    with on_loopback(tmp_path):
        assert (tmp_path / TOKEN_FILE).read_text() != first


def test_what_was_set_is_set_again_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OPEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    before = dict(os.environ)

    def interrupted() -> None:
        with on_loopback(tmp_path):
            assert not ray_constants.ENABLE_RAY_CLUSTER
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert dict(os.environ) == before
    assert ray_constants.ENABLE_RAY_CLUSTER


def test_a_ray_that_is_joined_keeps_its_settings(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mode, its token and its addresses are its operator's."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-cluster")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda *_, **__: seen.update(os.environ))
    with ray_runtime.attached_ray(launch, "head:6379"):
        pass
    assert seen["RAY_AUTH_TOKEN"] == "of-the-cluster"
    assert "GLOO_SOCKET_IFNAME" not in seen
    assert seen.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") is None
    assert ray_constants.ENABLE_RAY_CLUSTER
