"""A real cluster of three nodes with token authentication: submitted, cancelled, gone on with; a
node killed, the head killed. The scores are those of a local run."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from search.record.address import ExperimentAddress
from search.record.reader import StudyRecord, read_study
from search.sampling.study import OptunaStudy
from search.trials.ranking import best, best_baseline
from search.winner.retrain import roles

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Command = Callable[..., list[str]]
Cli = Callable[..., Any]
OBJECT_STORE = 80 * 2**20


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """Nodes that `ray start` started, each a tree of processes of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(32)
        self.token_file = folder / "token"
        self.token_file.touch(0o600)
        self.token_file.write_text(self.token)
        self._take_ports()
        programs = folder / "bin"
        programs.mkdir()
        program = programs / "transfer-search"  # of this checkout
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m search.cli "$@"\n')
        program.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_metrics_report_interval_ms": "1000",
        }
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._num_started = 0

    def _take_ports(self) -> None:
        self.port, self.dashboard_port, self.metrics_port = (free_port() for _ in range(3))
        self.url = f"http://127.0.0.1:{self.dashboard_port}"

    def start(self, *arguments: str, within: Sequence[str] = ()) -> None:
        log = (self.folder / f"node-{self._num_started}.log").open("wb")
        ray = str(Path(sys.executable).with_name("ray"))
        line = [ray, "start", "--block", f"--object-store-memory={OBJECT_STORE}"]
        line += ["--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
        self._num_started += 1
        line += [f"--temp-dir={self.folder / str(self._num_started)}"]  # as on a host of its own
        line += [f"--dashboard-agent-listen-port={free_port()}", "--disable-usage-stats"]
        node = subprocess.Popen(
            [*within, *line, *arguments],
            stdout=log,
            stderr=log,
            env=self.environment,
            start_new_session=True,
        )
        self.nodes.append(node)

    def start_head(self) -> None:
        self.start(
            "--head",
            "--num-cpus=0",  # else a fast machine runs all trials there before others are up
            f"--port={self.port}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard_port}",
            f"--metrics-export-port={self.metrics_port}",
        )

    def start_all(self) -> None:
        """A head and two workers, where there are none or all were killed."""
        self.nodes.clear()
        self._take_ports()
        self.start_head()
        self.wait_for(1)
        for _ in range(2):
            self.start("--num-cpus=1", f"--address=127.0.0.1:{self.port}")
        self.wait_for(3)

    def num_alive(self) -> int:
        """Nodes that the head knows; 0 before it answers."""
        request = urllib.request.Request(
            f"{self.url}/api/v0/nodes?detail=1", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]["result"]
        except (OSError, ValueError):
            return 0
        return sum(1 for node in found if node["state"] == "ALIVE")

    def wait_for(self, num_nodes: int) -> None:
        deadline = time.monotonic() + 150
        while self.num_alive() < num_nodes:
            logs = "\n".join(path.read_text()[-800:] for path in self.folder.glob("node-*.log"))
            assert self.nodes[-1].poll() is None, logs
            assert time.monotonic() < deadline, logs
            time.sleep(0.5)

    def node_with_trial(self) -> int:
        """A worker node (not the head) that runs a trial now, as Ray names its processes."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for node in (1, 2):
                below = descendants(self.nodes[node].pid)
                if any(name_of(pid).startswith("ray::ImplicitFunc.train") for pid in below):
                    return node
            time.sleep(0.05)
        raise AssertionError("no trial runs on a worker node")

    def kill(self, node: int) -> None:
        """A node and all its processes, without a warning."""
        kill_tree(self.nodes[node])

    def kill_all(self) -> None:
        for node in reversed(self.nodes):
            kill_tree(node)


def kill_tree(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        for pid in descendants(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
    process.wait()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def name_of(pid: int) -> str:
    """What a process is called; nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def descendants(root: int) -> set[int]:
    """Processes below a process."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = parent_of(int(folder.name))
    found: set[int] = set()
    fresh = {root}
    while fresh := {pid for pid, parent in parents.items() if parent in fresh}:
        found |= fresh
    return found


@pytest.fixture
def background() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that end with the test, however it ends."""
    started: list[subprocess.Popen[str]] = []

    def start(line: list[str], **options: Any) -> subprocess.Popen[str]:
        started.append(subprocess.Popen(line, text=True, **options))
        return started[-1]

    yield start
    for process in started:
        kill_tree(process)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="tsc-", dir="/tmp"))  # Ray's sockets: a short path
    made = Cluster(folder)
    try:
        made.start_all()
        yield made
    finally:
        made.kill_all()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(condition: Callable[[], Any], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def phases(home: Path) -> set[str]:
    return {path.parent.name for path in home.glob("phases/*/record.json")}


def record_of(home: Path) -> StudyRecord:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return read_study(ExperimentAddress(uri).for_study("tiny"))


def outcome(record: StudyRecord) -> dict[int, Any]:
    """What has to be equal, wherever the search ran."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


def answer_of(url: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_without_the_token(
    cluster: Cluster, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/api/version", "/api/jobs/", "/api/v0/nodes"):
        assert answer_of(cluster.url + path, None) == 401
        assert answer_of(cluster.url + path, "wrong") == 403
        assert answer_of(cluster.url + path, cluster.token) == 200
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("wrong")
    for options, message in (
        ([], "asks for a token (401)"),
        (["--token-file", wrong], "refuses the token (403)"),
        (["--token-file", cluster.token_file], "no job of study 'unknown'"),
    ):
        for line in (["logs", "unknown"], ["cancel", "unknown"]):
            found = cli(*line, "--address", cluster.url, *options)
            assert found.code == 2
            assert message in found.err
            assert found.err.count("\n") == 1
            assert cluster.token not in found.err
    monkeypatch.setenv("RAY_AUTH_TOKEN", cluster.token)
    assert "no job of study" in cli("logs", "unknown", "--address", cluster.url).err


def test_a_study_as_a_job(
    cluster: Cluster,
    finished: Any,
    cli: Cli,
    command: Command,
    background: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    there = ["--address", cluster.url, "--token-file", cluster.token_file]

    # submitted, once at a time; followed
    first = cli("submit", finished.file, "--home", home, *there)
    assert first.code == 0, first.err
    assert "transfer-search.tiny.1" in first.out
    twice = cli("submit", finished.file, "--home", home, *there)
    assert twice.code == 2
    assert "as job transfer-search.tiny.1; follow it" in twice.err
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    follower = background(command("logs", "tiny", "--follow", *there), **pipes)
    wait_until(lambda: len(phases(home)) >= 3)
    wait_until(lambda: metrics(cluster).get("trials_left", 99) < 6, seconds=30)

    # cancelled: it ends as by Ctrl-C, in time, and nothing is lost
    began = time.monotonic()
    cancelled = cli("cancel", "tiny", *there)
    assert cancelled.code == 0, cancelled.err
    assert "stopped" in cancelled.out
    assert time.monotonic() - began < 45
    printed, _ = follower.communicate(timeout=30)
    assert "[1/6] trial " in printed  # two run at a time: either may be the first
    assert "interrupted; run the same command again to continue" in printed
    states = Counter(trial.state for trial in optuna_trials(home))
    assert states[OptunaState.RUNNING] >= 1
    assert states[OptunaState.FAIL] == 0
    url = f"sqlite:///{home / 'optuna.db'}"
    assert OptunaStudy.open(url, finished.settings).read_mark("driver") is None
    assert not (home / "ray-train").exists()

    # gone on with, and a node killed in the middle of a trial
    again = cli("submit", finished.file, "--home", home, *there)
    assert "transfer-search.tiny.2" in again.out, again.err
    cluster.kill(cluster.node_with_trial())
    ended = subprocess.run(
        command("logs", "tiny", "--follow", *there), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    standing = json.loads(cli("status", "tiny", "--home", home, "--json", *there).out)
    assert standing["job"]["state"] == "succeeded"
    assert standing["standing"]["trials"]["scored"] == 6
    assert standing["standing"]["trials_left"] == 0
    assert outcome(record_of(home)) == outcome(finished.record)
    assert phases(home) == phases(finished.home)
    reports = [
        json.loads(cli("report", "tiny", "--home", place, "--json").out)["trials"]
        for place in (home, finished.home)
    ]
    scores = [[(trial["number"], trial["objective"]) for trial in trials] for trials in reports]
    assert scores[0] == scores[1]
    lines = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
    assert {line["study"] for line in lines} == {"tiny"}
    assert sum(line["message"] == "trial finished" for line in lines) >= 6
    assert cluster.token not in (home / "log.jsonl").read_text() + ended.stdout + printed


def test_a_node_that_does_not_see_the_home_folder(
    cluster: Cluster, finished: Any, command: Command, tmp_path: Path
) -> None:
    """A node that sees another file system there, as a host without the network's does."""
    apart = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{tmp_path}" && exec "$@"', ""]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount anything")
    num_nodes = sum(node.poll() is None for node in cluster.nodes)
    # One that was killed a moment ago is still alive to the head.
    wait_until(lambda: cluster.num_alive() == num_nodes, seconds=60)
    cluster.start("--num-cpus=1", f"--address=127.0.0.1:{cluster.port}", within=apart)
    cluster.wait_for(num_nodes + 1)
    line = command("run", finished.file, "--home", tmp_path / "home")
    refused = subprocess.run(
        [*line, f"--address=127.0.0.1:{cluster.port}"],
        capture_output=True,
        text=True,
        env=cluster.environment,
        check=False,
    )
    assert refused.returncode == 2, refused.stderr
    assert f"does not see the home folder {tmp_path / 'home'} (No such file" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()
    cluster.kill(len(cluster.nodes) - 1)
    wait_until(lambda: cluster.num_alive() == num_nodes, seconds=60)


