"""deploy/secrets.sh: five random files that only their owner reads, made once."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "secrets.sh", tmp_path / "deploy")
    return tmp_path


def _made(checkout: Path) -> dict[str, str]:
    subprocess.run([checkout / "deploy" / "secrets.sh"], check=True, capture_output=True)
    return {path.name: path.read_text() for path in (checkout / ".secrets").iterdir()}


def test_what_compose_names_is_made_random_and_for_the_owner_alone(checkout: Path) -> None:
    made = _made(checkout)
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(made) == set(compose["secrets"])
    assert len(set(made.values())) == len(made)
    assert all(len(value) == 64 and int(value, 16) for value in made.values())
    user, group = (checkout / ".env").read_text().strip().removeprefix("SERVICE_USER=").split(":")
    for path in (checkout / ".secrets").iterdir():
        found = path.stat()
        assert (found.st_mode & 0o777, found.st_uid) == (0o600, int(user))
    assert int(user) > 0
    assert int(group) >= 0


def test_what_is_there_is_left_and_what_is_lost_is_made_again(checkout: Path) -> None:
    first = _made(checkout)
    (checkout / ".secrets" / "ray_token").unlink()
    second = _made(checkout)
    assert second.pop("ray_token") != first.pop("ray_token")
    assert second == first
    assert (checkout / ".env").read_text().count("SERVICE_USER") == 1


def test_what_is_made_is_ignored_by_git_and_not_in_the_image() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".secrets/", ".env"} <= set(ignored)
    first = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert first[0] == "*"
    assert not any("secret" in line or ".env" in line for line in first)
