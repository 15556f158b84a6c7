"""One driver a study: a mark in the study's attributes, renewed while the driver lives."""

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
LOOK_SECONDS = 2.0  # between two looks at a mark that is watched
SETTLE_SECONDS = 0.5  # until the first renewal
# Attributes of the study: who drives it, and who set out to last.
MARK, CLAIM = "driver", "driver_claim"

Mark = dict[str, Any]


class Fence:
    """Taken on `__enter__` (raises Refusal), renewed by a thread, given back on `__exit__`.

    A database that fails is asked again; after STALE_SECONDS without a renewed mark anybody may
    take the study, so that it counts as lost. `lost` says why, and is empty until then.

    Of drivers that start at the same moment at most one goes on, however long each of them stalls
    in between: it claims the study, looks once more whether it is free, leaves its mark, and goes
    on if the claim is still its own (the splitter of Moir and Anderson 1995). One that does not
    go on may have written over the mark or the claim of the one that does, so that either of the
    two is enough to hold on to the study, and the next renewal mends the mark.

    Args:
        read: one of the attributes as it stands, None if there is none.
        write: replaces it.
        on_lost: called once, from the renewing thread, when the study is no longer this driver's.
        wait: sleeps so many seconds; True if the driver is to end, instead of going on waiting.
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
        """Raises KeyboardInterrupt where `wait` says that the driver is to end."""
        standing = self._read(MARK)
        if standing:
            seen = sign_of_life(
                self._study, lambda: self._read(MARK), wait=self._wait, clock=self._clock
            )
            if seen:
                raise Refusal(
                    f"study {self._study!r} is being run by {driver_of(standing)} ({seen}); "
                    "wait for it, stop it, or take another [study] name"
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
        return Refusal(f"study {self._study!r} was taken by another driver at the same moment")

    def _stands(self) -> bool:
        return self._is_mine(MARK) or self._is_mine(CLAIM)

    def _is_mine(self, name: str) -> bool:
        standing = self._read(name)
        return standing is not None and standing["id"] == self._id

    def _mark(self) -> Mark:
        """Another one each time: whoever watches sees that it changes."""
        place = {"host": socket.gethostname(), "pid": os.getpid()}
        return {"id": self._id, "time": time.time(), "renewal": uuid.uuid4().hex[:8], **place}


def sign_of_life(
    study: str,
    read: Callable[[], Mark | None],
    *,
    wait: Callable[[float], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """What shows that a study is being driven, in words; empty where it is free.

    No clock is compared with that of another host: a mark is watched, and is dead if it does not
    change for STALE_SECONDS of this driver's own clock. On this host one look is enough, where the
    process is gone, or is there and has renewed its mark within that time.

    Args:
        read: the mark as it stands.
        wait: sleeps so many seconds; True where KeyboardInterrupt is to be raised.
    """
    wait = wait or threading.Event().wait
    first = read()
    if first is None or is_gone(first):
        return ""
    age = time.time() - first["time"]
    if _is_here(first) and 0 <= age <= STALE_SECONDS:
        return f"seen {age:.0f} s ago"
    began, told = clock(), -STALE_SECONDS
    while (watched := clock() - began) <= STALE_SECONDS:
        if watched - told >= STALE_SECONDS / 3:
            told = watched
            log.warning(
                "study %s is marked as run by %s: watching whether it lives, %.0f of %.0f s",
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
    return f"process {mark['pid']} on {mark['host']}"


def is_gone(mark: Mark) -> bool:
    """Whether its process is known to be gone: one of this host."""
    if not _is_here(mark):
        return False
    # A container that was started again has the same host name and often the same pid.
    return mark["pid"] == os.getpid() or not is_alive(mark["pid"])


def _is_here(mark: Mark) -> bool:
    return bool(mark["host"] == socket.gethostname())


def is_alive(pid: int) -> bool:
    """Whether a process of this host is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
