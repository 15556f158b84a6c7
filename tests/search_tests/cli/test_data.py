"""The `data` commands as a user types them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

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


def test_check(cli: Run, file: Path, mirror: Path) -> None:
    done = cli("data", "check", file, "--data-root", mirror)
    assert done.code == 0, done.err
    assert "licence MIT (HF card): csqa" in done.out
    assert "no rows: pawsx validation in ko" in done.out
    assert "15 placeholders dropped" in done.out
    assert "checking: " in done.err
    assert str(mirror) not in done.out


def test_check_as_json(cli: Run, file: Path, mirror: Path) -> None:
    found = json.loads(cli("data", "check", file, "--data-root", mirror, "--json").out)
    assert found["errors"] == []
    assert {one["task"] for one in found["found"]} == {"csqa", "pawsx", "tatoeba"}
    assert {"task": "pawsx", "split": "test", "language": "ko", "is_needed": False} in found[
        "missing"
    ]


def test_what_is_wrong_ends_with_2(cli: Run, file: Path, tmp_path: Path, mirror: Path) -> None:
    for owner in ("google", "tau"):
        (tmp_path / "root" / owner).mkdir(parents=True)
    (tmp_path / "root/google/xtreme").symlink_to(mirror / "google/xtreme")
    done = cli("data", "check", file, "--data-root", tmp_path / "root")
    assert done.code == 2
    assert "error: unknown data set in data root" in done.out
    assert "'tau/commonsense_qa'" in done.out


def test_bundle(cli: Run, file: Path, mirror: Path, tmp_path: Path) -> None:
    done = cli("data", "bundle", file, tmp_path / "out", "--data-root", mirror)
    assert (done.code, done.out) == (0, f"wrote {tmp_path / 'out'}\n"), done.err
    assert cli("data", "check", file, "--data-root", tmp_path / "out").code == 0
    again = cli("data", "bundle", file, tmp_path / "out", "--data-root", mirror)
    assert again.code == 2
    assert again.err.endswith("exists already and is not an empty folder; name a new one\n")


def test_a_bundle_with_the_encoder(
    cli: Run, file: Path, mirror: Path, small_base: Path, tmp_path: Path
) -> None:
    file.write_text(STUDY.replace('encoder = "pocket"', 'encoder = "our/tiny"'))
    assert "our/tiny" in file.read_text()
    root, place = ("--data-root", mirror, "--encoder", small_base), "encoders/our/tiny"
    for name, flags in (("out", ()), ("bare", ("--no-encoder",))):
        made = cli("data", "bundle", file, tmp_path / name, *root, *flags)
        assert made.code == 0, made.err
        assert (tmp_path / name / place).is_dir() is (name == "out")
    checked = cli("data", "check", file, "--data-root", tmp_path / "out")
    assert checked.code == 0, checked.err
    assert f"encoder {tmp_path / 'out' / place}, digest " in checked.out.replace("\n", "")
    shown = json.loads(cli("data", "check", file, *root, "--json").out)
    assert shown["encoder"]["folder"] == str(small_base)
    missing = cli("plan", file, "--encoder", tmp_path / "none")
    assert missing.code == 2
    assert "is not a folder here; expected one with config.json" in missing.err


def test_a_bundle_says_what_it_leaves_out(
    cli: Run, file: Path, mirror: Path, tmp_path: Path
) -> None:
    """BUCC's corpora are read from their own files, here of three sentences each."""
    root, pair = tmp_path / "root", tmp_path / "root" / "bucc2018" / "de-en"
    pair.mkdir(parents=True)
    for owner in ("google", "tau"):
        (root / owner).symlink_to(mirror / owner)
    for split in ("sample", "training"):
        for code in ("de", "en"):
            lines = [f"{code}-00{n}\tSentence {n} in {code}.\n" for n in (1, 2, 3)]
            (pair / f"de-en.{split}.{code}").write_text("".join(lines))
        (pair / f"de-en.{split}.gold").write_text("de-001\ten-002\n")
    file.write_text(STUDY.replace('"tatoeba"', '"bucc"'))
    done = cli("data", "bundle", file, tmp_path / "out", "--data-root", root)
    assert done.code == 0, done.err
    wrote, left = done.out.splitlines()
    assert wrote == f"wrote {tmp_path / 'out'}"
    assert left.startswith("not copied: 'bucc2018': only its shared task may hand out")
    assert not (tmp_path / "out" / "bucc2018").exists()


def test_fetch_without_a_network(file: Path, tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its environment once."""
    command = [sys.executable, "-m", "search.cli", "data", "fetch", str(file)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    lines = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2, "one for each data set"
    assert all("cannot be reached (HF_HUB_OFFLINE is set)" in line for line in lines)
    assert "Traceback" not in done.stderr


def test_a_run_ends_at_a_bad_row_or_a_missing_data_set_in_a_line(
    cli: Run,
    file: Path,
    changed_root: Callable[..., Path],
    mirror: Path,
    small_base: Path,
    tmp_path: Path,
) -> None:
    file.write_text(STUDY.replace('encoder = "pocket"', f'encoder = "{small_base}"'))

    def change(rows: list[dict[str, Any]]) -> None:
        rows[2]["label"] = "7"

    root = changed_root("google/xtreme", "PAWS-X.de/validation", change)
    home = tmp_path / "home"
    for message in (
        "unknown data set in data root",
        "task 'pawsx', row 'validation-000002': unknown label '7'",
    ):
        done = cli("run", file, "--data-root", root, "--home", home)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1, done.err
        assert not (home / "optuna.db").exists(), "no study was begun"
        if not (root / "tau").exists():
            (root / "tau").symlink_to(mirror / "tau")
