"""TrialEnds: reports the result of a trial, first to the record and then to Optuna."""

from collections.abc import Mapping
from typing import Any, Protocol

from search.driver.trial_in_flight import TrialInFlight
from search.driver.trial_rows import duplicate_row, row_of, told_values
from search.sampling.study import AskedTrial, OptunaStudy
from search.trials.feasibility import BaselineMeasure, constraints, judged, measure_of
from search.trials.ranking import Baselines, TrialRow, TrialState
from search.trials.spending import TrialSpending
from spaces.phases import TrialPlan
from spaces.study_file.study import StudySettings


class TrialLog(Protocol):
    """The part of the MLflow record that trials are written to."""

    def trial_started(
        self, number: int, *, params: Mapping[str, Any], plan: TrialPlan, phase_keys: list[str]
    ) -> None: ...

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None: ...


class TrialEnds:
    """Reports the results of one run of the search.

    In the record, trials are compared with the baselines that ended in the same run.
    """

    def __init__(self, study: OptunaStudy, settings: StudySettings, log: TrialLog) -> None:
        self._study = study
        self._settings = settings
        self._log = log
        self._baselines = Baselines.among(())
        self._rows: list[TrialRow] = []

    def tell(self, live: TrialInFlight, took: TrialSpending) -> TrialRow:
        """Report the end of a trial, whatever its state, and return its row."""
        row, measure = self._judged(row_of(live, took, self._settings))
        self._rows.append(row)
        if row.plan.is_baseline:
            self._baselines = Baselines.among(self._rows)
        self._study.note_spending(live.asked, took)
        # The record comes first: if the driver dies in between, the next driver runs the trial
        # again and finds all its phases in the store.
        outcomes = live.end.get("outcomes") if live.end else None
        self._log.trial_finished(row, baseline=self._baselines.of(row), outcomes=outcomes)
        values = told_values(row, self._settings)
        if row.state is TrialState.SCORED and values:
            allowed = constraints(row, self._settings.evaluation)
            self._study.tell_scored(live.asked, *values, constraints=allowed, measure=measure)
        elif row.state is TrialState.PRUNED:
            self._study.tell_pruned(live.asked)
        else:
            self._study.tell_failed(live.asked, row.reason or "", is_broken=live.end is None)
        return row

    def tell_duplicate(self, asked: AskedTrial) -> bool:
        """Give a trial the result of an equal plan without running it; return False if no equal
        plan has a result."""
        result = self._study.history.results.get(asked.plan)
        if result is None:
            return False
        row = duplicate_row(asked, result, self._settings)
        self._log.trial_started(asked.number, params=asked.params, plan=asked.plan, phase_keys=[])
        self._log.trial_finished(row, baseline=self._baselines.of(row))
        self._study.tell_duplicate(asked, result)
        return True

    def _judged(self, row: TrialRow) -> tuple[TrialRow, BaselineMeasure | None]:
        """Return the row with its largest drop against the baselines so far, and the measure that
        it adds if it is a baseline itself."""
        evaluation = self._settings.evaluation
        measure = measure_of(row, evaluation) if evaluation.max_drop is not None else None
        measures = [*self._study.history.measures, *([measure] if measure else [])]
        return judged(row, measures, evaluation), measure
