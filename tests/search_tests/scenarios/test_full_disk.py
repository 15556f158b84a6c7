"""A disk that fills up in the middle of a search, and the same command after room was made."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The home folder is a file system in memory of a few megabytes, in a mount namespace of its own.
SCRIPT = """
set -e
mkdir home
mount -t tmpfs -o size=5500k tmpfs home
code=0; "$@" > full.out 2> full.err || code=$?
echo $code > full.code
mount -o remount,size=60m home
code=0; "$@" > again.out 2> again.err || code=$?
echo $code > again.code
"""


@pytest.mark.slow
def test_a_disk_that_fills_up(
    command: Callable[..., list[str]], study_file: Callable[..., Path], tmp_path: Path
) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    able = subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    if able.returncode:
        pytest.skip("no file system can be mounted here")
    line = command("run", study_file(resources={"max_concurrent_trials": 1}), "--home", "home")
    subprocess.run(
        [*alone, "bash", "-c", SCRIPT, "bash", *line], cwd=tmp_path, check=True, timeout=500
    )

    def read(name: str) -> str:
        return (tmp_path / name).read_text()

    assert read("full.code") == "5\n", read("full.err")
    last = read("full.err").splitlines()[-1]
    assert last.startswith("transfer-search: a disk is full")
    assert "No space left on device" in last
    assert "Traceback" not in read("full.err") + read("full.out")
    finished = re.findall(r"^\[./5\] (trial \d) ", read("full.out"), re.MULTILINE)
    assert "trial 0" in finished, "it was full from the start"
    assert "failed" not in read("full.out")

    assert read("again.code") == "0\n", read("again.err")
    others = re.findall(r"^\[./.\] (trial \d) ", read("again.out"), re.MULTILINE)
    assert sorted(finished + others) == [f"trial {number}" for number in range(5)]


def test_nothing_fits(
    command: Callable[..., list[str]], study_file: Callable[..., Path], tmp_path: Path
) -> None:
    """A file may not grow beyond 1 KB, as with a quota: SQLite says so before anything starts."""
    line: list[Any] = command("run", study_file(), "--home", tmp_path / "home")
    script = 'ulimit -f 1; "$@"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *line], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("transfer-search: ")
