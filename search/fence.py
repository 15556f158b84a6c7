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
ATTRIBUTE = "driver"


class Fence:
    """Taken on `__enter__` (raises Refusal), renewed by a thread, given back on `__exit__`.

    A database that fails is asked again; after STALE_SECONDS without a renewed mark anybody may
    take the study, so that it counts as lost. `lost` says why, and is empty until then.

    Args:
        read: the mark as it stands, None if there is none.
        write: replaces it.
        on_lost: called once, from the renewing thread, when the study is no longer this driver's.
    """

    def __init__(
        self,
        study: str,
        *,
        read: Callable[[], dict[str, Any] | None],
        write: Callable[[dict[str, Any] | None], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._study = study
        self._read = read
        self._write = write
        self._on_lost = on_lost
        self._id = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="fence", daemon=True)
        self.lost = ""

    def __enter__(self) -> "Fence":
        standing = self._read()
        if standing and not is_dead(standing):
            raise Refusal(
                f"study {self._study!r} is being run by process {standing['pid']} on "
                f"{standing['host']} (seen {max(0, time.time() - standing['time']):.0f} s ago); "
                "wait for it, stop it, or take another [study] name"
            )
        self._write(self._mark())
        time.sleep(0.2)  # two drivers at once: the one whose mark stands goes on
        self._check()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        try:
            if self._stands():
                self._write(None)
        except Exception as error:  # the mark goes stale by itself
            log.debug("the mark on study %s stays: %s", self._study, error)

    def _renew(self) -> None:
        renewed = time.monotonic()
        while not self._stop.wait(RENEW_SECONDS):
            try:
                if not self._stands():
                    self.lost = "another driver took it over"
                else:
                    self._write(self._mark())
                    renewed = time.monotonic()
            except Exception as error:
                log.warning("the mark on study %s cannot be renewed: %s", self._study, error)
                if time.monotonic() - renewed > STALE_SECONDS:
                    self.lost = f"its database has not answered for {STALE_SECONDS:.0f} s"
            if self.lost:
                self._on_lost()
                return

    def _check(self) -> None:
        if not self._stands():
            raise Refusal(f"study {self._study!r} was taken by another driver at the same moment")

    def _stands(self) -> bool:
        standing = self._read()
        return standing is not None and standing["id"] == self._id

    def _mark(self) -> dict[str, Any]:
        place = {"host": socket.gethostname(), "pid": os.getpid()}
        return {"id": self._id, "time": time.time(), **place}


def is_alive(pid: int) -> bool:
    """Whether a process of this host is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_dead(mark: dict[str, Any]) -> bool:
    """Too old, or its process is gone from this host."""
    if time.time() - mark["time"] > STALE_SECONDS:
        return True
    if mark["host"] != socket.gethostname():
        return False
    # A container that was started again has the same host name and often the same pid.
    return mark["pid"] == os.getpid() or not is_alive(mark["pid"])
