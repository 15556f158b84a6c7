"""A full disk: recognised in what Python, SQLite, safetensors, Arrow and Ray raise."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from spaces.refusal import Refusal
from trainables.full_disk import disk_full_sentence, is_disk_full

NO_SPACE = os.strerror(errno.ENOSPC)


def chained(inner: BaseException, outer: BaseException) -> BaseException:
    try:
        raise outer from inner
    except BaseException as error:
        return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_it_is_known_by_its_number(number: int) -> None:
    error = OSError(number, os.strerror(number), "/store/phase")
    assert is_disk_full(error)
    assert f"(/store/phase: {os.strerror(number)})" in disk_full_sentence(error)
    assert is_disk_full(chained(error, RuntimeError("it failed")))
    assert is_disk_full(f"OSError: {error}")


def test_other_faults_are_none() -> None:
    for number in (errno.EACCES, errno.ENOENT, errno.EPIPE, errno.EROFS):
        assert not is_disk_full(OSError(number, os.strerror(number)))
    assert not is_disk_full(ValueError("No room"))
    assert not is_disk_full("")
    assert not is_disk_full(None)


def test_python_writing_to_a_full_device() -> None:
    with pytest.raises(OSError, match=NO_SPACE) as raised, open("/dev/full", "w") as file:
        file.write("x" * 100_000)
    assert is_disk_full(raised.value)
    assert NO_SPACE in disk_full_sentence(raised.value)


def test_arrow_writing_to_a_full_device() -> None:
    table = pa.table({"x": list(range(100_000))})
    with (
        pytest.raises((OSError, pa.ArrowException)) as raised,
        pa.OSFile("/dev/full", "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    assert is_disk_full(raised.value)


@pytest.mark.parametrize("writes", ["safetensors", "sqlite", "pages"])
def test_a_file_that_may_not_grow(writes: str, tmp_path: Path) -> None:
    """In a process of its own, because the limit holds for the whole process."""
    code = f"""
import sys
from tests.trainables_tests.test_full_disk import write_limited
print(write_limited({writes!r}, {str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("True"), (done.stdout, done.stderr[-300:])


def write_limited(writes: str, folder: str) -> bool:
    """Write a file beyond the limit of its size; whether the error is a full disk. `pages` is the
    limit that SQLite itself has, which it reports as it reports a full disk."""
    if writes != "pages":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        if writes == "safetensors":
            save_file({"x": torch.zeros(100_000)}, Path(folder) / "x.safetensors")
        else:
            connection = sqlite3.connect(Path(folder) / "x.db")
            connection.execute("create table t (x)")
            connection.execute("pragma max_page_count = 5")
            with connection:
                connection.executemany("insert into t values (?)", [("x" * 1000,)] * 100)
    except Exception as error:
        print(type(error).__name__, error)
        return is_disk_full(error)
    return False


def test_the_sentence_is_one_line_and_a_refusal_keeps_its_own() -> None:
    for error in (OSError(errno.ENOSPC, NO_SPACE), f"OSError: [Errno 28] {NO_SPACE}"):
        sentence = disk_full_sentence(error)
        assert "\n" not in sentence
        assert NO_SPACE in sentence
        assert "run the same command again" in sentence
    refusal = chained(OSError(errno.ENOSPC, NO_SPACE), Refusal("x.html cannot be written"))
    assert is_disk_full(refusal)
    assert disk_full_sentence(refusal) == "x.html cannot be written"


def test_the_line_that_says_it_is_shown_of_a_longer_text() -> None:
    text = f"Traceback (most recent call last):\n  File x\nOSError: [Errno 28] {NO_SPACE}\n\nmore"
    for error in (text, RuntimeError(text)):
        assert f"(OSError: [Errno 28] {NO_SPACE})" in disk_full_sentence(error)
