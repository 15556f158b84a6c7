"""What trials may take of this machine, and what a killed run left on it."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from search.cluster import ray_runtime as machine
from search.cluster.ray_runtime import (
    OWNER,
    START_TRIES,
    Cluster,
    _init,
    cluster_at,
    look_at,
    make_scratch,
    this_machine,
)
from search.home import Home
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]


def test_the_cores_of_this_process() -> None:
    assert 1 <= this_machine().num_cores <= (os.cpu_count() or 1)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "no-such-host.invalid:6379", "x", "h:1e9"])
def test_where_nobody_listens(address: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no Ray cluster can be joined") as caught:
        look_at(address, Home(tmp_path / "home"), can_grow=False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_a_node_says_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("token")
    assert machine._read(str(tmp_path / "mark")) == "token"
    assert machine._read(str(tmp_path / "none")) == "No such file or directory"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where scratch folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(machine, "MAX_SCRATCH_ROOT", 1000)
    return tmp_path


def left(root: Path, name: str, **owner: object) -> Path:
    folder = root / name
    (folder / "ray").mkdir(parents=True)
    content = {"host": socket.gethostname(), "pid": os.getpid(), **owner}
    (folder / OWNER).write_text(json.dumps(content))
    return folder


def test_scratch_of_killed_runs_is_removed(root: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = left(root, f"ts-{process.pid}-a", pid=process.pid)
    alive = left(root, f"ts-{os.getppid()}-b", pid=os.getppid())
    elsewhere = left(root, "ts-1-c", pid=process.pid, host="elsewhere")
    foreign = root / "ts-notes"
    foreign.mkdir()
    odd = left(root, "ts-odd", pid="many")
    scratch = make_scratch()
    assert not dead.exists()
    assert all(folder.is_dir() for folder in (alive, elsewhere, foreign, odd))
    assert scratch.name.startswith(f"ts-{os.getpid()}-")
    assert scratch.stat().st_mode & 0o077 == 0, "what Ray writes there is nobody else's"
    assert make_scratch() != scratch
    assert scratch.is_dir()


def test_the_path_is_short_enough_for_rays_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("deep" * 20)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    scratch = make_scratch()
    try:
        assert len(str(scratch)) < 45
    finally:
        (scratch / OWNER).unlink()
        scratch.rmdir()


def test_which_cluster_a_run_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.of(tmp_path)
    for local in (None, "", "local"):
        assert cluster_at(local, Home.of(None)) is None
    assert cluster_at("auto", home, can_grow=True) == Cluster("auto", True)
    with pytest.raises(Refusal, match="a home folder that all nodes share"):
        cluster_at("auto", Home.of(None))
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", "/home")
    assert cluster_at("head:6379", Home.of(None)) == Cluster("head:6379")
    for address in ("http://head:8265", "ray://head:10001"):
        with pytest.raises(Refusal, match="`submit --address"):
            cluster_at(address, home)


def test_a_busy_machine_is_tried_again_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def start(*_: object, **__: object) -> None:
        tries.append(1)
        if len(tries) < succeeds_at:
            raise Exception("The current node timed out during startup. More.")

    monkeypatch.setattr(ray, "init", start)
    succeeds_at = START_TRIES
    _init("local", _temp_dir="folder")
    assert len(tries) == START_TRIES
    tries.clear()
    succeeds_at = 99
    with pytest.raises(Refusal, match="the machine is too busy: run the same command again"):
        _init("local", _temp_dir="folder")
    assert len(tries) == START_TRIES
