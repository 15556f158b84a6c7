"""The status of a study in numbers, from its record: what `status` shows. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from search.display.number_format import duration
from search.record.reader import StudyRecord
from search.trials.ranking import TrialState, ranked
from search.trials.spending import gpu_hours_left, spent_gpu_hours

NOT_COUNTED = (TrialState.RUNNING, TrialState.DUPLICATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """The status of a study, as its record has it. The budget is the one that the driver was last
    given."""

    study: str
    """The name of the study."""
    state: str
    """`finished`, or `running` until the driver closed the study."""
    trials: Mapping[str, int]
    """State of a trial -> how many trials have it."""
    trials_left: int
    """How many trials of the budget have not ended; duplicates do not count against it."""
    best_trial: int | None
    """The number of the best trial; null until one is scored."""
    best_objective: float | None
    """The objective of the best trial, a score in [0, 1] unless the study's first objective is
    another one."""
    best_plan: str | None
    """The plan of the best trial in words."""
    num_trained: int
    """How many phases were trained."""
    num_reused: int
    """How many of the phases that ended trials list were found in the store."""
    training_seconds: float
    """The seconds that training these phases took."""
    tokens_per_second: float | None
    """Tokens that training read in a second, padding included; null before the first phase."""
    gpu_hours: float
    """The training time in hours times the GPUs of a trial."""
    gpu_hours_left: float | None
    """GPU-hours of the budget less what ended trials took; null without `max_gpu_hours`."""

    @classmethod
    def of(cls, record: StudyRecord) -> "StudyStatus":
        """Count what the record of a study holds."""
        best = next(iter(ranked(record.rows)), None)
        listed = sum(len(row.phase_keys) for row in record.rows if row.state not in NOT_COUNTED)
        listed_keys = {
            key for row in record.rows if row.state not in NOT_COUNTED for key in row.phase_keys
        }
        seconds = sum(phase.seconds for phase in record.phases)
        tokens = sum(phase.num_tokens for phase in record.phases)
        budget = record.settings.budget
        counted = sum(1 for row in record.rows if row.state not in NOT_COUNTED)
        return cls(
            study=record.name,
            state=record.state,
            trials=dict(sorted(Counter(row.state.value for row in record.rows).items())),
            trials_left=max(0, budget.num_trials - counted) if budget else 0,
            best_trial=best.number if best else None,
            best_objective=best.objective if best else None,
            best_plan=str(best.plan) if best else None,
            num_trained=len(record.phases),
            num_reused=listed - len(listed_keys),
            training_seconds=seconds,
            tokens_per_second=tokens / seconds if tokens and seconds else None,
            gpu_hours=record.settings.resources.num_gpus * seconds / 3600,
            gpu_hours_left=gpu_hours_left(budget, spent_gpu_hours(record.rows)) if budget else None,
        )

    def lines(self) -> list[str]:
        """The lines that `status` prints."""
        ended = ", ".join(f"{count} {state}" for state, count in self.trials.items()) or "none yet"
        lines = [
            f"study {self.study} ({self.state})",
            f"trials: {ended}; {self.trials_left} of the budget left",
        ]
        if self.gpu_hours_left is not None:
            lines.append(f"GPU-hours: {self.gpu_hours_left:.2f} of the budget left")
        if self.best_objective is not None:
            score = f"{100 * self.best_objective:.1f}"
            lines.append(f"best: {score}, trial {self.best_trial}, {self.best_plan}")
        speed = f", {self.tokens_per_second:,.0f} tokens/s" if self.tokens_per_second else ""
        gpus = f", {self.gpu_hours:.2f} GPU-hours" if self.gpu_hours else ""
        lines.append(
            f"stages: {self.num_trained} trained, {self.num_reused} reused; training took "
            f"{duration(self.training_seconds)}{speed}{gpus}"
        )
        return lines
