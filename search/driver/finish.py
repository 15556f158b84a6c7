"""The end of a search: the summary, the best trials' models and the description of its record."""

from collections.abc import Mapping
from typing import Any

from search.driver.start import StartedStudy
from search.record.address import RecordAddress
from search.record.entries import trial_labels
from search.record.reader import StudyRecord, read_outcomes, read_study
from search.record.writer import DRAIN_SECONDS, RecordWriter
from search.report.description import describe
from search.sampling.pareto import pareto_set
from search.trials.language_verdicts import of_selection
from search.trials.ranking import TrialRow, ranked
from spaces.json_values import to_json
from spaces.redaction import hide_address
from spaces.refusal import Refusal
from trainables.scoring.outcomes import ByLanguage


def finish_study(started: StartedStudy, record: RecordWriter) -> StudyRecord:
    """Close the record of a study whose budget is used up; the record as MLflow then has it.

    Raises:
        Refusal: MLflow does not answer; the same command finishes the study later.
    """
    searched = _read(started.address, record)
    record.study_finished(
        rows=searched.rows, phases=searched.phases, summary=_summary(started, searched)
    )
    best = ranked(searched.rows)[: started.settings.tracking.keep_best]
    keys = {key for row in best for key in row.phase_keys}
    record.log_models(best, {key: started.store.location(key) for key in sorted(keys)})
    finished = _read(started.address, record)
    describe(record, finished)
    return finished


def _summary(started: StartedStudy, searched: StudyRecord) -> dict[str, Any]:
    """What the record keeps about the search as a whole."""
    study, rows = started.optuna, searched.rows
    names = started.settings.evaluation.objectives

    def outcomes_of(row: TrialRow) -> Mapping[str, ByLanguage]:
        return read_outcomes(started.address, trial_labels(row.number))

    verdicts = of_selection(rows, outcomes_of)
    importances = {name.value: study.importance(index) for index, name in enumerate(names)}
    return {
        "verdicts": verdicts and to_json(verdicts),
        "importance": importances[names[0].value] if names else study.importance(),
        "importances": importances,
        "pareto": pareto_set(rows, started.settings) if len(names) > 1 else [],
        "priors": study.priors,
        "exhausted": study.exhausted,
        "num_trials": study.history.num_counted,
    }


def _read(address: RecordAddress, record: RecordWriter) -> StudyRecord:
    """The record, once MLflow has all of it."""
    if not record.drain(DRAIN_SECONDS):
        raise Refusal(
            f"study {address.study!r} is searched to its end, but {record.pending} records wait "
            f"for MLflow at {hide_address(address.tracking_uri)}: run it again when MLflow answers"
        )
    return read_study(address)
