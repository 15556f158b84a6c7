"""Outbox: stores records in a file until a server that may be unreachable has received them.

It does not know MLflow: it passes each record, in order, to a function. After a crash the function
may be called again with the same record.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from search.home import make_file, make_folder
from spaces.redaction import hide_secrets
from trainables.whole import write_whole

log = logging.getLogger(__name__)

Deliver = Callable[[Mapping[str, Any]], None]

_MAX_WAIT = 30.0
_MAX_ATTEMPTS = 3


class UndeliverableError(Exception):
    """The server answers but refuses this record, and would refuse it later too."""


class Outbox:
    """A file of JSON lines, and a second file with the position of the first undelivered line.

    `deliver` is called once for each record in order, by one thread and one process at a time. It
    is called again with the same record only if it raised, or if the process died before the
    position was written. After any exception except UndeliverableError the record is tried again,
    without limit. A record that was refused three times is moved to `<path>.refused`, so that it
    does not block the others.
    """

    def __init__(self, path: Path, deliver: Deliver) -> None:
        self.path = path
        self._deliver = deliver
        self._position_file = path.with_name(path.name + ".position")
        self._process_lock = filelock.FileLock(path.with_name(path.name + ".lock"), timeout=0)
        self._append_lock = threading.Lock()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._appended = False
        self._num_draining = 0
        self._refused = (-1, 0)  # position of the record last refused, and how often
        make_folder(path.parent)

    def __getstate__(self) -> Any:
        raise TypeError("an outbox stays in its process: it holds a connection")

    def append(self, record: Mapping[str, Any]) -> None:
        """Store a record durably (fsync) and return; this does not send it."""
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        make_file(self.path)
        with self._append_lock, self.path.open("ab+") as file:
            if file.tell() and not _ends_a_line(file.fileno(), file.tell()):
                line = b"\n" + line  # an earlier writer died in the middle of its record
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        with self._changed:
            self._appended = True
            self._changed.notify_all()

    @property
    def pending(self) -> int:
        """Number of records that are not yet delivered."""
        return sum(1 for _ in self._undelivered())

    def start(self) -> None:
        """Start the thread that delivers records in the background."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def deliver_all(self) -> bool:
        """Deliver all stored records in this thread; return False if another process is doing so.

        Raises what `deliver` raises; records that were delivered before stay delivered.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._process_lock)
            except filelock.Timeout:
                return False
            for start, end, record in self._undelivered():
                if record is not None:
                    self._deliver_one(start, record)
                self._write_position(end)
            return True

    def drain(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until everything is delivered; return whether it is."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._num_draining += 1
            self._changed.notify_all()
        try:
            while self.pending:
                seconds_left = deadline - time.monotonic()
                if seconds_left <= 0 or self._thread is None or not self._thread.is_alive():
                    return False
                with self._changed:
                    self._changed.wait(min(seconds_left, 0.1))
            return True
        finally:
            with self._changed:
                self._num_draining -= 1

    def close(self, timeout: float) -> bool:
        """Drain, then stop the thread; undelivered records stay in the file. Return whether all are
        delivered."""
        done = self.drain(timeout)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(max(1.0, timeout))
        return done

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._appended = False
            try:
                behind = not self.deliver_all()
                if failures:
                    log.info("the record is being sent again")
                failures = 0
            except Exception as error:
                behind = True
                failures += 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                log.log(
                    level,
                    "record kept in %s, to be sent later: %s",
                    self.path,
                    hide_secrets(str(error)),
                )
            self._rest(behind, failures)

    def _rest(self, behind: bool, failures: int) -> None:
        """Wait until a record comes or, if the last try failed, for a time that doubles with each
        failure."""
        with self._changed:
            self._changed.notify_all()
            draining = self._num_draining > 0
            if not behind:
                wait = _MAX_WAIT
            else:
                wait = 0.5 if draining else min(_MAX_WAIT, 0.5 * 2.0 ** min(failures, 10))

            def awake() -> bool:
                # After a failure, a new record is no reason to try earlier; a call of `drain` is.
                called = self._num_draining > 0 and not draining
                return self._stopping or called or (self._appended and not behind)

            self._changed.wait_for(awake, timeout=wait)

    def _deliver_one(self, start: int, record: Mapping[str, Any]) -> None:
        try:
            self._deliver(record)
        except UndeliverableError as error:
            times = self._refused[1] + 1 if self._refused[0] == start else 1
            self._refused = (start, times)
            if times < _MAX_ATTEMPTS:
                raise
            why = hide_secrets(str(error))
            log.error("record refused, moved to %s.refused: %s", self.path, why)
            refused = self.path.with_name(self.path.name + ".refused")
            make_file(refused)
            with refused.open("a") as file:
                file.write(json.dumps({"error": why, "record": record}) + "\n")

    def _undelivered(self) -> Iterator[tuple[int, int, dict[str, Any] | None]]:
        """Yield (start, end, record) of each undelivered line; the record is None if a crash cut
        the line off."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            position = self._read_position(file.fileno())
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                start, position = position, position + len(line)
                yield start, position, _parse(line)

    def _read_position(self, descriptor: int) -> int:
        try:
            position = int(self._position_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        # A position that is not at the end of a line belongs to a file that was replaced. Then all
        # is sent again, which is safe.
        return position if position and _ends_a_line(descriptor, position) else 0

    def _write_position(self, position: int) -> None:
        write_whole(self._position_file, str(position).encode())


def _ends_a_line(descriptor: int, position: int) -> bool:
    return os.pread(descriptor, 1, position - 1) == b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
