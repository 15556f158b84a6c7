"""The Pareto set of a study with several objectives, as Optuna computes it."""

from collections.abc import Sequence

import optuna

from search.sampling.samplers import directions
from search.trials.ranking import TrialRow, is_collapsed, ranked
from spaces.study import StudySettings


def pareto_set(rows: Sequence[TrialRow], settings: StudySettings) -> list[int]:
    """Numbers of the trials that no other one is at least as good as in every objective and better
    in one, the best in the first objective first; of those that may win, and did not collapse.
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
