"""The image: what is in it, what is not, and that a search runs in it as on a cluster: root file
system read-only, a user that it does not know, no network."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from docker.models.images import Image
from docker.models.volumes import Volume

from tests.image_tests.stack import ROOT, Output, Start

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

LOCKED_DOWN = {
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "user": "12345:12345",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


def test_labels_user_and_environment(image: Image) -> None:
    config = image.attrs["Config"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "org.opencontainers.image."
    labels = {key.removeprefix(prefix): value for key, value in config["Labels"].items()}
    assert labels["title"] == project["name"]
    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]
    assert re.fullmatch("[0-9a-f]{40}", labels["revision"])
    assert labels["source"]
    assert config["User"] == "10001:10001"
    assert config["WorkingDir"] == "/work"
    assert not config["Entrypoint"]
    assert config["Healthcheck"]["Test"] == ["CMD", "healthy"]
    environment = dict(line.split("=", 1) for line in config["Env"])
    assert environment["PYTHONSAFEPATH"] == environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["HOME"] == "/tmp"


def test_history_and_environment_hold_nothing_of_the_build(image: Image) -> None:
    said = json.dumps([image.attrs["Config"]["Env"], image.history()])
    assert not re.search(r"PIP_|pip\.conf|://[^/\s]+@|password|BEGIN [A-Z ]*PRIVATE", said, re.I)


def test_commands_are_there_without_a_login_shell(output: Output) -> None:
    for command in ("bash", "ray", "mlflow", "transfer-search", "healthy"):
        assert output(["/bin/bash", "-c", f"command -v {command}"]).startswith("/")
    assert output("python -c 'import boto3, flask_wtf, psycopg2'") == ""


def test_doctor(output: Output) -> None:
    options = {**LOCKED_DOWN, "tmpfs": {"/tmp": "", "/work": ""}}
    assert "import search: belongs to transfer-search" in output(
        "transfer-search doctor", **options
    )


def test_no_build_tools_no_caches_nothing_setuid(output: Output) -> None:
    tools = "gcc cc g++ c++ clang make ld pip pip3 git"
    look = (
        f"for tool in {tools}; do command -v $tool; done; "
        "python -c 'import pip' 2>/dev/null && echo 'pip can be imported'; "
        "find / -xdev -type f -perm /6000; "
        "find / -xdev -name 'pip.conf'; "
        "find / -xdev -type d -name .cache -not -empty; "
        "find /work /source /pip /root -mindepth 1 -not -name '.bashrc' -not -name '.profile'; "
        "true"
    )
    found = output(["bash", "-c", f"({look}) 2>/dev/null"], user="0:0")
    assert found == ""


def test_bytecode_is_there_so_that_a_read_only_root_costs_no_start_up_time(
    output: Output,
) -> None:
    program = (
        "import importlib.util as u, pathlib; "
        "[print(p) for m in ('search.cli.app', 'trainables.training.trial', "
        "'spaces.study_file.study', 'ray', 'mlflow') "
        "for p in [pathlib.Path(u.cache_from_source(u.find_spec(m).origin))] if not p.exists()]"
    )
    assert output(["python", "-c", program]) == ""


def test_nothing_is_imported_from_the_working_directory(output: Output) -> None:
    command = "cd /tmp && echo 'raise SystemExit(9)' > torch.py && python -c 'import torch'"
    assert output(["bash", "-c", command], **LOCKED_DOWN) == ""


def test_ray_without_a_token_stays_down(start: Start) -> None:
    container = start("ray start --head --block --num-cpus=0", **LOCKED_DOWN)
    assert container.wait()["StatusCode"] != 0
    assert b"token" in container.logs()


def test_the_health_check_says_when_work_cannot_be_written(start: Start) -> None:
    container = start("sleep 600", user="12345:12345", read_only=True, tmpfs={"/tmp": ""})
    result = container.exec_run("healthy")
    assert result.exit_code == 1
    assert b"/work cannot be written" in result.output


def test_a_search_runs_read_only_without_a_network_as_a_user_unknown(
    start: Start, output: Output, work: Volume, study: Path
) -> None:
    volumes = {
        work.name: {"bind": "/work", "mode": "rw"},
        str(study): {"bind": "/study.toml", "mode": "ro"},
    }
    output("transfer-search pretrain /work/base --steps 40", volumes=volumes, **LOCKED_DOWN)
    printed = output("transfer-search run /study.toml", volumes=volumes, **LOCKED_DOWN)
    assert "Study cut (finished)" in printed
    report = output("transfer-search report /study.toml --json", volumes=volumes, **LOCKED_DOWN)
    assert len(json.loads(report)["trials"]) == 2
    idle = start("sleep 600", volumes=volumes, **LOCKED_DOWN)
    assert idle.exec_run("healthy").exit_code == 0

    # On a root that can be written, as root, nothing is written beside /work and /tmp either.
    loose = {"volumes": volumes, "tmpfs": {"/tmp": ""}, "user": "0:0"}
    for command in ("transfer-search doctor", "transfer-search run /study.toml"):
        container = start(command, **loose)
        assert container.wait()["StatusCode"] == 0
        changed = [change["Path"] for change in container.diff() or []]
        assert set(changed) <= {"/study.toml", "/tmp", "/work"}


@pytest.mark.usefixtures("image")
def test_what_is_refused_at_build() -> None:
    """An unknown build of torch is refused in one line, before anything is fetched."""
    flags = shlex.split(os.environ.get("BUILD_FLAGS", ""))
    done = subprocess.run(
        ["docker", "build", *flags, "--build-arg", "TORCH=rocm", "."],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "TORCH=rocm: give cpu or cuda" in done.stderr
