"""Where a record is, as a value: what is read from a study file, and what is never shown."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from search.home import Home
from search.record.address import ExperimentAddress, RecordAddress
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_of_settings(settings_of: Settings, tmp_path: Path) -> None:
    home = Home(tmp_path)
    default = ExperimentAddress(f"sqlite:///{tmp_path / 'mlflow.db'}", "transfer-search")
    assert RecordAddress.of(settings_of(), home) == RecordAddress(default, "tiny")
    assert ExperimentAddress.of(None, home) == default
    named = settings_of(tracking={"mlflow": "https://m", "experiment": "e"})
    assert RecordAddress.of(named, home) == ExperimentAddress("https://m", "e").for_study("tiny")


def test_a_name_or_a_file(
    study_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    file = str(study_file(tracking={"mlflow": "https://m", "experiment": "e"}))
    assert RecordAddress.find(file, home) == ExperimentAddress("https://m", "e").for_study("small")
    found = RecordAddress.find(file, home, experiment="other", tracking_uri="https://n")
    assert found == ExperimentAddress("https://n", "other").for_study("small")
    here = ExperimentAddress(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert RecordAddress.find("small", home) == here.for_study("small")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://around")
    found = RecordAddress.find("small", home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert found.tracking_uri == "https://around"
    with pytest.raises(Refusal, match=r"none\.toml"):
        RecordAddress.find(str(tmp_path / "none.toml"), home)


@pytest.mark.parametrize(
    "uri", ["https://me:hunter2@m/x", "https://m/x?password=hunter2", "https://m?a=b&PWD=hunter2"]
)
def test_a_password_is_neither_shown_nor_pickled(uri: str) -> None:
    address = ExperimentAddress(uri, "e").for_study("s")
    for shown in (repr(address), str(address), f"{address.experiment}"):
        assert "hunter2" not in shown
        assert "***" in shown
    assert address.tracking_uri == uri
    for value in (address, address.experiment):
        with pytest.raises(TypeError, match="stays in the driver"):
            pickle.dumps(value)


def test_an_address_without_a_password_is_an_ordinary_value() -> None:
    address = ExperimentAddress("sqlite:////home/mlflow.db", "e").for_study("s")
    assert pickle.loads(pickle.dumps(address)) == address
    assert len({address, ExperimentAddress("sqlite:////home/mlflow.db", "e").for_study("s")}) == 1
    assert repr(address) == (
        "RecordAddress(experiment=ExperimentAddress(tracking_uri='sqlite:////home/mlflow.db', "
        "name='e'), study='s')"
    )
