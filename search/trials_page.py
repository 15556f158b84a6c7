"""The page of a study's trials in MLflow's own UI: found by `ui`, named by `run` and `report`."""

import time

from search.addresses import refusing
from search.mlflow_view.links import TrialsPage
from search.mlflow_view.saved import view_entry
from search.mlflow_view.state import TrialsView
from search.record.address import RecordAddress
from search.record.mlflow_client import Tracker, open_tracker
from search.record.mlflow_runs import Run
from search.record.reader import study_run
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings


def find_page(address: RecordAddress, *, save: bool = False) -> TrialsPage:
    """The page of a study's trials.

    Args:
        address: the record of the study.
        save: save the view of a study that has none, since an older version recorded it.

    Raises:
        Refusal: there is no such study in the record, or MLflow does not answer.
    """
    with refusing():
        tracker = open_tracker(address.experiment)
        run = study_run(tracker, address)
        page = tracker.page_of(address.study)
        if page.key is None and save:
            _save(tracker, run)
            page = tracker.page_of(address.study)
        return page


def _save(tracker: Tracker, run: Run) -> None:
    """Save the view of a recorded study; none, where this version cannot read its settings."""
    try:
        settings = StudySettings.parse(tracker.read_json(run, "settings.json") or {})
    except Refusal:
        return
    tracker.put_view({**view_entry(TrialsView.of(settings)), "time": time.time_ns() // 1_000_000})
