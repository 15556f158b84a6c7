"""PlanQueue: which plan may run now, by what is in flight. No Ray, and nothing is recorded here."""

from collections.abc import Callable

from search.driver.trial_in_flight import TrialInFlight
from search.sampling.study import AskedTrial, OptunaStudy
from search.trials.spending import Spending
from spaces.phases import TrialPlan
from trainables.store.phase_store import PhaseStore
from trainables.training.key_facts import KeyFacts


class StoredPhases:
    """Which phases of a plan are in the store, which is asked once a key."""

    def __init__(self, key_facts: KeyFacts, store: PhaseStore) -> None:
        self._key_facts = key_facts
        self._store = store
        self._there: set[str] = set()

    def keys(self, plan: TrialPlan) -> list[str]:
        stages = self._key_facts.stages(plan, trained_as=self._store.trained_as)
        return [key for key, _, _ in stages]

    def missing(self, plan: TrialPlan) -> set[str]:
        keys = set(self.keys(plan))
        fresh = keys - self._there
        self._there |= {key for key in fresh if self._store.resolve(key) is not None}
        return keys - self._there

    def add(self, *keys: str) -> None:
        """They are there now: a trial told so."""
        self._there |= set(keys)


class PlanQueue:
    """Hands out plans one by one: those that an earlier driver left, then those that Optuna asks.

    A plan waits while a trial in flight trains a phase that it needs. Polls that find nothing to do
    touch neither database nor store.

    Attributes:
        live: the trials in flight, by the names that Tune has for them.
        again: those whose workers broke, to be started once more.
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
        self._tell_duplicate = tell_duplicate  # False where no equal plan was told
        self._left = study.running()
        self._held: list[AskedTrial] = []
        self._changed = False
        self.live: dict[str, TrialInFlight] = {}
        self.again: list[TrialInFlight] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run, not even what an earlier driver left."""
        return not self._left and not self.again and not self._may_ask()

    @property
    def is_used_up(self) -> bool:
        """Whether all trials are asked for, or there is nothing new to ask for."""
        taken = self._study.history.num_counted + sum(map(len, (self.live, self.again, self._held)))
        return taken >= self._num_trials or self._study.is_used_up

    def changed(self) -> None:
        """A phase is there, or a trial has ended: what is held may be free."""
        self._changed = True

    def next(self) -> AskedTrial | None:
        """A plan that can run now; None where none can."""
        return self._released() or self._fresh()

    def _fresh(self) -> AskedTrial | None:
        """The next plan that can run now; plans that have to wait are held on the way."""
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
        """The first held plan that need not wait any more; any one if nothing is in flight."""
        if not self._changed and self.live:
            return None
        self._changed = False
        for asked in list(self._held):
            if self.live and self._waits(asked):
                continue
            self._held.remove(asked)
            if not self._tell_duplicate(asked):
                self._changed = True  # others may be free too
                return asked
        return None

    def _waits(self, asked: AskedTrial) -> bool:
        """Whether a trial in flight trains a phase that this plan needs, or is this very plan."""
        begun = [*self.live.values(), *self.again]
        training = {key for live in begun for key in live.missing}
        equal = any(live.asked.plan == asked.plan for live in begun)
        return equal or bool(training & self._phases.missing(asked.plan))