def test_the_head_is_killed_and_a_new_one_goes_on_and_retrains(
    cluster: Cluster, finished: Any, command: Command, cli: Cli, tmp_path: Path
) -> None:
    home, log = tmp_path / "home", (tmp_path / "log").open("w")
    line = command("run", finished.file, "--home", home)
    address = f"--address=127.0.0.1:{cluster.port}"
    driver = subprocess.Popen([*line, address], stdout=log, stderr=log, env=cluster.environment)
    try:
        wait_until(lambda: driver.poll() is not None or len(phases(home)) >= 3)
        assert driver.poll() is None, (tmp_path / "log").read_text()
        cluster.kill_all()
        driver.send_signal(signal.SIGKILL)  # it was on the head
    finally:
        kill_tree(driver)
    cluster.start_all()
    there = ["--address", cluster.url, "--token-file", cluster.token_file]
    for words in ([], ["--retrain", "--seeds", 1]):
        submitted = cli("submit", finished.file, "--home", home, *there, *words)
        assert submitted.code == 0, submitted.err
        ended = subprocess.run(
            command("logs", "tiny", "--follow", *there), capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert outcome(record_of(home)) == outcome(finished.record)
    assert "registered tiny-rel version 1" in ended.stdout
    record = record_of(home)
    retrained, baseline = record.retrains, best_baseline(record.rows)
    assert baseline is not None
    assert {row.role for row in retrained} == set(roles(best(record.rows).plan, baseline.plan))
    assert all(row.scores is not None for row in retrained)


def optuna_trials(home: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{home / 'optuna.db'}"
    return optuna.load_study(study_name="tiny", storage=url).trials


def metrics(cluster: Cluster) -> dict[str, float]:
    """What Ray's exporter on the head says of the search: name -> value, kinds added up."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{cluster.metrics_port}/metrics", timeout=10
        ) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    found: Counter[str] = Counter()
    for row in text.splitlines():
        name, _, rest = row.partition("{")
        if name.startswith("ray_transfer_search_") and 'study="tiny"' in rest:
            found[name.removeprefix("ray_transfer_search_")] += float(rest.rpartition(" ")[2])
    return dict(found)
