"""The stack of compose.yaml, really up: who is let in, what a job does, what the record holds."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import docker
import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from tests.image_tests.stack import CUT_STUDY, Stack

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
EVERYWHERE = """
import os, socket, ray
ray.init(address="auto")

@ray.remote(num_cpus=1)
def where():
    return socket.gethostname(), "MLFLOW_TRACKING_PASSWORD" in os.environ

host, knows_password = ray.get(where.remote())
print("elsewhere:", host != socket.gethostname(), "password:", knows_password)
"""


def _status(url: str, authorization: str | None = None, host: str | None = None) -> int:
    headers = {"Authorization": authorization, "Host": host}
    request = urllib.request.Request(url, headers={k: v for k, v in headers.items() if v})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def test_mlflow_lets_in_who_has_a_password(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.mlflow_port}"
    driver = _basic("driver", stack.secret("mlflow_driver_password"))
    admin = _basic("admin", stack.secret("mlflow_admin_password"))
    assert _status(url + SEARCH) == 401
    assert _status(url + SEARCH, _basic("admin", "password1234")) == 401  # MLflow's own default
    assert _status(url + SEARCH, driver) == _status(url + SEARCH, admin) == 200
    assert _status(url + SEARCH, driver, host="evil.example") == 403
    users = "/api/2.0/mlflow/users/get?username=admin"
    assert _status(url + users, driver) == 403  # the driver is no admin
    assert _status(url + users, admin) == 200


def test_ray_lets_in_who_has_the_token(stack: Stack) -> None:
    jobs = f"http://127.0.0.1:{stack.ray_port}/api/jobs/"
    assert _status(jobs) == 401
    assert _status(jobs, "Bearer " + "0" * 64) == 403
    assert _status(jobs, "Bearer " + stack.secret("ray_token")) == 200


def test_services_are_locked_down_and_on_loopback(
    stack: Stack, engine: docker.DockerClient
) -> None:
    label = f"com.docker.compose.project={stack.project}"
    services = engine.containers.list(filters={"label": label})
    assert len(services) == 4
    values = [path.read_text() for path in (stack.folder / ".secrets").iterdir()]
    for service in services:
        assert service.attrs["State"]["Health"]["Status"] in ("healthy", "starting")
        host = service.attrs["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Init"]
        assert not service.attrs["Config"]["User"].startswith(("0", "root"))
        published = [end for ends in (host["PortBindings"] or {}).values() for end in ends]
        assert {end["HostIp"] for end in published} <= {"127.0.0.1"}
        said = str(service.attrs) + service.logs().decode()
        assert not any(value in said for value in values)


@pytest.fixture
def jobs(stack: Stack) -> JobSubmissionClient:
    # By header: Ray reads RAY_AUTH_MODE once, when it is imported.
    token = {"Authorization": "Bearer " + stack.secret("ray_token")}
    return JobSubmissionClient(f"http://127.0.0.1:{stack.ray_port}", headers=token)


def _run(jobs: JobSubmissionClient, entrypoint: str) -> str:
    """What a job prints."""
    return _ended(jobs, jobs.submit_job(entrypoint=entrypoint))


def _ended(jobs: JobSubmissionClient, job: str) -> str:
    """What the job printed, once it is over; it must end well, within ten minutes."""
    deadline = time.monotonic() + 600
    while not jobs.get_job_status(job).is_terminal():
        assert time.monotonic() < deadline, jobs.get_job_logs(job)[-4000:]
        time.sleep(1)
    printed = jobs.get_job_logs(job)
    assert jobs.get_job_status(job) == JobStatus.SUCCEEDED, printed[-4000:]
    return printed


def test_a_task_of_a_job_runs_on_the_worker(stack: Stack, jobs: JobSubmissionClient) -> None:
    stack.compose(
        "exec", "-T", "ray-head", "sh", "-c", "cat > /work/job.py", stdin=EVERYWHERE.encode()
    )
    assert "elsewhere: True password: False" in _run(jobs, "python /work/job.py")


def test_a_submitted_study_is_in_the_record(
    stack: Stack, jobs: JobSubmissionClient, study: Path
) -> None:
    stack.compose(
        "exec", "-T", "ray-head", "sh", "-c", "cat > /work/cut.toml", stdin=study.read_bytes()
    )
    _run(jobs, "transfer-search pretrain /work/base --steps 40")
    assert "Study cut (finished)" in _run(jobs, "transfer-search run /work/cut.toml")
    assert "Study cut (finished)" in _run(jobs, "transfer-search report /work/cut.toml")
    runs = stack.compose(
        "exec",
        "-T",
        "postgres",
        "sh",
        "-c",
        'PGPASSWORD="$(cat /run/secrets/postgres_password)" '
        "psql -h 127.0.0.1 -U mlflow --tuples-only --command 'select count(*) from runs'",
    )
    assert int(runs.strip()) >= 3  # the study's and two trials'


def test_a_study_file_of_this_machine_is_submitted(
    stack: Stack, jobs: JobSubmissionClient, tmp_path: Path
) -> None:
    """By `submit`, with the token in a file; submitted again it finds all its trials."""
    _run(jobs, "transfer-search pretrain /work/sent-base --steps 40")
    study, token = tmp_path / "sent.toml", tmp_path / "token"
    study.write_text(CUT_STUDY.replace('"cut"', '"sent"').replace("/work/base", "/work/sent-base"))
    token.touch(mode=0o600)
    token.write_text(stack.secret("ray_token"))
    address = f"http://127.0.0.1:{stack.ray_port}"
    words = ["submit", study, "--address", address, "--token-file", token, "--json"]
    ids = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "search.cli", *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        ids.add(json.loads(done.stdout)["id"])
        assert "Study sent (finished)" in _ended(jobs, json.loads(done.stdout)["id"])
    assert len(ids) == 2
