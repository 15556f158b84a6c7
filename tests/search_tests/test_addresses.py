"""An address without an answer costs seconds, says what to do, and never shows a password."""

import re
import socket
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from search.addresses import file_url, folder_name, secret_line, sqlite_path, sqlite_url
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
    assert sqlite_path("sqlite:////data/a%3Fb%25/mlflow.db?timeout=5") == Path(
        "/data/a?b%/mlflow.db"
    )
    assert sqlite_path("https://mlflow.example") is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_path_comes_back_from_each_address_that_is_made_of_it(name: str) -> None:
    path = Path("/home", name)
    for url in (sqlite_url(path), sqlite_url(path / "mlflow.db")):
        database = make_url(url).database
        assert database is not None
        assert sqlite_path(url) == Path(database)
    assert sqlite_path(sqlite_url(path)) == path
    assert url2pathname(urlsplit(file_url(path)).path) == str(path)
    assert re.fullmatch(r"file:///[\x21-\x7e]+", file_url(path))
    assert not set("?#") & set(file_url(path))


def test_plain_paths_keep_the_address_that_older_versions_made() -> None:
    assert sqlite_url(Path("/a b/ö#/mlflow.db")) == "sqlite:////a b/ö#/mlflow.db"
    assert file_url(Path("/data/artifacts")) == Path("/data/artifacts").as_uri()


def test_a_secret_in_a_comment_is_found() -> None:
    text = '[tracking]\noptuna = "postgresql://h/d"\n'
    assert secret_line(text) is None
    assert secret_line(text + '# optuna = "postgresql://me:secret@h/d"\n') == 3
    assert secret_line("# password=secret\n" + text) == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:////nowhere/mlflow.db", "no MLflow database at /nowhere/mlflow.db"),
        ("postgresql://me:secret@db/mlflow", "has the scheme 'postgresql'"),
        ("http://127.0.0.1:9", "does not answer"),
        ("http://me:secret@127.0.0.1:9/", "does not answer"),
        ("http://[", "does not answer"),
        ("http://me:secret@[/", "does not answer"),
        ("http://me:secret@127.0.0.1:port/", "does not answer"),
        ("localhost:5000", "has no scheme"),
        ("secret@localhost:5000", "has no scheme"),
        ("http://127.0.0.1:9/#/experiments/3", "a page in the browser; write 'http://127.0.0.1:9'"),
        ("https://a/mlflow/#/experiments/3?o=1&x=2", "; write 'https://a/mlflow'"),
        ("http://127.0.0.1:9/?workspace=a", "a page in the browser; write 'http://127.0.0.1:9'"),
        ("http://127.0.0.1:9?token=secret", "a page in the browser; write 'http://127.0.0.1:9'"),
        ("http://me:secret@a/#/experiments/3", r"; write 'http://\*\*\*@a'"),
        ("http://me:se@secret@127.0.0.1", "write @, /, [?] and # in them as %40"),
        ("http://me:se/secret@127.0.0.1", "write @, /, [?] and # in them as %40"),
        ("http://me:se#secret@127.0.0.1", "write @, /, [?] and # in them as %40"),
        ("http://127.0.0.1:9 ", "write a blank as %20"),
        ("http://127.0.0.1:9/a b", "write a blank as %20"),
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
