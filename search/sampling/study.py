"""OptunaStudy: knows which trials exist and their results, and asks for the next one.

Optuna's database is the single source of truth about trials.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.sampling.drawing import GENERATION, ShownTrial
from search.sampling.history import (
    BROKEN,
    INCOMPLETE,
    MEASURE,
    REASON,
    TOOK,
    History,
    PlanResult,
    informative_trials,
)
from search.sampling.importances import parameter_importances
from search.sampling.ledger import Ledger
from search.sampling.proposals import Proposals
from search.sampling.pruning import is_among_the_lowest_third
from search.sampling.samplers import directions
from search.sampling.storage import open_storage, reaching
from search.sampling.warm_start import DUPLICATE_OF, SCORED_BY, earlier_trials, scored_by
from search.trials.feasibility import BaselineMeasure
from search.trials.spending import TrialSpending
from spaces.phases import Pooling, TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

# User attributes of Optuna studies. The names are stored and must not change.
DIGEST = "digest"  # digest of the study file
STARTED_FROM = "started_from"  # earlier study -> numbers of its trials that this one learns from
PRIORS = "priors"  # estimates of the options, and the points that are tried because of them


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """A trial in the database that the driver has to run."""

    number: int
    params: Mapping[str, Any]
    plan: TrialPlan


class OptunaStudy:
    """One study of the database, opened by one driver; `history` holds the results so far. Every
    method raises Refusal if the database fails."""

    def __init__(
        self,
        study: optuna.Study,
        settings: StudySettings,
        earlier: Sequence[Sequence[FrozenTrial]] = (),
    ) -> None:
        self._ledger = Ledger(study)
        self._settings = settings
        self._space = settings.search_space()
        self.history = History(self._space)
        shown = [[ShownTrial.from_frozen(frozen) for frozen in trials] for trials in earlier]
        self._proposals = Proposals(settings, shown)
        self.priors: dict[str, Any] | None = study.user_attrs.get(PRIORS)
        self._proposals.add((self.priors or {}).get("first", []))
        for frozen in study.get_trials(deepcopy=False):
            self._restore(frozen)

    @classmethod
    def open(cls, url: str, settings: StudySettings) -> "OptunaStudy":
        """Open or create the study. Raises Refusal if the database cannot be reached, has a study
        of this name from another study file, or lacks a study that this one starts from."""
        study, earlier = _open_study(url, settings)
        with reaching(url):
            return cls(study, settings, earlier)

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing to try: every plan is tried or in flight, or the sampler has
        proposed nothing new since the last result."""
        return self._proposals.is_used_up

    @property
    def exhausted(self) -> str | None:
        """Why nothing is left to try (see `Proposals.exhausted`); None while something is."""
        return self._proposals.exhausted

    def keep_priors(self, priors: dict[str, Any]) -> None:
        """Store the priors once, before the first trial, so that a restart asks the same trials."""
        self.write_mark(PRIORS, priors)
        self.priors = priors
        self._proposals.add(priors["first"])

    def ask(self) -> AskedTrial | None:
        """Create the next trial in the database; return None if there is nothing new to try now.

        First come the baselines, the points of the study file and the promising options, then the
        sampler's draws; a grid is tried point by point.
        """
        drawn = self._proposals.next(informative_trials(self._ledger.trials()))
        if drawn is None:
            return None
        marks = {} if drawn.generation is None else {GENERATION: drawn.generation}
        trial = self._ledger.ask(drawn.params, marks)
        with reaching():
            self._space.suggest(trial)
        plan = self._space.decode(trial.params)
        self._proposals.on_asked(plan)
        return AskedTrial(trial.number, trial.params, plan)

    def running(self) -> list[AskedTrial]:
        """Return the trials that an earlier driver left running, in order. Incomplete trials, which
        lack params, are marked as failed instead."""
        running = []
        for frozen in self._ledger.trials(TrialState.RUNNING):
            try:
                plan = self._space.decode(frozen.params)
            except Refusal:
                self._ledger.mark(frozen.number, INCOMPLETE, True)
                self._tell(frozen.number, TrialState.FAIL)
                continue
            running.append(AskedTrial(frozen.number, frozen.params, plan))
        return running

    def note_spending(self, trial: AskedTrial, spent: TrialSpending) -> None:
        """Store the time that a trial used until now; Optuna allows it only before the trial's
        result is told."""
        self._ledger.mark(trial.number, TOOK, [spent.seconds, spent.gpu_seconds])
        self.history.spent[trial.number] = spent

    def tell_scored(
        self,
        trial: AskedTrial,
        *values: float,
        constraints: Mapping[str, float] | None = None,
        measure: BaselineMeasure | None = None,
    ) -> None:
        """Report a scored trial.

        Args:
            values: one per objective of the study.
            constraints: name -> value, satisfied at 0 or less; the names are equal for all trials.
            measure: what later trials are compared with, if this trial is a baseline.
        """
        if measure is not None:
            content = {"objective": measure.objective, "scores": dict(measure.scores)}
            self._ledger.mark(trial.number, MEASURE, content)
        self._ledger.constrain(trial.number, constraints or {})
        self._tell(trial.number, TrialState.COMPLETE, values)

    def tell_failed(self, trial: AskedTrial, reason: str, *, is_broken: bool = False) -> None:
        """Report a failed trial; if a worker failed and not the plan (`is_broken`), the plan may be
        tried again in another trial."""
        self._ledger.mark(trial.number, REASON, reason)
        if is_broken:
            self._ledger.mark(trial.number, BROKEN, True)
        self._tell(trial.number, TrialState.FAIL)

    def tell_pruned(self, trial: AskedTrial) -> None:
        """Report a pruned trial; Optuna takes the last reported rung value as its value."""
        self._tell(trial.number, TrialState.PRUNED)

    def tell_duplicate(self, trial: AskedTrial, original: PlanResult) -> None:
        """Give a trial the result of an earlier trial with an equal plan, without running it. It
        does not count against the budget, and samplers do not see it: a result that is shown twice
        would look twice as certain."""
        self._ledger.mark(trial.number, DUPLICATE_OF, original.number)
        self._ledger.constrain(trial.number, original.constraints)
        without_values = TrialState.PRUNED if original.is_pruned else TrialState.FAIL
        state = TrialState.COMPLETE if original.values else without_values
        self._tell(trial.number, state, original.values)

    def prunes(self, trial: AskedTrial, *, rung: int, value: float) -> bool:
        """Report a rung's value and return whether the trial should end there.

        Only a study with a pruner has rungs, and such a study has one objective. A trial whose
        option has no scored trial yet is not pruned, so that every option gets a score.
        """
        self._ledger.report(trial.number, rung, value)
        if self._settings.study.pruner == "none":
            return False
        others = [other for other in self._ledger.trials() if other.number != trial.number]
        scored = {_option(other.params) for other in others if other.state is TrialState.COMPLETE}
        at_rung = [
            other.intermediate_values[rung] for other in others if rung in other.intermediate_values
        ]
        return _option(trial.params) in scored and is_among_the_lowest_third(value, at_rung)

    def importance(self, objective_index: int = 0) -> dict[str, float]:
        """Return how much of the variation of one of the study's objectives each parameter explains
        (fANOVA); empty if too few trials are scored."""
        trials = self._ledger.trials(TrialState.COMPLETE)
        scored = [trial for trial in trials if DUPLICATE_OF not in trial.user_attrs]
        return parameter_importances(scored, objective_index, seed=self._settings.study.seed)

    def read_mark(self, name: str) -> dict[str, Any] | None:
        """Read a user attribute of the study from the database; None if it is not set."""
        return self._ledger.read_mark(name)

    def write_mark(self, name: str, value: dict[str, Any] | None) -> None:
        """Set a user attribute of the study in the database."""
        self._ledger.write_mark(name, value)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] = ()) -> None:
        frozen = self._ledger.tell(number, state, values)
        self._proposals.on_result()
        self._remember(frozen)

    def _restore(self, frozen: FrozenTrial) -> None:
        """Take in a trial of an earlier driver; an incomplete trial does not count as tried."""
        if INCOMPLETE not in frozen.user_attrs:
            with suppress(Refusal):
                self._proposals.on_asked(self._space.decode(frozen.params))
        self._remember(frozen)
        if TOOK in frozen.user_attrs:
            self.history.spent[frozen.number] = TrialSpending(*frozen.user_attrs[TOOK])

    def _remember(self, frozen: FrozenTrial) -> None:
        broken_plan = self.history.remember(frozen)
        if broken_plan is not None:
            self._proposals.on_broken(broken_plan)


