"""OptunaStudy: which trials exist, what they were told, what to ask next. Optuna's database is the
truth about trials."""

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
    seen_of,
)
from search.sampling.importances import importance_of
from search.sampling.ledger import Ledger
from search.sampling.proposals import Proposals
from search.sampling.pruning import is_among_the_lowest_third
from search.sampling.samplers import directions
from search.sampling.storage import open_storage, reaching
from search.sampling.warm_start import DUPLICATE_OF, SCORED_BY, earlier_trials, scored_by
from search.trials.feasibility import BaselineMeasure
from search.trials.spending import TrialSpending
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study import StudySettings

# Marks on studies: of which file; which trials of others it started from.
DIGEST, STARTED_FROM = "digest", "started_from"
# Which options looked promising, and what is tried because of it.
PRIORS = "priors"


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """A trial of the database that is to be run."""

    number: int
    params: Mapping[str, Any]
    plan: TrialPlan


class OptunaStudy:
    """One study of the database, opened by one driver. Every method raises Refusal if the database
    fails."""

    def __init__(
        self,
        study: optuna.Study,
        settings: StudySettings,
        earlier: Sequence[Sequence[FrozenTrial]] = (),
    ) -> None:
        self._ledger = Ledger(study)
        self._settings = settings
        self._space = settings.search_space()
        self._history = History(self._space)
        seen = [[ShownTrial.of(frozen) for frozen in trials] for trials in earlier]
        self._proposals = Proposals(settings, seen)
        self.priors: dict[str, Any] | None = study.user_attrs.get(PRIORS)
        self._proposals.add((self.priors or {}).get("first", []))
        for frozen in study.get_trials(deepcopy=False):
            self._take_up(frozen)

    @property
    def num_counted(self) -> int:
        """Finished trials that count against the budget: all but duplicates and half-asked ones."""
        return self._history.num_counted

    @property
    def gpu_hours(self) -> float:
        """Of the finished trials."""
        return self._history.gpu_hours

    @property
    def told(self) -> Mapping[TrialPlan, PlanResult]:
        """What each plan got."""
        return self._history.told

    @property
    def measures(self) -> Sequence[BaselineMeasure]:
        """What others are measured against, of the baselines so far."""
        return self._history.measures

    @property
    def took(self) -> Mapping[int, TrialSpending]:
        """Trial -> what it took until now."""
        return self._history.took

    @classmethod
    def open(cls, url: str, settings: StudySettings) -> "OptunaStudy":
        """Open or create the study. Raises Refusal if the database cannot be reached, or holds a
        study of this name that another study file made, or lacks one that this starts from."""
        study, earlier = _opened(url, settings)
        with reaching(url):
            return cls(study, settings, earlier)

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing to ask for: every plan is tried or in flight, or the sampler
        has proposed nothing new since it was told something."""
        return self._proposals.is_used_up

    @property
    def exhausted(self) -> str | None:
        """What there is no more of, as Proposals says it; None while there is something."""
        return self._proposals.exhausted

    def keep_priors(self, priors: dict[str, Any]) -> None:
        """Once, before anything is asked: what comes first then is kept, so that a restart asks
        the same."""
        self.write_mark(PRIORS, priors)
        self.priors = priors
        self._proposals.add(priors["first"])

    def ask(self) -> AskedTrial | None:
        """The next trial: first the baselines, the points of the study file and the options that
        look promising, then the sampler; of a grid, its next point. None where there is nothing
        new to ask for now."""
        drawn = self._proposals.next(seen_of(self._ledger.trials()))
        if drawn is None:
            return None
        marks = {} if drawn.generation is None else {GENERATION: drawn.generation}
        trial = self._ledger.ask(drawn.params, marks)
        with reaching():
            self._space.suggest(trial)
        plan = self._space.decode(trial.params)
        self._proposals.asked(plan)
        return AskedTrial(trial.number, trial.params, plan)

    def running(self) -> list[AskedTrial]:
        """Trials that an earlier driver left, in order; those it left half-asked are failed."""
        asked = []
        for frozen in self._ledger.trials(TrialState.RUNNING):
            try:
                plan = self._space.decode(frozen.params)
            except Refusal:
                self._ledger.mark(frozen.number, INCOMPLETE, True)
                self._tell(frozen.number, TrialState.FAIL)
                continue
            asked.append(AskedTrial(frozen.number, frozen.params, plan))
        return asked

    def note(self, asked: AskedTrial, took: TrialSpending) -> None:
        """What the trial took until now; before it is told, since then nothing can be added."""
        self._ledger.mark(asked.number, TOOK, [took.seconds, took.gpu_seconds])
        self._history.took[asked.number] = took

    def tell_scored(
        self,
        asked: AskedTrial,
        *values: float,
        constraints: Mapping[str, float] | None = None,
        measure: BaselineMeasure | None = None,
    ) -> None:
        """A value for each objective of the study.

        Args:
            constraints: satisfied at 0 or less; each trial of a study is told the same ones.
            measure: what later trials are measured against in this one.
        """
        if measure is not None:
            content = {"objective": measure.objective, "scores": dict(measure.scores)}
            self._ledger.mark(asked.number, MEASURE, content)
        self._ledger.constrain(asked.number, constraints or {})
        self._tell(asked.number, TrialState.COMPLETE, values)

    def tell_failed(self, asked: AskedTrial, reason: str, *, is_broken: bool = False) -> None:
        """`is_broken`: a worker failed, not the plan, which may be tried again as another trial."""
        self._ledger.mark(asked.number, REASON, reason)
        if is_broken:
            self._ledger.mark(asked.number, BROKEN, True)
        self._tell(asked.number, TrialState.FAIL)

    def tell_pruned(self, asked: AskedTrial) -> None:
        """The value is the last one that was reported."""
        self._tell(asked.number, TrialState.PRUNED)

    def tell_duplicate(self, asked: AskedTrial, of: PlanResult) -> None:
        """What the equal plan got, at once; it does not count against the budget, and samplers do
        not see it: told twice, a plan would seem twice as sure."""
        self._ledger.mark(asked.number, DUPLICATE_OF, of.number)
        self._ledger.constrain(asked.number, of.constraints)
        other = TrialState.PRUNED if of.is_pruned else TrialState.FAIL
        self._tell(asked.number, TrialState.COMPLETE if of.values else other, of.values)

    def prunes(self, asked: AskedTrial, *, rung: int, value: float) -> bool:
        """Report a rung's value; whether the trial is to end there. Only a study with a pruner has
        rungs, and such a study has one objective.

        A trial whose option has no scored trial yet goes on: something has to be known of each.
        """
        self._ledger.report(asked.number, rung, value)
        if self._settings.study.pruner == "none":
            return False
        others = [one for one in self._ledger.trials() if one.number != asked.number]
        scored = {_option(one.params) for one in others if one.state is TrialState.COMPLETE}
        at_rung = [
            one.intermediate_values[rung] for one in others if rung in one.intermediate_values
        ]
        return _option(asked.params) in scored and is_among_the_lowest_third(value, at_rung)

    def importance(self, place: int = 0) -> dict[str, float]:
        """How much each parameter explains of an objective (fANOVA), given by its place among the
        study's; empty if too few trials."""
        trials = self._ledger.trials(TrialState.COMPLETE)
        scored = [one for one in trials if DUPLICATE_OF not in one.user_attrs]
        return importance_of(scored, place, seed=self._settings.study.seed)

    def read_mark(self, name: str) -> dict[str, Any] | None:
        """A mark on the study itself, fresh from the database."""
        return self._ledger.read_mark(name)

    def write_mark(self, name: str, value: dict[str, Any] | None) -> None:
        self._ledger.write_mark(name, value)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] = ()) -> None:
        frozen = self._ledger.tell(number, state, values)
        self._proposals.told()
        self._remember(frozen)

    def _take_up(self, frozen: FrozenTrial) -> None:
        """A trial that an earlier driver asked; one that is half-asked is drawn again."""
        if INCOMPLETE not in frozen.user_attrs:
            with suppress(Refusal):
                self._proposals.asked(self._space.decode(frozen.params))
        self._remember(frozen)
        if TOOK in frozen.user_attrs:
            self._history.took[frozen.number] = TrialSpending(*frozen.user_attrs[TOOK])

    def _remember(self, frozen: FrozenTrial) -> None:
        broken = self._history.remember(frozen)
        if broken is not None:
            self._proposals.broke(broken)


