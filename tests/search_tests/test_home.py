"""Where a search keeps its things."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.home import Home, check_writable, make_file
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings


def test_which_folder_is_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRANSFER_SEARCH_HOME", raising=False)
    assert Home.of(None).path == tmp_path / ".transfer-search"
    assert Home.of(None).is_default
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", "")
    assert Home.of(None).path == tmp_path / ".transfer-search"
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", str(tmp_path / "named"))
    assert Home.of(None).path == tmp_path / "named"
    assert not Home.of(None).is_default
    assert Home.of("given").path == tmp_path / "given"
    assert not Home.of("given").is_default
    assert Home.of(".").path == tmp_path
    assert not list(tmp_path.iterdir()), "nothing is made"


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_home_is_refused(given: str) -> None:
    with pytest.raises(Refusal, match="--home is empty"):
        Home.of(given)


def test_where_databases_are(
    tmp_path: Path, settings_of: Callable[..., StudySettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home, plain = Home.of(tmp_path), settings_of()
    named = settings_of(tracking={"mlflow": "http://m:5000", "optuna": "postgresql://h/d"})
    assert home.optuna_url(plain) == f"sqlite:///{tmp_path}/optuna.db"
    assert home.optuna_url(named) == "postgresql://h/d"
    assert home.mlflow_uri(plain) == home.mlflow_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    assert home.mlflow_uri(plain) == home.mlflow_uri() == "http://other:5000"
    assert home.mlflow_uri(named) == "http://m:5000"
    assert home.outbox("tiny").parent == tmp_path / "outbox"


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_home_is_its_users_alone(umask: int, tmp_path: Path) -> None:
    home = Home.of(tmp_path / "above" / "home")
    with home.made():
        make_file(home.path / "optuna.db")
        make_file(home.outbox("tiny"))
    assert mode(home.path.parent) == 0o777 & ~umask, "not ours"
    assert mode(home.path) == mode(home.outbox("tiny").parent) == 0o700
    assert mode(home.path / "optuna.db") == mode(home.outbox("tiny")) == 0o600
    with home.made():
        pass
    assert mode(home.path) == 0o700


@pytest.mark.parametrize("shared", [0o755, 0o770, 0o2775])
def test_a_home_that_was_there_keeps_its_mode(shared: int, umask: int, tmp_path: Path) -> None:
    """Who wants to share makes the folder first; the umask says what others may do there."""
    home = Home.of(tmp_path / "home")
    home.path.mkdir()
    home.path.chmod(shared)
    with home.made():
        make_file(home.path / "optuna.db")
        make_file(home.outbox("tiny"))
    assert mode(home.path) == shared & 0o777
    assert mode(home.outbox("tiny").parent) == 0o777 & ~umask
    assert mode(home.path / "optuna.db") == mode(home.outbox("tiny")) == 0o666 & ~umask


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_text("content")
    (tmp_path / "file").chmod(0o644)
    make_file(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "content"
    assert mode(tmp_path / "file") == 0o644


def test_a_home_in_which_nothing_was_written_is_removed(tmp_path: Path) -> None:
    def refused(home: Home, *, writes: bool) -> None:
        with home.made(), home.made():
            if writes:
                (home.path / "file").touch()
            raise Refusal("no rows")

    home = Home.of(tmp_path / "above" / "home")
    with pytest.raises(Refusal, match="no rows"):
        refused(home, writes=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(Refusal, match="no rows"):
        refused(home, writes=True)
    assert [path.name for path in home.path.iterdir()] == ["file"]
    (home.path / "file").unlink()
    with pytest.raises(Refusal, match="no rows"):
        refused(home, writes=False)
    assert home.path.is_dir(), "it was there before"


def test_check_writable(tmp_path: Path) -> None:
    check_writable(tmp_path, "the folder")
    check_writable(tmp_path / "not" / "yet", "the folder")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Refusal, match=r"the folder .* cannot be used: .* is a file"):
            check_writable(place, "the folder")
    with pytest.raises(Refusal, match="cannot be written"):
        check_writable(Path("/proc/self/below"), "the folder")
