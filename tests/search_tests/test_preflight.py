"""doctor looks and writes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from search.home import Home
from search.preflight import OURS, PACKAGES, check_places, examine
from search.record.mlflow_client import prepare
from spaces.refusal import Refusal


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def findings(home: Path) -> dict[str, Any]:
    found = list(examine(Home.of(home)))
    assert len({finding.what for finding in found}) == len(found), "one line a thing"
    return {finding.what: finding for finding in found}


def test_this_installation_is_fit(tmp_path: Path) -> None:
    found = findings(tmp_path / "home")
    assert all(finding.is_good for finding in found.values()), found
    names = {*PACKAGES, *(f"import {name}" for name in OURS)}
    assert names | {"python", "disk", "home", "devices", "record"} == found.keys()
    assert "the first run makes it" in found["record"].detail
    assert not list(tmp_path.iterdir())


def test_a_home_that_was_used(tmp_path: Path) -> None:
    prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.iterdir()}
    assert "can be read" in findings(tmp_path)["record"].detail
    after = {p.name: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.iterdir()}
    assert after == before


def test_what_is_amiss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert not findings(tmp_path / "file")["home"].is_good
    (tmp_path / "mlflow.db").write_text("words " * 1000)
    assert not findings(tmp_path)["record"].is_good
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    found = findings(tmp_path)["record"]
    assert not found.is_good
    assert "does not answer" in found.detail
    assert "hunter2" not in json.dumps(found.detail)


def test_places_are_looked_at_and_not_made(bucket: str, tmp_path: Path) -> None:
    home, uri = Home.of(tmp_path / "home"), f"sqlite:///{tmp_path}/other/mlflow.db"
    check_places(home, tracking_uri=uri, phase_store=None)
    check_places(home, tracking_uri=uri, phase_store=bucket)
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="is a file"):
        check_places(home, tracking_uri=f"sqlite:///{tmp_path}/file/mlflow.db", phase_store=None)
    nowhere = f"{bucket.rpartition('/')[0]}x/team"
    with pytest.raises(Refusal, match="unknown bucket"):
        check_places(home, tracking_uri=uri, phase_store=nowhere)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
