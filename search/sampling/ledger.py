"""Ledger: reads and writes one study of Optuna's database with Optuna's own calls."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.sampling.storage import reaching


class Ledger:
    """Access to one study in Optuna's database.

    Every method raises Refusal if the database fails. No method changes a finished trial.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return all trials in order, or only those in one of `states`."""
        with reaching():
            return self._study.get_trials(deepcopy=False, states=states or None)

    def ask(self, params: Mapping[str, Any], marks: Mapping[str, Any]) -> optuna.Trial:
        """Create a trial that suggests these params.

        Args:
            marks: system attributes that a sampler needs, such as the generation of `nsga2`.
        """
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # fixed parameters are experimental
            random = optuna.samplers.RandomSampler(seed=0)
            self._study.sampler = optuna.samplers.PartialFixedSampler(dict(params), random)
            trial = self._study.ask()
            for name, value in marks.items():
                self._study._storage.set_trial_system_attr(trial._trial_id, name, value)
            return trial

    def tell(self, number: int, state: TrialState, values: Sequence[float] = ()) -> FrozenTrial:
        """Finish a trial with its state and one value per objective."""
        with reaching():
            values_or_none = list(values) or None
            return self._study.tell(number, values_or_none, state=state, skip_if_finished=True)

    def report(self, number: int, rung: int, value: float) -> None:
        """Store the value of a rung; the first value reported for a rung is kept."""
        with warnings.catch_warnings(), reaching():
            warnings.simplefilter("ignore")  # a resumed trial reports a rung a second time
            optuna.Trial(self._study, self._id_of(number)).report(value, rung)

    def mark(self, number: int, name: str, value: Any) -> None:
        """Set a user attribute of a trial."""
        with reaching(), suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._study._storage.set_trial_user_attr(self._id_of(number), name, value)

    def constrain(self, number: int, constraints: Mapping[str, float]) -> None:
        """Store the constraints of a trial where samplers read them; the first ones are kept."""
        with warnings.catch_warnings(), reaching():
            # Setting a constraint twice warns. It happens after a driver was killed between the
            # constraint and the value.
            warnings.simplefilter("ignore")
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                for name, value in constraints.items():
                    optuna.Trial(self._study, self._id_of(number)).set_constraint(name, value)

    def read_mark(self, name: str) -> dict[str, Any] | None:
        """Read a user attribute of the study from the database; None if it is not set."""
        with reaching():
            mark: dict[str, Any] | None = self._study.user_attrs.get(name)
        return mark

    def write_mark(self, name: str, value: dict[str, Any] | None) -> None:
        """Set a user attribute of the study."""
        with reaching():
            self._study.set_user_attr(name, value)

    def _id_of(self, number: int) -> int:
        study = self._study
        return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
