"""The search as it runs: bars with an ETA on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from search.display.number_format import duration
from search.trials.ranking import TrialRow, TrialState, better_of
from spaces.phases import TrialPlan

LINES = 10  # of progress where there is no terminal


@contextmanager
def counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (done, total): it shows a bar with an ETA on a terminal, else a line
    now and then. Nothing is shown before the first call: work with nothing to do is silent."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task(what, total=None)
    started: tuple[float, int] | None = None  # of the first call: time, and how many were done

    def on_done(done: int, of: int) -> None:
        nonlocal started
        started = started or (time.monotonic(), done)
        bar.start()
        bar.update(task, completed=done, total=of)
        if done == of:
            bar.stop()  # leaves the terminal to the next bar
        each = max(1, of // LINES)
        if not console.is_terminal and (done % each == 0 or done == of):
            since, before = started
            pace = (time.monotonic() - since) / max(1, done - before)
            text = f"{what}: {done}/{of}, about {duration(pace * (of - done))} left"
            console.print(text, highlight=False, markup=False)

    try:
        yield on_done
    finally:
        bar.stop()


class SearchProgress:
    """Watches a search: one bar for all trials, one line for each trial in flight.

    The ETA is the mean time between finished trials, times the trials left.
    """

    def __init__(self, console: Console, *, num_trials: int) -> None:
        self._console = console
        self._num_trials = num_trials
        self._num_finished = 0
        self._started = time.monotonic()
        self._tasks: dict[int, TaskID] = {}
        self._best: TrialRow | None = None
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._all = self._bars.add_task("trials", total=num_trials, note="")

    def __enter__(self) -> "SearchProgress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def resumed(self, num_finished: int) -> None:
        """Leave out the trials that earlier runs of the study finished."""
        self._num_trials -= num_finished
        self._bars.update(self._all, total=max(1, self._num_trials))

    def started(self, number: int, plan: TrialPlan) -> None:
        num_phases = sum(1 for target in plan.targets if target.phase) + (not plan.is_baseline)
        text = f"trial {number:4d}  {plan}"
        self._bars.start()  # not earlier: another bar may still use the terminal
        self._tasks[number] = self._bars.add_task(text, total=num_phases, note="")

    def moved(self, number: int, event: Mapping[str, Any]) -> None:
        task = self._tasks.get(number)
        if task is None:
            return
        if event["event"] == "progress":
            note = f"{event['phase']} step {event['step']}/{event['num_steps']}"
            self._bars.update(task, note=note)
        elif event["event"] == "phase":
            self._bars.update(task, advance=1, note="reused" if event["reused"] else "trained")
        elif event["event"] == "again":
            self._bars.reset(task)
            self._bars.update(task, note="started again")
            self._say(f"trial {number} is started again: {event['reason']}")

    def finished(self, row: TrialRow) -> None:
        task = self._tasks.pop(row.number, None)
        if task is not None:
            self._bars.remove_task(task)
        self._num_finished += 1
        self._best = better_of(self._best, row)
        self._bars.update(self._all, completed=self._num_finished, note=self._note())
        self._say(
            f"[{self._num_finished}/{self._num_trials}] trial {row.number} "
            f"{row.plan}: {_result(row)}   {self._note()}"
        )

    def _say(self, line: str) -> None:
        """Print a line without markup or wrapping: names and reasons come from outside."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _note(self) -> str:
        each = (time.monotonic() - self._started) / self._num_finished
        left = max(0, self._num_trials - self._num_finished) * each
        best = f"best {100 * (self._best.objective or 0):.1f}, " if self._best else ""
        return f"{best}about {duration(left)} left"


def _result(row: TrialRow) -> str:
    if row.objective is None:
        return f"{row.state} ({row.reason})" if row.reason else str(row.state)
    drops = f", may not win: a language drops by {100 * (row.largest_drop or 0):.1f}"
    return (
        f"{100 * row.objective:.1f}"
        + ("" if row.state is TrialState.SCORED else f" {row.state}")
        + (drops if row.is_feasible is False else "")
    )
