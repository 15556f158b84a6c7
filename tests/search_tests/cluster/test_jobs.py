"""What is sent to a cluster and what is said when it says no; the jobs are test_cluster.py's."""

import json
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from search.cluster.jobs import Job, Jobs, entrypoint, read_token
from spaces.refusal import Refusal

HOSTILE = ["--name=a; touch /tmp/pwned", "--home=/x$(id)`id`'\"", "--data-root=\n&& id|id"]


def test_the_shell_sees_words_and_nothing_else(tmp_path: Path) -> None:
    command = entrypoint(HOSTILE)
    assert shlex.split(command) == ["exec", "transfer-search", "run", "study.toml", *HOSTILE]
    assert entrypoint([], command="retrain") == "exec transfer-search retrain study.toml"
    program = tmp_path / "transfer-search"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    seen = subprocess.run(command, shell=True, env=path, capture_output=True, check=True).stdout
    assert seen.decode().split("\0")[:-1] == ["run", "study.toml", *HOSTILE]


def details(name: str | None, status: JobStatus = JobStatus.RUNNING) -> JobDetails:
    return JobDetails(
        type=JobType.SUBMISSION,
        submission_id=name,
        status=status,
        entrypoint="",
        message=" said\nthis ",
        start_time=5000,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transfer-search.tiny.3", ("tiny", 3)),
        ("transfer-search.a.b.1.12", ("a.b.1", 12)),
        ("transfer-search.1", None),
        ("transfer-search.tiny.", None),
        ("transfer-search.tiny.x", None),
        ("transfer-search.tiny.²", None),
        ("raysubmit_1dxCeNvG1fCMVNHG", None),
        (None, None),
    ],
)
def test_jobs_are_known_by_their_names(name: str | None, expected: object) -> None:
    job = Job.of(details(name))
    assert (job and (job.study, job.attempt)) == expected


def test_when_a_job_is_over() -> None:
    states = {}
    for status in JobStatus:
        job = Job.of(details("transfer-search.tiny.1", status))
        assert job is not None
        states[job.state] = job.is_over
        assert (job.message, job.started, job.ended) == ("said\nthis", 5.0, None)
    assert {state for state, is_over in states.items() if not is_over} == {"pending", "running"}


def test_a_token_is_of_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o600)
    assert read_token(file, {}) == "secret"
    assert read_token(None, {"RAY_AUTH_TOKEN_PATH": str(file)}) == "secret"
    assert read_token(None, {"RAY_AUTH_TOKEN": "other", "RAY_AUTH_TOKEN_PATH": "x"}) == "other"
    assert read_token(file, {"RAY_AUTH_TOKEN": "other"}) == "secret", "what is named counts"
    assert read_token(None, {}) is None
    file.chmod(0o640)
    with pytest.raises(Refusal, match=r"other users may read token file .*; run chmod 600"):
        read_token(file, {})
    file.chmod(0o600)
    for text in ("", "two words", "two\nlines", "a\x00b"):
        file.write_text(text)
        with pytest.raises(Refusal, match="one word on one line"):
            read_token(file, {})
    file.write_bytes(b"\xff")
    with pytest.raises(Refusal, match="it is not ASCII text"):
        read_token(file, {})
    with pytest.raises(Refusal, match="No such file"):
        read_token(tmp_path / "none", {})


class Answering(BaseHTTPRequestHandler):
    """A server that gives every request the same answer."""

    status, body = 200, b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def answering() -> Iterator[Callable[[int, bytes], str]]:
    servers: list[HTTPServer] = []

    def start(status: int, body: bytes) -> str:
        handler = type("Handler", (Answering,), {"status": status, "body": body})
        servers.append(HTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_who_does_not_let_us_in(answering: Callable[[int, bytes], str]) -> None:
    old = json.dumps({"ray_version": "1.0"}).encode()
    for status, body, message in (
        (401, b"", r"asks for a token \(401\); give it with --token-file"),
        (403, b"", r"refuses the token \(403\)"),
        (404, b"", "is not a Ray dashboard"),
        (200, b"<html>", "is not a Ray dashboard"),
        (200, b"{}", "is not a Ray dashboard"),
        (200, old, "Ray version 1.0"),
    ):
        with pytest.raises(Refusal, match=message) as caught:
            Jobs(answering(status, body), "hunter2")
        assert "\n" not in str(caught.value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:9", "does not answer"),
        ("http://no-such-host.invalid:8265", "does not answer"),
        ("127.0.0.1:6379", "not the address of Ray's Jobs API"),
        ("ray://head:10001", "not the address of Ray's Jobs API"),
        ("http://me:hunter2@head:8265", "name or password in it"),
        ("http://[", "does not answer"),
    ],
)
def test_where_no_cluster_is(address: str, message: str) -> None:
    with pytest.raises(Refusal, match=message) as caught:
        Jobs(address, None)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
