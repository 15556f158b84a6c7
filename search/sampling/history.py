"""History: what the ended trials of a study were told, as its driver keeps it in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from search.sampling.drawing import ShownTrial
from search.sampling.warm_start import DUPLICATE_OF
from search.trials.feasibility import BaselineMeasure
from search.trials.spending import TrialSpending
from spaces.phases import TrialPlan
from spaces.space import SearchSpace

# Marks on trials: asked by half only; why it failed; and that this says nothing of its plan: what
# failed was a worker.
INCOMPLETE, REASON, BROKEN = "incomplete", "reason", "broken"
TOOK = "took"  # seconds and GPU-seconds until now
MEASURE = "measure"  # of a baseline: what others are measured against


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What a plan got: a value for each objective, none where it failed or was pruned; the
    constraints that it was told with (0 or less: satisfied)."""

    number: int
    values: tuple[float, ...]
    constraints: Mapping[str, float]
    is_pruned: bool = False


class History:
    """Of one study.

    Attributes:
        told: what each plan got; of equal ones the last.
        measures: of the baselines, in the order in which they were told.
        took: trial -> what it took until now.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._counted: set[int] = set()
        self.told: dict[TrialPlan, PlanResult] = {}
        self.measures: list[BaselineMeasure] = []
        self.took: dict[int, TrialSpending] = {}

    @property
    def num_counted(self) -> int:
        """Finished trials that count against the budget: all but duplicates and half-asked ones."""
        return len(self._counted)

    @property
    def gpu_hours(self) -> float:
        """Of the finished trials."""
        took = (self.took.get(number, TrialSpending()) for number in self._counted)
        return sum(one.gpu_seconds for one in took) / 3600

    def remember(self, frozen: FrozenTrial) -> TrialPlan | None:
        """A trial that may have ended: a second time changes nothing. Returns its plan where its
        worker broke, which says nothing of the plan."""
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
        self.told[plan] = PlanResult(frozen.number, tuple(values), frozen.constraints, is_pruned)
        if MEASURE in frozen.user_attrs:
            self.measures.append(BaselineMeasure(plan, **frozen.user_attrs[MEASURE]))
        return None


def seen_of(trials: Iterable[FrozenTrial]) -> list[ShownTrial]:
    """The trials that say something of their plan, each plan once. Of a trial that failed a
    reason is known; one whose score could not be told has none."""
    hidden = {INCOMPLETE, DUPLICATE_OF, BROKEN}
    return [
        ShownTrial.of(frozen)
        for frozen in trials
        if not hidden & frozen.user_attrs.keys()
        and (frozen.state is not TrialState.FAIL or frozen.user_attrs.get(REASON))
    ]
