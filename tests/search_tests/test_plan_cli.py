"""The options of `plan`: what they add, as text and as JSON, and that nothing is left behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

StudyFile = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_default_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", str(tmp_path / "home"))


def test_explain_shows_the_ranks(cli: Run, study_file: StudyFile, tmp_path: Path) -> None:
    file = study_file(study={"priors": True})
    result = cli("plan", file, "--explain")
    assert result.code == 0
    assert "the space has" in result.out
    assert "Intermediate options as the frozen encoder sees them" in result.out
    assert "tried first, after the baselines and the points:" in result.out
    assert "looking at rows: 4/4" in result.err
    assert list(tmp_path.iterdir()) == [file], "nothing is written"


def test_explain_as_json(cli: Run, study_file: StudyFile) -> None:
    found = json.loads(cli("plan", study_file(), "--explain", "--json").out)
    assert [row["place"] for row in found["priors"]["options"]] == [1, 2, 3]
    assert found["num_trials"] == 5
    assert "priors" not in json.loads(cli("plan", study_file(), "--json").out)


def test_measure_says_how_long(cli: Run, study_file: StudyFile, tmp_path: Path) -> None:
    file = study_file(space={"intermediate": ["none", "rel"], "targets": ["coh"]})
    result = cli("plan", file, "--measure")
    assert result.code == 0
    assert "5 trials, " in result.out
    assert "of training and" in result.out
    assert "measuring: 3/3" in result.err
    assert list(tmp_path.iterdir()) == [file], "nothing is written"


def test_what_does_not_fit_here_is_not_measured(cli: Run, study_file: StudyFile) -> None:
    result = cli("plan", study_file(resources={"cpus_per_worker": 4096}), "--measure", "--json")
    assert (result.code, result.out) == (2, "")
    assert "this machine has" in result.err