def _opened(url: str, settings: StudySettings) -> tuple[optuna.Study, list[list[FrozenTrial]]]:
    """The study, and of each that it starts from the trials that it learns from."""
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
            # What earlier studies score from now on is not added: draws would change.
            numbers = {name: [one.number for one in them] for name, them in earlier.items()}
            study.set_user_attr(STARTED_FROM, numbers)
            study.set_user_attr(DIGEST, settings.digest())
    if made_by not in (None, settings.digest()):
        raise Refusal(
            f"study {settings.study.name!r} belongs to another study file: its study, space, "
            "training or evaluation section differs; restore that file or take another "
            "[study] name"
        )
    with reaching(url):
        marks = study.user_attrs
        if SCORED_BY not in marks:
            study.set_user_attr(SCORED_BY, scored_by(settings))
    numbers = marks.get(STARTED_FROM, {})
    return study, [
        [one for one in trials if one.number in numbers[name]] for name, trials in earlier.items()
    ]


def _option(params: Mapping[str, Any]) -> tuple[str, bool]:
    """The intermediate option, with or without masking beside it."""
    return params["intermediate"], bool(params.get("mlm.share"))


def read_marks(url: str, name: str) -> dict[str, dict[str, Any]]:
    """Study -> its mark of this name, of all studies of a database that have it."""
    with reaching(url):
        studies = optuna.get_all_study_summaries(open_storage(url), include_best_trial=False)
    marks = {study.study_name: study.user_attrs.get(name) for study in studies}
    return {study: mark for study, mark in marks.items() if mark}
