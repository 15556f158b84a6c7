"""OptunaStudy: which trials exist, what they were told, what to ask next. Optuna's database is the
truth about trials."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.database import open_storage, reaching
from search.earlier import DUPLICATE_OF, SCORED_BY, earlier_trials, scored_by
from search.feasibility import Measure
from search.samplers import directions, pruner_for, sampler_for
from search.spending import Took
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study import StudySettings

# Marks on trials: asked by half only; why it failed; and that this says nothing of its plan: what
# failed was a worker.
INCOMPLETE, REASON, BROKEN = "incomplete", "reason", "broken"
TOOK = "took"  # seconds and GPU-seconds until now
MEASURE = "measure"  # of a baseline: what others are measured against
# Marks on studies: of which file; which trials of others it started from.
DIGEST, STARTED_FROM = "digest", "started_from"
# Which options looked promising, and what is tried because of it.
PRIORS = "priors"


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial of the database that is to be run."""

    number: int
    params: Mapping[str, Any]
    plan: TrialPlan


@dataclass(frozen=True, slots=True)
class Told:
    """What a plan got: a value for each objective, none where it failed; the constraints that it
    was told with (0 or less: satisfied)."""

    number: int
    values: tuple[float, ...]
    constraints: Mapping[str, float]


class OptunaStudy:
    """One study of the database, opened by one driver. Every method raises Refusal if the database
    fails."""

    def __init__(
        self, study: optuna.Study, settings: StudySettings, earlier: Sequence[FrozenTrial] = ()
    ) -> None:
        self._study = study
        self._earlier = earlier
        self._settings = settings
        self._space = settings.search_space()
        self.priors: dict[str, Any] | None = study.user_attrs.get(PRIORS)
        self._points = [*self._space.first_points(), *(self.priors or {}).get("first", [])]
        self._counted: set[int] = set()
        self._next: int | None = None  # the index of the next point, once it is known
        self.told: dict[TrialPlan, Told] = {}
        self.measures: list[Measure] = []
        self.took: dict[int, Took] = {}
        for frozen in study.get_trials(deepcopy=False):
            self._remember(frozen)
            if TOOK in frozen.user_attrs:
                self.took[frozen.number] = Took(*frozen.user_attrs[TOOK])

    @property
    def num_counted(self) -> int:
        """Finished trials that count against the budget: all but duplicates and half-asked ones."""
        return len(self._counted)

    @property
    def gpu_hours(self) -> float:
        """Of the finished trials."""
        took = (self.took.get(number, Took()) for number in self._counted)
        return sum(one.gpu_seconds for one in took) / 3600

    @classmethod
    def open(cls, url: str, settings: StudySettings) -> "OptunaStudy":
        """Open or create the study. Raises Refusal if the database cannot be reached, or holds a
        study of this name that another study file made, or lacks one that this starts from."""
        with reaching(url):
            storage = open_storage(url)
            earlier = earlier_trials(storage, settings)
            study = optuna.create_study(
                study_name=settings.study.name,
                storage=storage,
                directions=directions(settings),
                load_if_exists=True,
                pruner=pruner_for(settings),
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
            return cls(
                study,
                settings,
                [one for name in earlier for one in earlier[name] if one.number in numbers[name]],
            )

    @property
    def is_used_up(self) -> bool:
        """Whether a grid has no point left to ask."""
        if not self._space.is_grid:
            return False
        if self._next is None:  # the database is asked once: this is the only driver
            with reaching():
                self._next = self._num_asked()
        return self._next >= len(self._points)

    def keep_priors(self, priors: dict[str, Any]) -> None:
        """Once, before anything is asked: what comes first then is kept, so that a restart asks
        the same."""
        self.write_mark(PRIORS, priors)
        self.priors = priors
        self._points += priors["first"]

    def ask(self) -> Asked:
        """The next trial: first the baselines, the points of the study file and the options that
        look promising, then the sampler; of a grid, its next point.

        The draw depends on the study seed, how many trials were asked before, and (all but random
        and grid) what they got; not on how often the driver was started.
        """
        with reaching():
            index = self._num_asked()
        point = self._points[index] if index < len(self._points) else None
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # experimental parts, fixed parameters
            if point is None and self._earlier:
                point = self._drawn_by(sampler_for(self._settings, index, None))
            self._study.sampler = sampler_for(self._settings, index, point)
            trial = self._study.ask()
            self._space.suggest(trial)
        self._next = index + 1
        return Asked(trial.number, trial.params, self._space.decode(trial.params))

    def _drawn_by(self, sampler: optuna.samplers.BaseSampler) -> dict[str, Any]:
        """What it draws where it sees the trials of earlier studies before this one's. They are
        together only here: in the database they would be trials of this study, with numbers."""
        both = optuna.create_study(directions=directions(self._settings), sampler=sampler)
        both.add_trials([*self._earlier, *self._study.get_trials(deepcopy=False)])
        trial = both.ask()
        self._space.suggest(trial)
        return trial.params

    def running(self) -> list[Asked]:
        """Trials that an earlier driver left, in order; those it left half-asked are failed."""
        asked = []
        with reaching():
            left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for frozen in left:
            try:
                plan = self._space.decode(frozen.params)
            except Refusal:
                self._set(frozen.number, INCOMPLETE, True)
                self._tell(frozen.number, TrialState.FAIL)
                continue
            asked.append(Asked(frozen.number, frozen.params, plan))
        return asked

    def note(self, asked: Asked, took: Took) -> None:
        """What the trial took until now; before it is told, since then nothing can be added."""
        self._set(asked.number, TOOK, [took.seconds, took.gpu_seconds])
        self.took[asked.number] = took

    def tell_scored(
        self,
        asked: Asked,
        *values: float,
        constraints: Mapping[str, float] | None = None,
        measure: Measure | None = None,
    ) -> None:
        """A value for each objective of the study.

        Args:
            constraints: satisfied at 0 or less; each trial of a study is told the same ones.
            measure: what later trials are measured against in this one.
        """
        if measure is not None:
            content = {"objective": measure.objective, "scores": dict(measure.scores)}
            self._set(asked.number, MEASURE, content)
        self._constrain(asked.number, constraints or {})
        self._tell(asked.number, TrialState.COMPLETE, values)

    def tell_failed(self, asked: Asked, reason: str, *, is_broken: bool = False) -> None:
        """`is_broken`: a worker failed, not the plan, which may be tried again as another trial."""
        self._set(asked.number, REASON, reason)
        if is_broken:
            self._set(asked.number, BROKEN, True)
        self._tell(asked.number, TrialState.FAIL)

    def tell_pruned(self, asked: Asked) -> None:
        """The value is the last one that was reported."""
        self._tell(asked.number, TrialState.PRUNED)

    def tell_duplicate(self, asked: Asked, of: Told) -> None:
        """What the equal plan got, at once; it does not count against the budget."""
        self._set(asked.number, DUPLICATE_OF, of.number)
        self._constrain(asked.number, of.constraints)
        self._tell(asked.number, TrialState.COMPLETE if of.values else TrialState.FAIL, of.values)

    def prunes(self, asked: Asked, *, rung: int, value: float) -> bool:
        """Report a rung's value; whether the pruner wants the trial stopped. Only a study with a
        pruner has rungs, and such a study has one objective."""
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # a trial taken up again reports a rung again
            trial = optuna.Trial(self._study, self._id_of(asked.number))
            trial.report(value, rung)
            return trial.should_prune()

    def importance(self, place: int = 0) -> dict[str, float]:
        """How much each parameter explains of an objective (fANOVA), given by its place among the
        study's; empty if too few trials."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = {frozen.values[place] for frozen in trials}
        if len(trials) < 4 or len(values) < 2:
            return {}
        common = set.intersection(*(set(frozen.params) for frozen in trials))
        varying = {n for n in common if len({frozen.params[n] for frozen in trials}) > 1}
        if not varying:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._settings.study.seed)
        return dict(
            optuna.importance.get_param_importances(
                self._study,
                evaluator=evaluator,
                params=sorted(varying),
                target=lambda frozen: frozen.values[place],
            )
        )

    def read_mark(self, name: str) -> dict[str, Any] | None:
        """A mark on the study itself, fresh from the database."""
        with reaching():
            mark: dict[str, Any] | None = self._study.user_attrs.get(name)
        return mark

    def write_mark(self, name: str, value: dict[str, Any] | None) -> None:
        with reaching():
            self._study.set_user_attr(name, value)

    def _num_asked(self) -> int:
        trials = self._study.get_trials(deepcopy=False)
        return sum(1 for frozen in trials if INCOMPLETE not in frozen.user_attrs)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] = ()) -> None:
        with reaching():
            told = list(values) or None
            frozen = self._study.tell(number, told, state=state, skip_if_finished=True)
        self._remember(frozen)

    def _remember(self, frozen: FrozenTrial) -> None:
        if not frozen.state.is_finished() or INCOMPLETE in frozen.user_attrs:
            return
        if DUPLICATE_OF in frozen.user_attrs:
            return
        self._counted.add(frozen.number)
        if frozen.state is not TrialState.PRUNED and BROKEN not in frozen.user_attrs:
            values = frozen.values if frozen.state is TrialState.COMPLETE else ()
            plan = self._space.decode(frozen.params)
            self.told[plan] = Told(frozen.number, tuple(values), frozen.constraints)
            if MEASURE in frozen.user_attrs:
                self.measures.append(Measure(plan, **frozen.user_attrs[MEASURE]))

    def _constrain(self, number: int, constraints: Mapping[str, float]) -> None:
        """Samplers see constraints on the trials themselves. A trial keeps the first ones it got,
        and one that was told already gets none."""
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # a driver was killed between constraint and value
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                for name, value in constraints.items():
                    trial = optuna.Trial(self._study, self._id_of(number))
                    trial.set_constraint(name, value)

    def _set(self, number: int, name: str, value: Any) -> None:
        # Of a trial that was told already nothing is changed.
        with reaching(), suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._study._storage.set_trial_user_attr(self._id_of(number), name, value)

    def _id_of(self, number: int) -> int:
        study = self._study
        return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


def read_marks(url: str, name: str) -> dict[str, dict[str, Any]]:
    """Study -> its mark of this name, of all studies of a database that have it."""
    with reaching(url):
        studies = optuna.get_all_study_summaries(open_storage(url), include_best_trial=False)
    marks = {study.study_name: study.user_attrs.get(name) for study in studies}
    return {study: mark for study, mark in marks.items() if mark}
