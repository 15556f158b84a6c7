"""Computes the Pareto set of a study with several objectives, with Optuna."""

from collections.abc import Sequence

import optuna

from search.sampling.samplers import directions
from search.trials.ranking import TrialRow, is_collapsed, ranked
from spaces.study_file.study import StudySettings


def pareto_set(rows: Sequence[TrialRow], settings: StudySettings) -> list[int]:
    """Return the numbers of the Pareto-optimal trials, best in the first objective first.

    A trial is in the set if no other trial is at least as good in every objective and better in
    at least one. Trials that may not win and trials that collapsed are left out.
    """
    sound = [row for row in ranked(rows) if row.values and not is_collapsed(row)]
    study = optuna.create_study(directions=directions(settings))
    study.add_trials(
        [
            optuna.trial.create_trial(
                values=list(row.values.values()),
                constraints={"max_drop": float(row.is_feasible is False)},
            )
            for row in sound
        ]
    )
    return [sound[trial.number].number for trial in study.best_trials]
