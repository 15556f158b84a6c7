"""Delivery: from the outbox of one study to MLflow, which may be away while the study runs."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from search.record.address import RecordAddress
from search.record.entries import Entry
from search.record.mlflow_client import Tracker, connect, delivering
from search.record.outbox import Outbox, UndeliverableError

Connect = Callable[[str], Any]


class Delivery:
    """What is appended is one line on disk; a thread of the outbox, once it is started, brings the
    lines to MLflow in order."""

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
        # The time of the event, not of its arrival: durations hold, and sending twice is the same.
        self.outbox.append({**entry, "time": time.time_ns() // 1_000_000})

    def open_tracker(self) -> Tracker:
        """For what has to be written at once, when nothing waits any more."""
        return Tracker(self.connect(), self.address.experiment)

    def _deliver(self, entry: Mapping[str, Any]) -> None:
        study = self.address.study
        tracker, self._tracker = self._tracker or self.open_tracker(), None
        with delivering():
            match entry["kind"]:
                case "run":
                    tracker.put_run(study, dict(entry))
                case "paths":
                    tracker.put_paths(study, dict(entry))
                case "gains":
                    tracker.put_gains(study, dict(entry))
                case "model":
                    tracker.models.put(study, dict(entry))
                case kind:
                    raise UndeliverableError(f"unknown kind of entry {kind!r}")
        self._tracker = tracker  # kept only if all went well: ids may be stale after a failure
