"""Where a search keeps its things."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.home import Home, check_writable
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
