"""`ui`, and the line that other commands print about it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import typer

from search.addresses import check_reachable
from search.cli import ui as command
from search.home import Home
from search.mlflow_view import local_server
from search.mlflow_view.local_server import Gate
from search.mlflow_view.state import TrialsView
from search.record.address import ExperimentAddress
from search.record.writer import RecordWriter
from spaces.refusal import Refusal

SERVER = "http://127.0.0.1:4711"


@pytest.fixture
def home(planted_home: Path, tmp_path: Path) -> Path:
    copytree(planted_home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> list[Gate]:
    """Serves nothing; holds the gate of each server that would have been started."""
    made: list[Gate] = []

    def serve(tracking_uri: str, *, port: int, on_ready: Callable[[str, Gate], None]) -> None:
        made.append(Gate(None))
        on_ready(SERVER, made[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(local_server, "serve", serve)
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The links that a browser was started with."""
    links: list[str] = []
    monkeypatch.setattr(typer, "launch", lambda link: links.append(link))
    return links


def test_the_printed_link_can_be_used_again_and_the_browsers_cannot(
    cli: Any, home: Path, gates: list[Gate], opened: list[str]
) -> None:
    done = cli("ui", "tiny", "--home", home)
    assert done.code == 0
    (gate,), (link,) = gates, opened
    page = (
        "#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=transfer-search.tiny"
    )
    assert done.out == f"{SERVER}/?token={gate.token}{page}\n"
    assert link == f"{SERVER}/?token={gate.once}{page}"
    assert "until Ctrl-C" in done.err


def test_no_browser(cli: Any, home: Path, gates: list[Gate], opened: list[str]) -> None:
    assert cli("ui", "tiny", "--home", home, "--no-browser").code == 0
    assert len(gates) == 1
    assert opened == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tinny"], "tinny"),
        (["tiny", "--experiment", "other"], "other"),
        (["tiny", "--tracking-uri", "http://127.0.0.1:9"], "does not answer"),
        (["tiny", "--tracking-uri", "ftp://h"], "scheme"),
        (["tiny", "--port", "70000"], "--port"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_started(
    cli: Any, home: Path, gates: list[Gate], arguments: list[str], said: str
) -> None:
    done = cli("ui", *arguments, "--home", home)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
    assert gates == []


def test_a_home_without_a_record(cli: Any, tmp_path: Path, gates: list[Gate]) -> None:
    done = cli("ui", "tiny", "--home", tmp_path / "none")
    assert done.code == 2
    assert "no MLflow database" in done.err
    assert not (tmp_path / "none").exists()


def test_report_names_the_command_of_a_home_folder(cli: Any, home: Path) -> None:
    done = cli("report", "tiny", "--home", home)
    assert f"All trials in MLflow: transfer-search ui tiny --home {home}\n" in done.out
    assert "transfer-search ui" not in cli("report", "tiny", "--home", home, "--json").out
    assert f"transfer-search ui tiny --home {home}\n" in cli("status", "tiny", "--home", home).out


@pytest.mark.parametrize(
    ("uri", "experiment", "is_default", "options"),
    [
        ("{home}/mlflow.db", "transfer-search", True, ""),
        ("{home}/mlflow.db", "transfer-search", False, " --home {home}"),
        ("{home}/mlflow.db", "my own", True, " --experiment 'my own'"),
        ("/else/m.db", "transfer-search", True, " --tracking-uri sqlite:////else/m.db"),
    ],
)
def test_the_command_names_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    uri: str,
    experiment: str,
    is_default: bool,
    options: str,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    address = ExperimentAddress(f"sqlite:///{uri.format(home=tmp_path)}", experiment)
    home = Home(tmp_path, is_default=is_default)
    command.say_where(address.for_study("tiny"), home, command.Console())
    named = options.format(home=tmp_path)
    assert capsys.readouterr().out == f"All trials in MLflow: transfer-search ui tiny{named}\n"


def wait_until_reachable(address: str) -> None:
    for _ in range(600):
        try:
            check_reachable(address)
        except Refusal:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{address} does not answer")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Iterator[str]:
    """The address of a real MLflow server."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.db").write_bytes(empty_database)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    line += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    # Its workers for jobs would take seconds and gigabytes.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_until_reachable(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.slow
def test_a_study_on_a_server(
    cli: Any,
    server: str,
    tmp_path: Path,
    settings_of: Any,
    opened: list[str],
    gates: list[Gate],
) -> None:
    """Nothing is started; passwords stay out of the links; the driver saved the view."""
    address = ExperimentAddress(server).for_study("s")
    record = RecordWriter(address, outbox=tmp_path / "outbox")
    settings = settings_of(study={"name": "s"})
    record.study_started(settings=settings.model_dump(mode="json"), digest="d", versions={})
    record.view_saved(TrialsView.of(settings))
    assert record.outbox.deliver_all()

    named = server.replace("//", "//me:hunter22@")
    where = ("s", "--home", tmp_path / "home", "--tracking-uri", named)
    done = cli("ui", *where)
    assert done.code == 0
    assert re.fullmatch(
        rf"{server}/#/experiments/\d+/runs\?workflowType=machine_learning"
        r"&viewStateShareKey=transfer-search\.s\n",
        done.out,
    )
    assert opened == [done.out.strip()]
    assert f"All trials in MLflow: {done.out}" in cli("report", *where).out
    assert f"All trials in MLflow: {done.out}" in cli("status", *where).out
    refused = cli("ui", *where, "--port", "1234")
    assert refused.code == 2
    assert "--port 1234 is of no use" in refused.err
    assert gates == []
