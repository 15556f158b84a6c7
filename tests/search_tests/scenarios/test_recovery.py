"""A driver killed without warning, run again: nothing lost, nothing twice, the same scores."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.record.address import ExperimentAddress
from search.record.reader import StudyRecord, read_study
from search.trials.ranking import TrialState

pytestmark = [pytest.mark.ray, pytest.mark.slow]

StudyFile = Callable[..., Path]


def command(study: Path, home: Path) -> list[str]:
    return [sys.executable, "-m", "search.cli", "run", str(study), "--home", str(home)]


def start(study: Path, home: Path) -> subprocess.Popen[bytes]:
    log = (home.parent / f"{home.name}.log").open("ab")
    return subprocess.Popen(command(study, home), stdout=log, stderr=log)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the search ended before the moment to kill it"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def read(home: Path) -> StudyRecord:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return read_study(ExperimentAddress(uri).for_study("small"))


def outcome(record: StudyRecord) -> dict[int, Any]:
    """What has to be equal to the last bit."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


def trained(home: Path) -> dict[str, int]:
    """Committed phases and when they were written."""
    return {p.parent.name: p.stat().st_mtime_ns for p in home.glob("phases/*/record.json")}


@dataclass(frozen=True, slots=True)
class Searched:
    """A search to its end, and what a second driver was answered while it ran."""

    study: Path
    home: Path
    pid: int
    second: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def undisturbed(study_file_in: StudyFile, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("recovery")
    study = study_file_in(
        folder,
        training__intermediate={"num_steps": 120, "batch_size": 16, "max_length": 64},
        resources={"checkpoint_seconds": 0.05},
    )
    home = folder / "undisturbed"
    first = start(study, home)
    wait_for((home / "outbox").exists, first)  # made once the fence is up
    second = subprocess.run(command(study, home), capture_output=True, text=True, check=False)
    assert first.poll() is None, "the search ended before the second driver was answered"
    assert first.wait() == 0
    return Searched(study, home, first.pid, second)


def test_a_second_driver_is_refused_while_the_first_one_lives(undisturbed: Searched) -> None:
    second = undisturbed.second
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"process {undisturbed.pid}" in second.stderr


def is_half_way(home: Path) -> bool:
    """Inside an intermediate phase: only these have 60 steps."""
    found = home.glob("attempts/*/*/checkpoint-*")
    return any(int(path.name.partition("-")[2]) >= 60 for path in found)


def report_of(home: Path, cli: Callable[..., Any]) -> dict[int, Any]:
    """Objectives of scored trials, as `report --json` has them."""
    told = json.loads(cli("report", "small", "--json", "--home", home).out)
    return {t["number"]: t["objective"] for t in told["trials"] if t["state"] == "scored"}


def test_killed_three_times_and_run_again(
    undisturbed: Searched, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """Inside an intermediate phase, between two phases, and after some trials."""
    expected = outcome(read(undisturbed.home))
    assert sum(state is TrialState.SCORED for state, *_ in expected.values()) == 5
    home = tmp_path / "home"
    before: dict[str, int] = {}
    for moment in (
        lambda: is_half_way(home),
        lambda: len(trained(home)) >= 3,
        lambda: len(trained(home)) >= 5,
    ):
        process = start(undisturbed.study, home)
        wait_for(moment, process)
        kill(process)
        found = trained(home)
        assert {key: found[key] for key in before} == before, "trained again"
        before = found
    reported = report_of(home, cli)
    assert reported
    assert all(expected[number][2] == value for number, value in reported.items())
    assert start(undisturbed.study, home).wait() == 0
    record = read(home)
    assert outcome(record) == expected
    after = trained(home)
    assert {key: after[key] for key in before} == before, "trained again"
    assert set(after) == set(trained(undisturbed.home))
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
