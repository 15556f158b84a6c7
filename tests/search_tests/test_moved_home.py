"""A home folder that was moved, copied or mounted elsewhere is read and written as before."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from search.home import Home
from search.moved_home import moved_file, moved_location
from search.record.address import ExperimentAddress
from search.record.mlflow_client import open_tracker, prepare

RUN, MODEL = "0123456789abcdef" * 2, "m-" + "0123456789abcdef" * 2
ENTRY = {"kind": "run", "name": "x", "time": 1, "status": "RUNNING"}


@pytest.mark.parametrize(
    ("rest", "moved"),
    [
        ("artifacts/e", True),
        (f"artifacts/e/{RUN}/artifacts", True),
        (f"artifacts/e/{RUN}/artifacts/a/b.json", True),
        (f"artifacts/e/models/{MODEL}/artifacts", True),
        (f"artifacts/a%20b/{RUN}/artifacts", True),
        ("mlruns/1", False),
        (f"artifacts/e/{RUN}/other", False),
    ],
)
@pytest.mark.parametrize("old", ["/old/home", "/a%3Fb", "/artifacts/e"])
def test_moved_location(old: str, rest: str, moved: bool, tmp_path: Path) -> None:
    new = tmp_path / "a new?home"
    expected = f"file://{tmp_path}/a%20new%3Fhome/{rest}" if moved else f"file://{old}/{rest}"
    assert moved_location(f"file://{old}/{rest}", new) == expected
    assert moved_location(expected, new) == expected


@pytest.mark.parametrize("location", ["s3://b/artifacts/e", "mlflow-artifacts:/1", "models:/m-1"])
def test_a_location_that_is_no_folder_stays(location: str, tmp_path: Path) -> None:
    assert moved_location(location, tmp_path) == location


def test_artifacts_that_were_always_kept_elsewhere_stay_there(tmp_path: Path) -> None:
    (tmp_path / "old/artifacts/e").mkdir(parents=True)
    location = f"file://{tmp_path}/old/artifacts/e"
    assert moved_location(location, tmp_path / "new") == location
    (tmp_path / "new/artifacts/e").mkdir(parents=True)
    assert moved_location(location, tmp_path / "new") == f"file://{tmp_path}/new/artifacts/e"


def test_a_file_is_taken_from_where_the_home_is_now(tmp_path: Path) -> None:
    old, new = "/old/home/outcomes/key/rel.safetensors", tmp_path / "outcomes/key/rel.safetensors"
    assert moved_file(old, tmp_path) == old
    new.parent.mkdir(parents=True)
    new.touch()
    assert moved_file(old, tmp_path) == str(new)
    assert moved_file(str(new), tmp_path) == str(new)
    assert moved_file("rel.safetensors", tmp_path) == "rel.safetensors"


def put(home: Path, name: str) -> None:
    uri = Home.of(home).mlflow_uri()
    prepare(uri)
    entry = {**ENTRY, "labels": {"role": name}, "files": {"a.json": [name]}}
    open_tracker(ExperimentAddress(uri)).put_run("study", entry)


def content(home: Path) -> list[str]:
    tracker = open_tracker(ExperimentAddress(Home.of(home).mlflow_uri()))
    return [tracker.read_json(run, "a.json")[0] for run in tracker.find("study")]


@pytest.mark.parametrize("name", ["plain", "a b", "q?x", "100%", "a%20b", "a#b", "ö&=;+'"])
def test_a_moved_home_is_read_and_gone_on_with(name: str, tmp_path: Path) -> None:
    old, new = tmp_path / name, tmp_path / f"{name} moved"
    put(old, "first")
    old.rename(new)
    before = (new / "mlflow.db").read_bytes()
    assert content(new) == ["first"]
    assert (new / "mlflow.db").read_bytes() == before, "reading changes nothing"
    put(new, "second")
    assert sorted(content(new)) == ["first", "second"]
    assert [path.name for path in tmp_path.iterdir()] == [new.name], "nothing is made beside it"


def test_a_copy_writes_beside_itself_and_not_into_the_original(tmp_path: Path) -> None:
    put(tmp_path / "old", "first")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    files = sorted((tmp_path / "old").rglob("*"))
    put(tmp_path / "new", "second")
    assert sorted(content(tmp_path / "new")) == ["first", "second"]
    assert sorted((tmp_path / "old").rglob("*")) == files
    assert content(tmp_path / "old") == ["first"]
    shutil.rmtree(tmp_path / "old")
    assert sorted(content(tmp_path / "new")) == ["first", "second"]
    rows = sqlite3.connect(tmp_path / "new/mlflow.db").execute("SELECT artifact_uri FROM runs")
    assert sorted(str(tmp_path / "new") in uri for (uri,) in rows) == [False, True]