def _open_study(url: str, settings: StudySettings) -> tuple[optuna.Study, list[list[FrozenTrial]]]:
    """Return the study, and the trials it learns from, one list for each earlier study."""
    with reaching(url):
        storage = open_storage(url)
        earlier = earlier_trials(storage, settings)
        study = optuna.create_study(
            study_name=settings.study.name,
            storage=storage,
            directions=directions(settings),
            load_if_exists=True,
        )
        made_by = study.user_attrs.get(DIGEST)
        if made_by is None:
            # Trials that the earlier studies score later are not used: they would change draws.
            started_from = {
                name: [trial.number for trial in trials] for name, trials in earlier.items()
            }
            study.set_user_attr(STARTED_FROM, started_from)
            study.set_user_attr(DIGEST, settings.digest())
    if made_by not in (None, settings.digest()):
        if made_by == settings.with_pooling(Pooling.MEAN).digest():
            raise Refusal(
                f"study {settings.study.name!r} was begun with heads on the mean of all tokens, as "
                "every study of earlier versions; set pooling = 'mean' in [training.intermediate] "
                "and [training.target] to go on with it, or choose another [study] name"
            )
        raise Refusal(
            f"study {settings.study.name!r} belongs to another study file: its study, space, "
            "training or evaluation section differs; restore that file or choose another "
            "[study] name"
        )
    with reaching(url):
        marks = study.user_attrs
        if SCORED_BY not in marks:
            study.set_user_attr(SCORED_BY, scored_by(settings))
    numbers = marks.get(STARTED_FROM, {})
    return study, [
        [trial for trial in trials if trial.number in numbers[name]]
        for name, trials in earlier.items()
    ]


def _option(params: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the intermediate option, and whether masking is mixed in."""
    return params["intermediate"], bool(params.get("mlm.share"))


def read_marks(url: str, name: str) -> dict[str, dict[str, Any]]:
    """Return study name -> user attribute `name`, for each study of the database that has it."""
    with reaching(url):
        studies = optuna.get_all_study_summaries(open_storage(url), include_best_trial=False)
    marks = {study.study_name: study.user_attrs.get(name) for study in studies}
    return {study: mark for study, mark in marks.items() if mark}
