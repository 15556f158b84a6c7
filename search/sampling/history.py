"""History: the results of a study's ended trials, as its driver keeps them in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from search.sampling.drawing import ShownTrial
from search.sampling.warm_start import DUPLICATE_OF
from search.trials.feasibility import BaselineMeasure
from search.trials.spending import TrialSpending
from spaces.phases import TrialPlan
from spaces.space import SearchSpace

# User attributes of Optuna trials. The names are stored and must not change.
INCOMPLETE = "incomplete"  # the driver stopped before the trial had all its params
REASON = "reason"  # why the trial failed
BROKEN = "broken"  # a worker failed, not the plan
TOOK = "took"  # seconds and GPU-seconds until now
MEASURE = "measure"  # the baseline's scores that other trials are compared with


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The result of a plan.

    Attributes:
        number: the trial that ran the plan.
        values: one per objective; empty if the plan failed or was pruned.
        constraints: name -> value; 0 or less is satisfied.
        is_pruned: whether the trial was pruned.
    """

    number: int
    values: tuple[float, ...]
    constraints: Mapping[str, float]
    is_pruned: bool = False


class History:
    """The results of one study.

    Attributes:
        results: plan -> its result; the last one if several trials had the same plan.
        measures: measures of the baselines, in the order in which they ended.
        spent: trial -> time that it used until now.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._counted: set[int] = set()
        self.results: dict[TrialPlan, PlanResult] = {}
        self.measures: list[BaselineMeasure] = []
        self.spent: dict[int, TrialSpending] = {}

    @property
    def num_counted(self) -> int:
        """Number of finished trials that count against the budget: all but duplicates and
        incomplete trials."""
        return len(self._counted)

    @property
    def gpu_hours(self) -> float:
        """GPU hours of the trials in `num_counted`."""
        spent = (self.spent.get(number, TrialSpending()) for number in self._counted)
        return sum(trial.gpu_seconds for trial in spent) / 3600

    def remember(self, frozen: FrozenTrial) -> TrialPlan | None:
        """Take in a trial if it has ended and was not taken in before.

        Returns:
            The plan if a worker failed, since then the plan has no result; else None.
        """
        if not frozen.state.is_finished() or INCOMPLETE in frozen.user_attrs:
            return None
        if DUPLICATE_OF in frozen.user_attrs or frozen.number in self._counted:
            return None
        plan = self._space.decode(frozen.params)
        self._counted.add(frozen.number)
        if BROKEN in frozen.user_attrs:
            return plan
        values = frozen.values if frozen.state is TrialState.COMPLETE else ()
        is_pruned = frozen.state is TrialState.PRUNED
        self.results[plan] = PlanResult(frozen.number, tuple(values), frozen.constraints, is_pruned)
        if MEASURE in frozen.user_attrs:
            self.measures.append(BaselineMeasure(plan, **frozen.user_attrs[MEASURE]))
        return None


def informative_trials(trials: Iterable[FrozenTrial]) -> list[ShownTrial]:
    """Return the trials that carry information about their plan, each plan once.

    Duplicates, incomplete trials and trials whose worker failed are left out. So is a failed trial
    without a reason: it was trained, but its objectives could not be computed.
    """
    hidden = {INCOMPLETE, DUPLICATE_OF, BROKEN}
    return [
        ShownTrial.from_frozen(frozen)
        for frozen in trials
        if not hidden & frozen.user_attrs.keys()
        and (frozen.state is not TrialState.FAIL or frozen.user_attrs.get(REASON))
    ]
