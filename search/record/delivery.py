"""Delivery: sends the outbox of one study to MLflow, which may be unreachable while it runs."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from search.moved_home import moved_file
from search.outbox.outbox import Outbox, UndeliverableError
from search.record.address import RecordAddress
from search.record.entries import Entry
from search.record.mlflow_client import Tracker, connect, delivering

Connect = Callable[[str], Any]


class Delivery:
    """Stores each entry as one line on disk. The thread of the outbox, once it is started, sends
    the lines to MLflow in order."""

    def __init__(
        self,
        address: RecordAddress,
        *,
        outbox: Path,
        connect: Connect = connect,
    ) -> None:
        self.address = address
        self.connect = partial(connect, address.tracking_uri)
        self._tracker: Tracker | None = None
        self.outbox = Outbox(outbox, self._deliver)

    def append(self, entry: Entry) -> None:
        """Store an entry in the outbox, with the time of now."""
        # The time of the event and not of its arrival, so that durations are right, and an entry
        # that is sent twice is the same both times.
        self.outbox.append({**entry, "time": time.time_ns() // 1_000_000})

    def open_tracker(self) -> Tracker:
        """Return a tracker for writing directly; use it only when the outbox is empty."""
        return Tracker(self.connect(), self.address.experiment)

    def _deliver(self, entry: Mapping[str, Any]) -> None:
        study = self.address.study
        tracker, self._tracker = self._tracker or self.open_tracker(), None
        with delivering():
            match entry["kind"]:
                case "run":
                    tracker.put_run(study, dict(entry))
                case "paths":
                    tracker.put_paths(study, {**entry, "paths": self._paths(entry)})
                case "gains":
                    tracker.put_gains(study, dict(entry))
                case "view":
                    tracker.put_view(dict(entry))
                case "model":
                    tracker.models.put(study, dict(entry))
                case kind:
                    raise UndeliverableError(f"unknown kind of entry {kind!r}")
        self._tracker = tracker  # kept only after success: its ids may be wrong after a failure

    def _paths(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """The files of an entry, which was perhaps stored before the home folder was moved."""
        home = self.outbox.path.parent.parent
        return {name: moved_file(path, home) for name, path in entry["paths"].items()}
