"""The time and the GPU-hours that trials take, and whether the budget allows another one. Pure."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from search.trials.ranking import TrialRow
from spaces.study_file.sections import BudgetSection
from spaces.study_file.study import StudySettings


@dataclass(frozen=True, slots=True)
class TrialSpending:
    """What a trial took until now, over all drivers that ran it: seconds of wall time, and
    GPU-seconds (these times the GPUs that it held)."""

    seconds: float = 0.0
    gpu_seconds: float = 0.0


def spent_gpu_hours(rows: Iterable[TrialRow]) -> float:
    """GPU-hours that ended trials took, over all drivers that ran them."""
    return sum((row.seconds or {}).get("gpu", 0.0) for row in rows) / 3600


def gpu_hours_left(budget: BudgetSection, spent: float) -> float | None:
    """GPU-hours of the budget that are not spent, 0 at least; None where it does not limit them."""
    return None if budget.max_gpu_hours is None else max(0.0, budget.max_gpu_hours - spent)


class Spending:
    """The time and GPU-hours of a study's trials, as its driver counts them.

    `before` is what earlier drivers counted, by trial; `scored` are the numbers of the trials among
    them that were scored. A trial's time starts when it is handed to Ray.
    """

    def __init__(
        self,
        settings: StudySettings,
        before: Mapping[int, TrialSpending],
        scored: Iterable[int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_gpu_hours = settings.budget.max_gpu_hours
        self._max_hours = settings.budget.max_hours
        self._num_gpus = settings.resources.num_gpus
        self._clock, self._begun = clock, clock()
        self._took = dict(before)
        self._running: dict[int, float] = {}  # trial -> when this driver started it
        self._scored = [before[number] for number in scored if number in before]

    def begin(self, number: int) -> None:
        """Start the clock of a trial."""
        self._running[number] = self._clock()

    def took(self, number: int) -> TrialSpending:
        """What a trial took until now."""
        before = self._took.get(number, TrialSpending())
        if number not in self._running:
            return before
        seconds = self._clock() - self._running[number]
        return TrialSpending(
            before.seconds + seconds, before.gpu_seconds + seconds * self._num_gpus
        )

    def end(self, number: int, *, is_scored: bool) -> TrialSpending:
        """Stop the clock of a trial; what it took."""
        took = self.took(number)
        del self._running[number]
        self._took[number] = took
        if is_scored:
            self._scored.append(took)
        return took

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all trials, running ones included."""
        return sum(self.took(n).gpu_seconds for n in {*self._took, *self._running}) / 3600

    @property
    def limit(self) -> str | None:
        """The limit of the budget that one more trial would exceed, in a sentence; None if there is
        none. A trial is expected to take the median of the scored ones."""
        return self._limit_of_gpus() or self._limit_of_time()

    def _limit_of_gpus(self) -> str | None:
        if self._max_gpu_hours is None:
            return None
        used, limit = self.gpu_hours, f"{self._max_gpu_hours:g} GPU-hours"
        if used >= self._max_gpu_hours:
            return f"max_gpu_hours is reached: trials took {used:.2f} of {limit}"
        if not self._scored:
            return None
        one = median(took.gpu_seconds for took in self._scored) / 3600
        running = sum(max(0.0, one - self.took(n).gpu_seconds / 3600) for n in self._running)
        left = self._max_gpu_hours - used - running
        if one <= left:
            return None
        return (
            f"max_gpu_hours leaves {max(0.0, left):.2f} of {limit} once the trials that run are "
            f"over, and the median of the scored ones took {one:.2f}"
        )

    def _limit_of_time(self) -> str | None:
        if self._max_hours is None:
            return None
        left = self._max_hours * 3600 - (self._clock() - self._begun)
        if left <= 0:
            return f"max_hours is reached: this run took {self._max_hours:g} hours"
        lengths = [took.seconds for took in self._scored]
        if lengths and median(lengths) > left:
            return (
                f"max_hours leaves {left / 3600:.2f} of {self._max_hours:g} hours, and the median "
                f"of the scored trials took {median(lengths) / 3600:.2f}"
            )
        return None
