"""Files that a user names: endless ones, pipes and devices end with an error or at the limit."""

import os
import threading
from pathlib import Path

import pytest

from spaces import files
from spaces.files import read_limited


def test_a_file_is_read_to_its_end_or_one_byte_beyond_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in (0, 1, 9, 10):
        path.write_bytes(b"x" * size)
        assert read_limited(path, 10) == b"x" * size
    path.write_bytes(b"x" * 1000)
    assert read_limited(path, 10) == b"x" * 11


def test_an_endless_device_ends_at_the_limit() -> None:
    assert len(read_limited(Path("/dev/zero"), 1000)) == 1001
    assert read_limited(Path("/dev/null"), 1000) == b""


def test_a_pipe_is_read_until_its_writer_closes_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb") as file:
            for _ in range(50):
                file.write(b"ab" * 1000)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    assert read_limited(pipe, 1_000_000) == b"ab" * 50_000
    writer.join()


def test_a_pipe_without_a_writer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "WAIT_SECONDS", 0.05)
    with pytest.raises(TimeoutError, match="nothing was written into it"):
        read_limited(pipe, 10)


def test_a_folder_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "missing", "No such file"),
        (tmp_path / ("x" * 5000), "File name too long"),
    ):
        with pytest.raises(OSError, match=reason):
            read_limited(path, 10)
