"""An address without an answer costs seconds, says what to do, and never shows a password."""

import re
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from search.addresses import folder_name, hide_password, sqlite_path
from search.record.address import ExperimentAddress
from search.record.reader import list_studies, read_study
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"


def test_every_experiment_has_a_folder_of_its_own() -> None:
    names = ["transfer-search", "a/b", "a.b", "../a", "..", "ä", "a" * 80, "a" * 81, "a" * 82]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert folders[0] == names[0]
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,97}", folder) for folder in folders)


def test_the_file_of_an_address() -> None:
    assert sqlite_path("sqlite:////data/mlflow.db") == Path("/data/mlflow.db")
    assert sqlite_path("sqlite:///mlflow.db") == Path("mlflow.db")
    assert sqlite_path("https://mlflow.example") is None


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:////nowhere/mlflow.db", "no MLflow database at /nowhere/mlflow.db"),
        ("postgresql://me:secret@db/mlflow", "has the scheme 'postgresql'"),
        ("http://127.0.0.1:9", "does not answer"),
        ("http://me:secret@127.0.0.1:9/", "does not answer"),
        ("http://[", "does not answer"),
    ],
)
def test_an_address_where_nobody_is_is_refused_at_once(address: str, said: str) -> None:
    started = time.monotonic()
    for read in (
        lambda: read_study(ExperimentAddress(address, EXPERIMENT).for_study("s")),
        lambda: list_studies(ExperimentAddress(address, EXPERIMENT)),
    ):
        with pytest.raises(Refusal, match=said) as refusal:
            read()
        assert "\n" not in str(refusal.value)
        assert "secret" not in str(refusal.value)
    assert time.monotonic() - started < 5


def test_a_server_that_accepts_and_says_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.addresses._PROBE_SECONDS", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Refusal, match="does not answer"):
            list_studies(ExperimentAddress(address, EXPERIMENT))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:se@cr/et@host/db", "postgresql://me:***@host/db"),
        ("https://me@host", "https://me@host"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////home/me/optuna.db", "sqlite:////home/me/optuna.db"),
    ],
)
def test_hide_password(url: str, shown: str) -> None:
    assert hide_password(url) == shown
