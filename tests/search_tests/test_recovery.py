"""A driver killed without warning, run again: nothing lost, nothing twice, the same scores."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.record import StudyRecord, read_study
from search.selection import TrialState

pytestmark = [pytest.mark.ray, pytest.mark.slow]

StudyFile = Callable[..., Path]


def start(study: Path, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "search.cli", "run", str(study), "--home", str(home)]
    log = (home.parent / f"{home.name}.log").open("ab")
    return subprocess.Popen(command, stdout=log, stderr=log)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the search ended before the moment to kill it"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def read(home: Path) -> StudyRecord:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return read_study(tracking_uri=uri, experiment="transfer-search", study="small")


def outcome(record: StudyRecord) -> dict[int, Any]:
    """What has to be equal to the last bit."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


def trained(home: Path) -> dict[str, int]:
    """Committed phases and when they were written."""
    return {p.parent.name: p.stat().st_mtime_ns for p in home.glob("phases/*/record.json")}


@pytest.fixture
def study(study_file: StudyFile) -> Path:
    return study_file(
        training__intermediate={"num_steps": 120, "batch_size": 16, "max_length": 64},
        resources={"checkpoint_seconds": 0.05},
    )


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "inside an intermediate phase": lambda home: any(
        "checkpoint-00000006" in str(path) for path in home.glob("attempts/*/*/checkpoint-*")
    ),
    "between two phases": lambda home: len(trained(home)) == 3,
    "after some trials": lambda home: len(trained(home)) >= 5,
}


def test_killed_and_run_again(study: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    assert start(study, undisturbed).wait() == 0
    expected = outcome(read(undisturbed))
    assert sum(state is TrialState.SCORED for state, *_ in expected.values()) == 5
    for name, moment in MOMENTS.items():
        home = tmp_path / name.replace(" ", "-")
        process = start(study, home)
        wait_for(lambda home=home, moment=moment: moment(home), process)  # type: ignore[misc]
        kill(process)
        before = trained(home)
        assert start(study, home).wait() == 0, name
        record = read(home)
        assert outcome(record) == expected, name
        after = trained(home)
        assert {key: after[key] for key in before} == before, f"{name}: trained again"
        assert set(after) == set(trained(undisturbed)), name
        check_databases(home, record)


def check_databases(home: Path, record: StudyRecord) -> None:
    """Every trial finished once in Optuna, with one run in MLflow; every phase has one run."""
    storage = f"sqlite:///{home / 'optuna.db'}"
    trials = optuna.load_study(study_name="small", storage=storage).trials
    assert all(trial.state.is_finished() for trial in trials)
    assert [trial.number for trial in trials] == [row.number for row in record.rows]
    keys = [phase.key for phase in record.phases]
    assert sorted(keys) == sorted(trained(home))
    assert not list(home.glob("attempts/*/*/checkpoint-*"))


def test_a_second_driver_is_refused_while_the_first_one_lives(study: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = start(study, home)
    wait_for(lambda: len(trained(home)) >= 1, first)
    command = [sys.executable, "-m", "search.cli", "run", str(study), "--home", str(home)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"process {first.pid}" in second.stderr
    assert first.wait() == 0


def test_report_says_the_same_after_a_kill(study: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start(study, home)
    wait_for(lambda: len(trained(home)) >= 4, process)
    kill(process)
    command = [sys.executable, "-m", "search.cli", "report", "small", "--json", "--home", str(home)]
    report = subprocess.run(command, capture_output=True, text=True, check=True)
    states = {trial["state"] for trial in json.loads(report.stdout)["trials"]}
    assert "running" in states or "scored" in states
