"""PlanQueue: decides which plan may run now, given the trials in flight. Uses no Ray and records
nothing."""

from collections.abc import Callable

from search.driver.trial_in_flight import TrialInFlight
from search.sampling.study import AskedTrial, OptunaStudy
from search.trials.spending import Spending
from spaces.phases import TrialPlan
from trainables.store.phase_store import PhaseStore
from trainables.training.key_facts import KeyFacts


class StoredPhases:
    """Knows which phases of a plan are in the store.

    A key that was found in the store, or reported by a trial, is not looked up again.
    """

    def __init__(self, key_facts: KeyFacts, store: PhaseStore) -> None:
        self._key_facts = key_facts
        self._store = store
        self._stored: set[str] = set()

    def keys(self, plan: TrialPlan) -> list[str]:
        """Return the keys of a plan's phases, in order."""
        stages = self._key_facts.stages(plan, trained_as=self._store.trained_as)
        return [key for key, _, _ in stages]

    def missing(self, plan: TrialPlan) -> set[str]:
        """Return the keys of a plan's phases that are not in the store."""
        keys = set(self.keys(plan))
        unknown = keys - self._stored
        self._stored |= {key for key in unknown if self._store.resolve(key) is not None}
        return keys - self._stored

    def add(self, *keys: str) -> None:
        """Note that a trial reported these phases as stored."""
        self._stored |= set(keys)


class PlanQueue:
    """Returns plans one by one: first those that an earlier driver left, then new ones from Optuna.

    A plan waits while a trial in flight trains a phase that the plan needs. A call that finds
    nothing to do reads neither the database nor the store.

    Attributes:
        live: Tune's name of a trial -> the trial in flight.
        again: trials whose worker failed and that must be started again.
    """

    def __init__(
        self,
        study: OptunaStudy,
        phases: StoredPhases,
        spending: Spending,
        *,
        num_trials: int,
        max_held: int,
        tell_duplicate: Callable[[AskedTrial], bool],
    ) -> None:
        self._study = study
        self._phases = phases
        self._spending = spending
        self._num_trials = num_trials
        self._max_held = max_held
        self._tell_duplicate = tell_duplicate  # returns False if no equal plan has a result
        self._left = study.running()
        self._held: list[AskedTrial] = []
        self._changed = False
        self.live: dict[str, TrialInFlight] = {}
        self.again: list[TrialInFlight] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run, including trials that an earlier driver left."""
        return not self._left and not self.again and not self._may_ask()

    @property
    def is_used_up(self) -> bool:
        """Whether all trials of the budget are asked for, or there is nothing new to try."""
        taken = self._study.history.num_counted + sum(map(len, (self.live, self.again, self._held)))
        return taken >= self._num_trials or self._study.is_used_up

    def changed(self) -> None:
        """Note that a phase was stored or a trial ended, so that held plans may be able to run."""
        self._changed = True

    def next(self) -> AskedTrial | None:
        """Return a plan that can run now; None if there is none."""
        return self._released() or self._fresh()

    def _fresh(self) -> AskedTrial | None:
        """Return the next new plan that can run now; hold the plans before it that have to wait."""
        while self._left or self._may_ask():
            asked = self._left.pop(0) if self._left else self._study.ask()
            if asked is None:
                return None
            if self._tell_duplicate(asked):
                continue
            if not self._waits(asked):
                return asked
            self._held.append(asked)
        return None

    def _may_ask(self) -> bool:
        return (
            not self.is_used_up
            and len(self._held) < self._max_held
            and self._spending.limit is None
        )

    def _released(self) -> AskedTrial | None:
        """Return the first held plan that no longer waits; any if nothing is in flight."""
        if not self._changed and self.live:
            return None
        self._changed = False
        for asked in list(self._held):
            if self.live and self._waits(asked):
                continue
            self._held.remove(asked)
            if not self._tell_duplicate(asked):
                self._changed = True  # other held plans may be able to run too
                return asked
        return None

    def _waits(self, asked: AskedTrial) -> bool:
        """Whether a trial in flight trains a phase that this plan needs, or has an equal plan."""
        in_flight = [*self.live.values(), *self.again]
        training = {key for trial in in_flight for key in trial.missing}
        is_equal = any(trial.asked.plan == asked.plan for trial in in_flight)
        return is_equal or bool(training & self._phases.missing(asked.plan))
