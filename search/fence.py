"""One driver per study: a mark in the study's attributes, renewed while the driver lives."""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from spaces.refusal import Refusal

log = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
STALE_SECONDS = 60.0
LOOK_SECONDS = 2.0  # between two readings of a mark that is watched
SETTLE_SECONDS = 0.5  # until the first renewal
# Attributes of the study: the driver that runs it, and the one that last tried to take it.
MARK, CLAIM = "driver", "driver_claim"

Mark = dict[str, Any]  # an attribute as Optuna keeps it: id, time, renewal, host, pid


class Fence:
    """Holds a study for one driver. `__enter__` takes the study (raises Refusal), a thread renews
    the mark, `__exit__` gives the study back.

    If the database fails, the thread tries again. After STALE_SECONDS without a renewed mark any
    driver may take the study, so this driver counts it as lost. `lost` says why; until then it is
    empty.

    Of several drivers that start at the same moment at most one continues, however long each of
    them stalls in between: a driver claims the study, checks once more that it is free, writes its
    mark, and continues only if the claim is still its own (the splitter of Moir and Anderson,
    1995). A driver that stops may have overwritten the mark or the claim of the one that continues.
    Therefore either of the two is enough to hold the study, and the next renewal restores the mark.

    Args:
        read: reads one of the attributes; None if there is none.
        write: replaces one of the attributes.
        on_lost: called once, from the renewing thread, when this driver has lost the study.
        wait: sleeps for this many seconds; returns True if the driver shall end instead of waiting.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        study: str,
        *,
        read: Callable[[str], Mark | None],
        write: Callable[[str, Mark | None], None],
        on_lost: Callable[[], None],
        wait: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self._read = read
        self._write = write
        self._on_lost = on_lost
        self._wait = wait or threading.Event().wait
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="fence", daemon=True)
        self.lost = ""

    def __enter__(self) -> "Fence":
        """Take the study. Raises KeyboardInterrupt if `wait` says that the driver shall end."""
        standing = self._read(MARK)
        if standing:
            seen = sign_of_life(
                self._study, lambda: self._read(MARK), wait=self._wait, clock=self._clock
            )
            if seen:
                raise Refusal(
                    f"study {self._study!r} is being run by {driver_of(standing)} ({seen}); "
                    "wait for it, stop it, or choose another [study] name"
                )
        self._write(CLAIM, {"id": self._id})
        if self._read(MARK) not in (None, standing):
            raise self._beaten()
        self._write(MARK, self._mark())
        if not self._is_mine(CLAIM):
            raise self._beaten()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        try:
            if self._stands():
                self._write(MARK, None)
        except Exception as error:  # the mark goes stale by itself
            log.debug("the mark on study %s stays: %s", self._study, error)

    def _renew(self) -> None:
        renewed, until_next = self._clock(), min(SETTLE_SECONDS, RENEW_SECONDS)
        while not self._stop.wait(until_next):
            until_next = RENEW_SECONDS
            try:
                if not self._stands():
                    self.lost = "another driver took it over"
                else:
                    self._write(MARK, self._mark())
                    renewed = self._clock()
            except Exception as error:
                log.warning("the mark on study %s cannot be renewed: %s", self._study, error)
                if self._clock() - renewed > STALE_SECONDS:
                    self.lost = f"its database has not answered for {STALE_SECONDS:.0f} s"
            if self.lost:
                self._on_lost()
                return

    def _beaten(self) -> Refusal:
        return Refusal(f"another driver took study {self._study!r} at the same moment")

    def _stands(self) -> bool:
        return self._is_mine(MARK) or self._is_mine(CLAIM)

    def _is_mine(self, name: str) -> bool:
        standing = self._read(name)
        return standing is not None and standing["id"] == self._id

    def _mark(self) -> Mark:
        """A new mark; each differs from the one before, so that a watching driver sees a change."""
        process = {"host": socket.gethostname(), "pid": os.getpid()}
        return {"id": self._id, "time": time.time(), "renewal": uuid.uuid4().hex[:8], **process}


def sign_of_life(
    study: str,
    read: Callable[[], Mark | None],
    *,
    wait: Callable[[float], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """The evidence that a driver runs the study, in words; empty if the study is free.

    Clocks of two hosts are never compared: a mark is watched, and its driver counts as dead if the
    mark does not change for STALE_SECONDS of this process's own clock. For a driver on this host
    one reading is enough if its process is gone, or if it renewed its mark within that time.

    Args:
        read: reads the mark; None if there is none.
        wait: sleeps for this many seconds; returns True if KeyboardInterrupt shall be raised.
        clock: seconds that never go back.
    """
    wait = wait or threading.Event().wait
    first = read()
    if first is None or is_gone(first):
        return ""
    age = time.time() - first["time"]
    if _is_here(first) and 0 <= age <= STALE_SECONDS:
        return f"seen {age:.0f} s ago"
    began, last_logged = clock(), -STALE_SECONDS
    while (watched := clock() - began) <= STALE_SECONDS:
        if watched - last_logged >= STALE_SECONDS / 3:
            last_logged = watched
            log.warning(
                "study %s is marked as run by %s; watching whether it renews the mark: "
                "%.0f of %.0f s",
                study,
                driver_of(first),
                watched,
                STALE_SECONDS,
            )
        if wait(LOOK_SECONDS):
            raise KeyboardInterrupt
        mark = read()
        if mark is None:
            return ""
        if mark != first:
            return f"its mark changed within {clock() - began:.0f} s"
    return ""


def driver_of(mark: Mark) -> str:
    """The process and the host of a mark, in words."""
    return f"process {mark['pid']} on {mark['host']}"


def is_gone(mark: Mark) -> bool:
    """Whether the mark's process ran on this host and is gone."""
    if not _is_here(mark):
        return False
    # A restarted container has the same host name and often the same process number.
    return mark["pid"] == os.getpid() or not is_alive(mark["pid"])


def _is_here(mark: Mark) -> bool:
    return bool(mark["host"] == socket.gethostname())


def is_alive(pid: int) -> bool:
    """Whether a process of this host exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
