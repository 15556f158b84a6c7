"""OptunaStudy: which trials exist, what they were told, what to ask next. The only file that
knows Optuna; its database is the truth about trials."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study import StudySettings

INCOMPLETE, DUPLICATE_OF, REASON = "incomplete", "duplicate_of", "reason"


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial of the database that is to be run."""

    number: int
    params: Mapping[str, Any]
    plan: TrialPlan


@dataclass(frozen=True, slots=True)
class Told:
    """What a plan got; `value` is None where it failed."""

    number: int
    value: float | None


class OptunaStudy:
    """One study of the database, opened by one driver."""

    def __init__(self, study: optuna.Study, settings: StudySettings) -> None:
        self._study = study
        self._settings = settings
        self._space = settings.search_space()
        self.num_counted = 0
        self.told: dict[TrialPlan, Told] = {}
        for frozen in study.get_trials(deepcopy=False):
            self._remember(frozen)

    @classmethod
    def open(cls, url: str, settings: StudySettings) -> "OptunaStudy":
        """Open or create the study. Raises Refusal if the database cannot be reached, or holds a
        study of this name that another study file made."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            parsed = make_url(url)
            arguments: dict[str, Any] = {}
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
                arguments = {"connect_args": {"timeout": 60}}
            storage = optuna.storages.RDBStorage(url, engine_kwargs=arguments)
            study = optuna.create_study(
                study_name=settings.study.name,
                storage=storage,
                direction="maximize",
                load_if_exists=True,
                pruner=_pruner(settings),
            )
            made_by = study.user_attrs.get("digest")
            if made_by is None:
                study.set_user_attr("digest", settings.digest())
        except (SQLAlchemyError, OSError, ImportError, optuna.exceptions.StorageInternalError) as e:
            raise Refusal(
                f"the study database {_without_password(url)} cannot be opened: "
                f"{str(e).splitlines()[0]}; check [tracking] optuna"
            ) from e
        if made_by not in (None, settings.digest()):
            raise Refusal(
                f"study {settings.study.name!r} belongs to another study file: its study, space, "
                "training or evaluation section differs; restore that file or take another "
                "[study] name"
            )
        return cls(study, settings)

    def ask(self) -> Asked:
        """The next trial: first the baselines and the points of the study file, then the sampler.

        The draw depends on the study seed, how many trials were asked before, and (tpe) what they
        got; not on how often the driver was started.
        """
        trials = self._study.get_trials(deepcopy=False)
        index = sum(1 for frozen in trials if INCOMPLETE not in frozen.user_attrs)
        points = self._space.first_points()
        point = points[index] if index < len(points) else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental parts, fixed parameters
            self._study.sampler = _sampler(self._settings, index, point)
            trial = self._study.ask()
            self._space.suggest(trial)
        return Asked(trial.number, trial.params, self._space.decode(trial.params))

    def running(self) -> list[Asked]:
        """Trials that an earlier driver left, in order; those it left half-asked are failed."""
        asked = []
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            try:
                plan = self._space.decode(frozen.params)
            except Refusal:
                self._study._storage.set_trial_user_attr(frozen._trial_id, INCOMPLETE, True)
                self._study.tell(frozen.number, state=TrialState.FAIL)
                continue
            asked.append(Asked(frozen.number, frozen.params, plan))
        return asked

    def tell_scored(self, asked: Asked, value: float) -> None:
        self._tell(asked, TrialState.COMPLETE, value)

    def tell_failed(self, asked: Asked, reason: str) -> None:
        self._set(asked, REASON, reason)
        self._tell(asked, TrialState.FAIL, None)

    def tell_pruned(self, asked: Asked) -> None:
        """The value is the last one that was reported."""
        self._tell(asked, TrialState.PRUNED, None)

    def tell_duplicate(self, asked: Asked, of: Told) -> None:
        """The score of the equal plan, at once; it does not count against the budget."""
        self._set(asked, DUPLICATE_OF, of.number)
        state = TrialState.FAIL if of.value is None else TrialState.COMPLETE
        self._tell(asked, state, of.value)

    def prunes(self, asked: Asked, *, rung: int, value: float) -> bool:
        """Report a rung's value; whether the pruner wants the trial stopped."""
        trial = optuna.Trial(self._study, self._study.trials[asked.number]._trial_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a trial taken up again reports a rung again
            trial.report(value, rung)
        return trial.should_prune()

    def importance(self) -> dict[str, float]:
        """How much each parameter explains of the objective (fANOVA); empty if too few trials."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = {frozen.value for frozen in trials}
        if len(trials) < 4 or len(values) < 2:
            return {}
        common = set.intersection(*(set(frozen.params) for frozen in trials))
        varying = {n for n in common if len({frozen.params[n] for frozen in trials}) > 1}
        if not varying:
            return {}
        return dict(optuna.importance.get_param_importances(self._study, params=sorted(varying)))

    def read_mark(self, name: str) -> dict[str, Any] | None:
        """A mark on the study itself, fresh from the database."""
        mark: dict[str, Any] | None = self._study.user_attrs.get(name)
        return mark

    def write_mark(self, name: str, value: dict[str, Any] | None) -> None:
        self._study.set_user_attr(name, value)

    def _tell(self, asked: Asked, state: TrialState, value: float | None) -> None:
        frozen = self._study.tell(asked.number, value, state=state, skip_if_finished=True)
        self._remember(frozen)

    def _remember(self, frozen: FrozenTrial) -> None:
        if not frozen.state.is_finished() or INCOMPLETE in frozen.user_attrs:
            return
        if DUPLICATE_OF in frozen.user_attrs:
            return
        self.num_counted += 1
        if frozen.state is not TrialState.PRUNED:
            value = frozen.value if frozen.state is TrialState.COMPLETE else None
            self.told[self._space.decode(frozen.params)] = Told(frozen.number, value)

    def _set(self, asked: Asked, name: str, value: Any) -> None:
        trial_id = self._study.trials[asked.number]._trial_id
        self._study._storage.set_trial_user_attr(trial_id, name, value)


def _sampler(
    settings: StudySettings, index: int, point: Mapping[str, Any] | None
) -> optuna.samplers.BaseSampler:
    """A sampler with a seed of its own for every draw, so that a restart does not repeat one."""
    text = f"{settings.study.seed}:{index}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    sampler: optuna.samplers.BaseSampler
    if settings.study.sampler == "random" or point is not None:
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=8
        )
    if point is not None:
        sampler = optuna.samplers.PartialFixedSampler(dict(point), sampler)
    return sampler


def _pruner(settings: StudySettings) -> optuna.pruners.BasePruner:
    if settings.study.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4)
    return optuna.pruners.NopPruner()


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "given in [tracking] optuna"
