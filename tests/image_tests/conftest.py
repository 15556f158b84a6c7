"""A Docker engine, the image built on it, and the stack of compose.yaml. Run by `make image-test`.

The environment says what the machine has: BUILD_FLAGS (as for `make image`), POSTGRES_IMAGE.
"""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from docker.models.images import Image
from docker.models.volumes import Volume

from tests.image_tests.stack import CUT_STUDY, ROOT, TAG, Output, Stack, Start, find_compose


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine answers ({error}): set DOCKER_HOST, or start one")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> Image:
    """The image, built as `make image` does: the SDK knows no BuildKit, so the client builds."""
    subprocess.run(["make", "image", f"IMAGE={TAG}"], cwd=ROOT, check=True)
    return engine.images.get(TAG)


@pytest.fixture(scope="session")
def work(engine: docker.DockerClient, image: Image) -> Iterator[Volume]:
    """A volume to mount at /work."""
    volume = engine.volumes.create(f"ts-test-{uuid.uuid4().hex[:8]}")
    yield volume
    volume.remove(force=True)


@pytest.fixture
def start(engine: docker.DockerClient, image: Image) -> Iterator[Start]:
    """Starts a container of the image without a network; it is gone after the test."""
    started: list[Container] = []

    def run(command: str | list[str], **options: object) -> Container:
        options = {"network_mode": "none", "detach": True, **options}
        started.append(engine.containers.run(TAG, command, **options))
        return started[-1]

    yield run
    for container in started:
        container.remove(force=True)


@pytest.fixture
def output(start: Start) -> Output:
    """What a command in the image prints; it must end well."""

    def run(command: str | list[str], **options: object) -> str:
        container = start(command, **options)
        status = container.wait()["StatusCode"]
        logs = str(container.logs(), "utf-8")
        assert status == 0, f"{command} ended with {status}:\n{logs[-4000:]}"
        return logs

    return run


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket study cut down to seconds, on a base at /work/base."""
    path = tmp_path_factory.mktemp("study") / "cut.toml"
    path.write_text(CUT_STUDY)
    path.chmod(0o644)  # it is read by whatever user the container runs as
    path.parent.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def stack(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One command up; at the end one command down."""
    compose = find_compose()
    if compose is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    folder = tmp_path_factory.mktemp("stack")
    shutil.copy(ROOT / "compose.yaml", folder)
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    subprocess.run([folder / "deploy" / "secrets.sh"], check=True)
    up = Stack(compose, folder)
    try:
        up.compose("up", "--detach", "--no-build")
        yield up
    finally:
        up.compose("down", "--volumes")
