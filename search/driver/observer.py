"""Logs and counts what happens in a search, for its operators: JSON lines in the home folder, and
numbers for Prometheus.

The lines are written through the `logging` module, so they include what the packages log elsewhere.
The numbers count from the start of this driver, also if it continues an earlier run.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.driver.searcher import Watch
from search.home import make_file
from search.trials.ranking import TrialRow, TrialState, better_of
from search.trials.spending import gpu_hours_left, spent_gpu_hours
from spaces.phases import Phase, TrialPlan
from spaces.redaction import hide_secrets
from spaces.study_file.study import StudySettings

log = logging.getLogger(__name__)
FILE, FIELDS = "log.jsonl", "fields"
PACKAGES = ("search", "trainables")

NUMBERS: Mapping[str, str] = {
    "trials": "Number of trials by state (kind); running trials are one of the kinds.",
    "trials_left": "Number of trials of the budget that are not finished.",
    "stages": "Number of phases that trials needed, trained or reused from the store (kind).",
    "tokens_per_second": "Tokens per second of the last trained phase, padding included.",
    "gpu_hours": "Hours of training times the GPUs of a trial, summed over trials.",
    "gpu_hours_left": "max_gpu_hours minus the GPU hours of the study's finished trials.",
    "best_objective": "Best objective of the scored trials that may win.",
}


class JsonLines(logging.Formatter):
    """Formats a log record as one JSON object: time (UTC), level, study, message, its fields."""

    def __init__(self, study: str) -> None:
        super().__init__()
        self._study = study

    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "study": self._study,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            content["error"] = self.formatException(record.exc_info)
        shown = {
            name: hide_secrets(value) if isinstance(value, str) else value
            for name, value in content.items()
        }
        return json.dumps(shown, ensure_ascii=False, default=lambda value: hide_secrets(str(value)))


def _without_secrets(record: logging.LogRecord) -> bool:
    """Hide passwords and tokens in the message of a log record, for every handler; let it pass."""
    record.msg, record.args = hide_secrets(record.getMessage()), None
    if record.exc_info:
        record.exc_text = hide_secrets(logging.Formatter().formatException(record.exc_info))
    return True


class Unwatched:
    """A watch that shows nothing."""

    def resumed(self, num_finished: int) -> None: ...

    def started(self, number: int, plan: TrialPlan) -> None: ...

    def moved(self, number: int, event: Mapping[str, Any]) -> None: ...

    def finished(self, row: TrialRow) -> None: ...


class _LogFile(logging.FileHandler):
    """Drops a line that cannot be written, as on a full disk: a log stops no search."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            make_file(Path(self.baseFilename))
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Print no traceback, as logging does by default."""


@contextmanager
def logging_to(folder: Path, study: str) -> Iterator[None]:
    """Append what our packages log at level INFO or above to `log.jsonl` in a folder; warnings are
    also shown as before."""
    handler = _LogFile(folder / FILE, encoding="utf-8", delay=True)
    handler.setFormatter(JsonLines(study))
    loggers = [logging.getLogger(name) for name in PACKAGES]
    shown = [handler] if logging.lastResort is None else [handler, logging.lastResort]
    for target in shown:
        target.addFilter(_without_secrets)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        for target in shown:
            logger.addHandler(target)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            for target in shown:
                logger.removeHandler(target)
        for target in shown:
            target.removeFilter(_without_secrets)
        with suppress(OSError):
            handler.close()


class Observer:
    """A watch that logs and counts events, and passes them on to another watch.

    Once `publish_to` was called, `publish(name, value, study=..., kind=...)` is called whenever a
    number changes.
    """

    def __init__(self, watch: Watch, settings: StudySettings, *, gpu_hours: float = 0.0) -> None:
        self._watch = watch
        self._study = settings.study.name
        self._num_gpus = settings.resources.num_gpus
        self._spent_gpu_hours = gpu_hours  # of finished trials, those of earlier drivers too
        self._budget = settings.budget
        self._catalogue = settings.catalogue
        self._left = settings.budget.num_trials
        self._counts: Counter[tuple[str, str]] = Counter()
        self._gpu_hours = 0.0
        self._best: TrialRow | None = None
        self._publish: Callable[..., None] | None = None

    def publish_to(self, publish: Callable[..., None]) -> None:
        self._publish = publish
        self._tell("trials_left", self._left)
        self._tell_gpu_hours_left()

    def resumed(self, num_finished: int) -> None:
        self._left -= num_finished
        _log("the search begins", trials_left=self._left)
        self._watch.resumed(num_finished)

    def started(self, number: int, plan: TrialPlan) -> None:
        _log("trial started", trial=number, plan=str(plan))
        self._count("trials", TrialState.RUNNING.value)
        self._watch.started(number, plan)

    def moved(self, number: int, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "phase":
            self._phase(number, event)
        elif kind == "progress":
            steps = {name: event[name] for name in ("phase", "step", "num_steps")}
            _log("training", trial=number, **steps)
        elif kind == "trained":
            self._gpu_hours += self._num_gpus * event["seconds"] / 3600
            self._tell("gpu_hours", self._gpu_hours)
        elif kind == "error":
            _log("trial broke", logging.WARNING, trial=number, reason=event["reason"])
        elif kind == "again":
            _log("trial started again", trial=number, reason=event["reason"])
        elif kind == "drained":
            _log("trial left half-way", trial=number, reason=event["reason"])
        self._watch.moved(number, event)

    def finished(self, row: TrialRow) -> None:
        ended: dict[str, Any] = {
            "state": row.state.value,
            "objective": row.objective,
            "reason": row.reason,
        }
        _log("trial finished", trial=row.number, **{k: v for k, v in ended.items() if v})
        self._count("trials", TrialState.RUNNING.value, -1)
        self._count("trials", row.state.value)
        self._left -= 1
        self._tell("trials_left", max(0, self._left))
        self._spent_gpu_hours += spent_gpu_hours([row])
        self._tell_gpu_hours_left()
        self._best = better_of(self._best, row)
        if row.may_win and self._best is not None and self._best.objective is not None:
            self._tell("best_objective", self._best.objective)
        self._watch.finished(row)

    def _phase(self, number: int, event: Mapping[str, Any]) -> None:
        record, how = event["record"], "reused" if event["reused"] else "trained"
        phase = Phase.from_dict(record["phase"], self._catalogue)
        _log(
            f"phase {how}",
            trial=number,
            phase=str(phase.mixture),
            key=record["key"],
            step=record["num_steps"],
            learning_rate=phase.learning_rate,
        )
        self._count("stages", how)
        if not event["reused"] and record["seconds"]:
            self._tell("tokens_per_second", record["num_tokens"] / record["seconds"])

    def _tell_gpu_hours_left(self) -> None:
        left = gpu_hours_left(self._budget, self._spent_gpu_hours)
        if left is not None:
            self._tell("gpu_hours_left", left)

    def _count(self, name: str, kind: str, by: int = 1) -> None:
        self._counts[name, kind] += by
        self._tell(name, self._counts[name, kind], kind=kind)

    def _tell(self, name: str, value: float, **tags: str) -> None:
        if self._publish is not None:
            self._publish(name, value, study=self._study, **tags)


def _log(message: str, level: int = logging.INFO, **fields: Any) -> None:
    log.log(level, message, extra={FIELDS: fields})
