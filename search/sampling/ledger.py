"""Ledger: what is read of and written to one study of Optuna's database, in its own words."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.sampling.storage import reaching


class Ledger:
    """Of one study. Every method raises Refusal if the database fails. Of a trial that was told
    already nothing is changed."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """In order; all of them, or those in one of these states."""
        with reaching():
            return self._study.get_trials(deepcopy=False, states=states or None)

    def ask(self, params: Mapping[str, Any], marks: Mapping[str, Any]) -> optuna.Trial:
        """A new trial that suggests these params, with marks of a sampler's own."""
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # fixed parameters are experimental
            random = optuna.samplers.RandomSampler(seed=0)
            self._study.sampler = optuna.samplers.PartialFixedSampler(dict(params), random)
            trial = self._study.ask()
            for name, value in marks.items():
                self._study._storage.set_trial_system_attr(trial._trial_id, name, value)
            return trial

    def tell(self, number: int, state: TrialState, values: Sequence[float] = ()) -> FrozenTrial:
        with reaching():
            told = list(values) or None
            return self._study.tell(number, told, state=state, skip_if_finished=True)

    def report(self, number: int, rung: int, value: float) -> None:
        """The first value of a rung stays."""
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # a trial taken up again reports a rung again
            optuna.Trial(self._study, self._id_of(number)).report(value, rung)

    def mark(self, number: int, name: str, value: Any) -> None:
        with reaching(), suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._study._storage.set_trial_user_attr(self._id_of(number), name, value)

    def constrain(self, number: int, constraints: Mapping[str, float]) -> None:
        """Samplers see constraints on the trials themselves. A trial keeps the first ones it
        got."""
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # a driver was killed between constraint and value
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                for name, value in constraints.items():
                    optuna.Trial(self._study, self._id_of(number)).set_constraint(name, value)

    def read_mark(self, name: str) -> dict[str, Any] | None:
        """A mark on the study itself, fresh from the database."""
        with reaching():
            mark: dict[str, Any] | None = self._study.user_attrs.get(name)
        return mark

    def write_mark(self, name: str, value: dict[str, Any] | None) -> None:
        with reaching():
            self._study.set_user_attr(name, value)

    def _id_of(self, number: int) -> int:
        study = self._study
        return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
