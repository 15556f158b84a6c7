"""One driver a study: a mark in the study's attributes, renewed while the driver lives."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from spaces.refusal import Refusal

RENEW_SECONDS = 10.0
STALE_SECONDS = 60.0
ATTRIBUTE = "driver"


class Fence:
    """Taken on `__enter__` (raises Refusal), renewed by a thread, given back on `__exit__`.

    Args:
        read: the mark as it stands, None if there is none.
        write: replaces it.
        on_lost: called once, from the renewing thread, when another driver took the study over.
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
        self.lost = False

    def __enter__(self) -> "Fence":
        standing = self._read()
        if standing and not _is_dead(standing):
            raise Refusal(
                f"study {self._study!r} is being run by process {standing['pid']} on "
                f"{standing['host']} (seen {time.time() - standing['time']:.0f} s ago); wait for "
                "it, stop it, or take another [study] name"
            )
        self._write(self._mark())
        time.sleep(0.2)  # two drivers at once: the one whose mark stands goes on
        self._check()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if not self.lost:
            self._write(None)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            standing = self._read()
            if standing is None or standing["id"] != self._id:
                self.lost = True
                self._on_lost()
                return
            self._write(self._mark())

    def _check(self) -> None:
        standing = self._read()
        if standing is None or standing["id"] != self._id:
            raise Refusal(f"study {self._study!r} was taken by another driver at the same moment")

    def _mark(self) -> dict[str, Any]:
        place = {"host": socket.gethostname(), "pid": os.getpid()}
        return {"id": self._id, "time": time.time(), **place}


def _is_dead(mark: dict[str, Any]) -> bool:
    """Too old, or its process is gone from this host."""
    if time.time() - mark["time"] > STALE_SECONDS:
        return True
    if mark["host"] != socket.gethostname():
        return False
    try:
        os.kill(mark["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
