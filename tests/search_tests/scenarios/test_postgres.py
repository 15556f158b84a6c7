"""Optuna and MLflow on a real PostgreSQL server, started here from the system's packages."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from search.record.address import ExperimentAddress
from search.record.reader import read_study
from search.record.writer import RecordWriter
from search.sampling.storage import check_database
from search.sampling.study import OptunaStudy
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

pytestmark = pytest.mark.slow

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
EXPERIMENT = "transfer-search"


@dataclass(frozen=True)
class Server:
    port: int
    password: str

    def url(self, database: str, password: str | None = None) -> str:
        return f"postgresql://me:{password or self.password}@127.0.0.1:{self.port}/{database}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL server is installed here")
    folder = Path(tempfile.mkdtemp(prefix="tsp-", dir="/tmp"))  # its socket needs a short path
    made = Server(free_port(), secrets.token_hex(16))
    # PostgreSQL does not run as root.
    user: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
    secret, data = folder / "password", folder / "data"
    secret.write_text(made.password)
    if user:
        for path in (folder, secret):
            shutil.chown(path, "postgres")
    make = [PROGRAMS, "-D", data, "-U", "me", f"--pwfile={secret}", "--auth=scram-sha-256"]
    subprocess.run(make, check=True, capture_output=True, **user)
    line = [PROGRAMS.with_name("postgres"), "-D", data, "-p", str(made.port), "-k", folder]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([*line, "-h", "127.0.0.1"], stdout=log, stderr=log, **user)
        try:
            ready = PROGRAMS.with_name("pg_isready")
            asked = [ready, "-h", "127.0.0.1", "-p", str(made.port)]
            deadline = time.monotonic() + 60
            while subprocess.run(asked, capture_output=True, check=False).returncode:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.2)
            yield made
        finally:
            running.send_signal(signal.SIGINT)  # SIGTERM would wait for clients to leave
            running.wait(30)
            shutil.rmtree(folder, ignore_errors=True)


def test_a_study_s_trials(server: Server, settings_of: Callable[..., StudySettings]) -> None:
    settings = settings_of()
    url = server.url("postgres")
    check_database(url)
    tables = inspect(create_engine(url.replace("postgresql:", "postgresql+psycopg2:")))
    assert not tables.get_table_names(), "nothing is created"
    study = OptunaStudy.open(url, settings)
    asked = [study.ask() for _ in range(3)]
    study.tell_scored(asked[0], 0.5)
    study.write_mark("driver", {"host": "a'b", "time": 1.5})
    again = OptunaStudy.open(url, settings)
    assert again.history.num_counted == 1
    assert [left.plan for left in again.running()] == [trial.plan for trial in asked[1:]]
    assert again.read_mark("driver") == {"host": "a'b", "time": 1.5}
    with pytest.raises(Refusal, match="belongs to another study file"):
        OptunaStudy.open(url, settings_of(study={"seed": 6}))
    wrong = server.url("postgres", password="wrong-password")
    for refuse in (lambda: OptunaStudy.open(wrong, settings), lambda: check_database(wrong)):
        with pytest.raises(Refusal) as refused:
            refuse()
        assert "password" in str(refused.value)
        assert "wrong-password" not in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def tracking_uri(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PROGRAMS is not None
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    line = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    create = [PROGRAMS.with_name("createdb"), "-h", "127.0.0.1", "-p", str(server.port)]
    password = {**os.environ, "PGPASSWORD": server.password}
    # Of its own: MLflow and Optuna both keep the version of their tables in a table of one name.
    subprocess.run([*create, "-U", "me", "mlflow"], check=True, env=password)
    store = server.url("mlflow").replace("postgresql:", "postgresql+psycopg2:")  # as the image's
    line += ["--backend-store-uri", store, "--workers", "1"]
    line += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 180
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert running.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.3)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait(30)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


def test_the_record(tracking_uri: str, tmp_path: Path, planted: Any) -> None:
    """Whatever the store behind the server, what is read is what was written."""
    record = RecordWriter(
        ExperimentAddress(tracking_uri, EXPERIMENT).for_study("tiny"), outbox=tmp_path / "outbox"
    )
    rows = planted.study_rows()
    record.study_started(settings={"evaluation": {}}, digest="d", versions={})
    for row in rows:
        record.trial_finished(row, baseline=rows[1])
    record.study_finished(rows=rows, phases=[], summary={})
    record.study_described(note="**what** was found", figures={"heatmap": "<svg/>"})
    assert record.outbox.deliver_all()
    read = read_study(ExperimentAddress(tracking_uri, EXPERIMENT).for_study("tiny"))
    assert (read.rows, read.state) == (rows, "finished")
