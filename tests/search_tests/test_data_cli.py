"""The `data` commands as a user types them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STUDY = """
[study]
name = "small"
encoder = "pocket"
seed = 0
[space]
intermediate = ["none", "csqa"]
intermediate_learning_rate = [1e-3]
target_learning_rate = [1e-3]
targets = ["pawsx", "tatoeba"]
[training.intermediate]
num_steps = 1
batch_size = 4
max_length = 32
[training.target]
num_steps = 1
batch_size = 4
max_length = 48
[evaluation]
languages = ["de", "ko"]
[budget]
num_trials = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


def data(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "search.cli", "data", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=_env(environment))


def _env(environment: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "100", **environment}


def test_check(file: Path, mirror: Path) -> None:
    done = data("check", file, "--data-root", mirror)
    assert done.returncode == 0, done.stderr
    assert "licence MIT (HF card): csqa" in done.stdout
    assert "no rows: pawsx validation in ko" in done.stdout
    assert "15 placeholders dropped" in done.stdout
    assert "checking: " in done.stderr
    assert str(mirror) not in done.stdout


def test_check_as_json(file: Path, mirror: Path) -> None:
    done = data("check", file, "--data-root", mirror, "--json")
    found = json.loads(done.stdout)
    assert found["errors"] == []
    assert {one["task"] for one in found["found"]} == {"csqa", "pawsx", "tatoeba"}
    assert {"task": "pawsx", "split": "test", "language": "ko", "is_needed": False} in found[
        "missing"
    ]


def test_what_is_wrong_ends_with_2(file: Path, tmp_path: Path, mirror: Path) -> None:
    for owner in ("google", "tau"):
        (tmp_path / "root" / owner).mkdir(parents=True)
    (tmp_path / "root/google/xtreme").symlink_to(mirror / "google/xtreme")
    done = data("check", file, "--data-root", tmp_path / "root")
    assert done.returncode == 2
    assert "error: unknown data set in data root" in done.stdout
    assert "'tau/commonsense_qa'" in done.stdout


def test_bundle(file: Path, mirror: Path, tmp_path: Path) -> None:
    done = data("bundle", file, tmp_path / "out", "--data-root", mirror)
    assert (done.returncode, done.stdout) == (0, f"wrote {tmp_path / 'out'}\n"), done.stderr
    assert data("check", file, "--data-root", tmp_path / "out").returncode == 0
    again = data("bundle", file, tmp_path / "out", "--data-root", mirror)
    assert again.returncode == 2
    assert again.stderr.endswith("is there already and not an empty folder; name a new one\n")


def test_fetch_without_a_network(file: Path, tmp_path: Path) -> None:
    done = data("fetch", file, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "cannot be reached" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_run_ends_at_a_bad_row_or_a_missing_data_set_in_a_line(
    file: Path, changed_root: Callable[..., Path], mirror: Path, small_base: Path, tmp_path: Path
) -> None:
    file.write_text(STUDY.replace('encoder = "pocket"', f'encoder = "{small_base}"'))

    def change(rows: list[dict[str, Any]]) -> None:
        rows[2]["label"] = "7"

    root = changed_root("google/xtreme", "PAWS-X.de/validation", change)
    home = tmp_path / "home"
    run = [sys.executable, "-m", "search.cli", "run", file, "--data-root", root, "--home", home]
    for message in (
        "unknown data set in data root",
        "task 'pawsx', row 'validation-000002': unknown label '7'",
    ):
        done = subprocess.run(list(map(str, run)), capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert not (home / "optuna.db").exists(), "no study was begun"
        if not (root / "tau").exists():
            (root / "tau").symlink_to(mirror / "tau")
