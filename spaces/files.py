"""Reads a file that a user names, which may be endless, a pipe or a device."""

import os
import select
import stat
from pathlib import Path

WAIT_SECONDS = 10.0  # for the first and every further part of a pipe


def read_limited(path: Path, limit: int) -> bytes:
    """The content of a file, at most `limit` bytes and one more, which shows that there are more.

    A pipe is read until its writer closes it. Raises OSError where the file cannot be read, also
    where nothing is written into a pipe for `WAIT_SECONDS`.
    """
    # Without O_NONBLOCK a pipe that nobody writes into could not even be opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        parts: list[bytes] = []
        num_left = limit + 1
        while num_left > 0:
            if not is_regular and not select.select([descriptor], [], [], WAIT_SECONDS)[0]:
                raise TimeoutError(0, f"nothing was written into it for {WAIT_SECONDS:.0f} seconds")
            part = file.read(num_left)
            if part is None:  # another reader was faster
                continue
            if not part:
                break
            parts.append(part)
            num_left -= len(part)
    return b"".join(parts)
