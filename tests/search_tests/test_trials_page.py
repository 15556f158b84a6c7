"""The page of a study's trials: saved for old records, found on servers."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from search.mlflow_view.state import KEY_PREFIX, TrialsView, unpack, view_key
from search.record.address import ExperimentAddress, RecordAddress
from search.record.mlflow_client import connect
from search.record.writer import RecordWriter
from search.trials_page import find_page
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings


@pytest.fixture
def address(planted_home: Path, tmp_path: Path) -> RecordAddress:
    """The record of a study whose driver saved no view."""
    copytree(planted_home, tmp_path / "home")
    return ExperimentAddress(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}").for_study("tiny")


def saved(address: RecordAddress) -> dict[str, str]:
    (found,) = connect(address.tracking_uri).search_experiments(filter_string="name != 'Default'")
    return {k: v for k, v in found.tags.items() if k.startswith(KEY_PREFIX)}


def test_an_old_study_gets_its_view_where_that_is_asked_for(address: RecordAddress) -> None:
    assert find_page(address).key is None
    assert saved(address) == {}
    assert find_page(address, save=True).key == "transfer-search.tiny"
    ((_, value),) = saved(address).items()
    state = unpack(value)
    assert state is not None
    assert "params.`intermediate`" in str(state["selectedColumns"])
    assert find_page(address).key == "transfer-search.tiny"


def test_a_study_that_starts_saves_its_view(uri: str, tmp_path: Path, settings_of: Any) -> None:
    address = ExperimentAddress(uri).for_study("s")
    record = RecordWriter(address, outbox=tmp_path / "outbox")
    settings: StudySettings = settings_of(study={"name": "s"})
    for _ in range(2):
        record.study_started(settings=settings.model_dump(mode="json"), digest="d", versions={})
        record.view_saved(TrialsView.of(settings))
    assert record.outbox.deliver_all()
    ((_, value),) = saved(address).items()
    assert unpack(value) == TrialsView.of(settings).state()
    assert json.loads(value)["name"] == "trials of s"
    assert find_page(address).key == "transfer-search.s"


def test_a_record_whose_settings_are_unreadable_has_a_plain_page(uri: str, tmp_path: Path) -> None:
    address = ExperimentAddress(uri).for_study("s")
    record = RecordWriter(address, outbox=tmp_path / "outbox")
    record.study_started(settings={"study": {"name": "s"}}, digest="d", versions={})
    assert record.outbox.deliver_all()
    page = find_page(address, save=True)
    assert page.key is None
    assert "searchFilter" in page.fragment()


def test_an_unknown_study_is_refused_with_the_nearest_name(address: RecordAddress) -> None:
    with pytest.raises(Refusal, match="tiny"):
        find_page(address.experiment.for_study("tinny"), save=True)
    assert saved(address) == {}


@pytest.mark.slow
def test_a_search_saves_its_view_and_its_trials_have_every_column(finished: Any) -> None:
    assert find_page(finished.address).key == view_key(finished.address.study)
    ((_, value),) = saved(finished.address).items()
    state = unpack(value)
    assert state is not None
    client = connect(finished.uri)
    (experiment,) = client.search_experiments(filter_string="name != 'Default'")
    runs = client.search_runs([experiment.experiment_id], str(state["searchFilter"]))
    assert len(runs) == len(finished.record.rows)
    data = [run.data for run in runs]
    names = {f"params.`{name}`" for each in data for name in each.params}
    names |= {f"metrics.`{name}`" for each in data for name in each.metrics}
    names |= {f"tags.`{name}`" for each in data for name in each.tags}
    columns: Any = state["selectedColumns"]
    assert set(columns) <= names
