"""How a study stands, in numbers, from its record: what `status` shows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search.display.number_format import duration
from search.record.reader import StudyRecord
from search.trials.ranking import TrialState, ranked
from search.trials.spending import gpu_hours_left, spent_gpu_hours

NOT_COUNTED = (TrialState.RUNNING, TrialState.DUPLICATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """`num_trained` of the phases that trials list were trained, `num_reused` found in the store.

    `training_seconds` is the time of the trained phases, `gpu_hours` that times the GPUs of a
    trial. `trials_left` and `gpu_hours_left` are of the budget as the driver was last given it;
    these hours are less what the finished trials took, None where the budget has no such limit.
    """

    study: str
    state: str
    trials: Mapping[str, int]
    trials_left: int
    best_trial: int | None
    best_objective: float | None
    best_plan: str | None
    num_trained: int
    num_reused: int
    training_seconds: float
    tokens_per_second: float | None
    gpu_hours: float
    gpu_hours_left: float | None

    @classmethod
    def of(cls, record: StudyRecord) -> "StudyStatus":
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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """As `status` prints it."""
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
