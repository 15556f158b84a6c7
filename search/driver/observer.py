"""What a search tells those who operate it: JSON lines in the home folder, and numbers.

The lines go through the `logging` module, so that what this package logs elsewhere is among them.
The numbers are of this driver's run; a run that goes on counts from its own start.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.driver.searcher import Watch
from search.trials.ranking import TrialRow, TrialState
from spaces.phases import Phase, TrialPlan
from spaces.study import StudySettings

log = logging.getLogger(__name__)
FILE, FIELDS = "log.jsonl", "fields"
PACKAGES = ("search", "trainables")

NUMBERS: Mapping[str, str] = {
    "trials": "Trials by how they ended (kind), and those that are running.",
    "trials_left": "Trials of the budget that are not finished.",
    "stages": "Phases that trials needed: trained, or reused from the phase store (kind).",
    "tokens_per_second": "Of the phase that was trained last, padding included.",
    "gpu_hours": "GPUs of a trial times the hours that it trained.",
    "gpu_hours_left": "Of max_gpu_hours, less what the finished trials of the study took.",
    "best_objective": "Of the scored trials that may win.",
}


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UTC), level, study, message, then the record's fields."""

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
        return json.dumps(content, ensure_ascii=False, default=str)


class Unwatched:
    """A watch that shows nothing."""

    def resumed(self, num_finished: int) -> None: ...

    def started(self, number: int, plan: TrialPlan) -> None: ...

    def moved(self, number: int, event: Mapping[str, Any]) -> None: ...

    def finished(self, row: TrialRow) -> None: ...


@contextmanager
def logging_to(folder: Path, study: str) -> Iterator[None]:
    """What our packages log from level INFO is appended to `log.jsonl` of a folder; warnings are
    still shown where they were."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / FILE, encoding="utf-8", delay=True)
    handler.setFormatter(JsonLines(study))
    loggers = [logging.getLogger(name) for name in PACKAGES]
    shown = [handler] if logging.lastResort is None else [handler, logging.lastResort]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        for each in shown:
            logger.addHandler(each)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            for each in shown:
                logger.removeHandler(each)
        handler.close()


class Observer:
    """A watch that logs and counts what it sees, and hands it on to another watch.

    `publish(name, value, study=..., kind=...)` gets the numbers as they change; it is set once
    there is somebody to publish to.
    """

    def __init__(self, watch: Watch, settings: StudySettings, *, gpu_hours: float = 0.0) -> None:
        self._watch = watch
        self._study = settings.study.name
        self._num_gpus = settings.resources.num_gpus
        self._spent_gpu_hours = gpu_hours  # of finished trials, those of earlier drivers too
        self._max_gpu_hours = settings.budget.max_gpu_hours
        self._left = settings.budget.num_trials
        self._counts: Counter[tuple[str, str]] = Counter()
        self._gpu_hours = 0.0
        self._best: float | None = None
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
        self._spent_gpu_hours += (row.seconds or {}).get("gpu", 0.0) / 3600
        self._tell_gpu_hours_left()
        if row.may_win and row.objective is not None:
            self._best = max(row.objective, row.objective if self._best is None else self._best)
            self._tell("best_objective", self._best)
        self._watch.finished(row)

    def _phase(self, number: int, event: Mapping[str, Any]) -> None:
        record, how = event["record"], "reused" if event["reused"] else "trained"
        phase = Phase.from_dict(record["phase"])
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
        if self._max_gpu_hours is not None:
            self._tell("gpu_hours_left", max(0.0, self._max_gpu_hours - self._spent_gpu_hours))

    def _count(self, name: str, kind: str, by: int = 1) -> None:
        self._counts[name, kind] += by
        self._tell(name, self._counts[name, kind], kind=kind)

    def _tell(self, name: str, value: float, **tags: str) -> None:
        if self._publish is not None:
            self._publish(name, value, study=self._study, **tags)


def _log(message: str, level: int = logging.INFO, **fields: Any) -> None:
    log.log(level, message, extra={FIELDS: fields})
