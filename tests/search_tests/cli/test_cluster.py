"""The commands that speak to a cluster, without one: what is refused, what the record says."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.cli.cluster import StudyView, shown_lines
from search.cluster.jobs import Job
from search.record.address import ExperimentAddress
from search.record.writer import RecordWriter

Run = Callable[..., Any]
JOB = Job(
    id="transfer-search.tiny.2",
    study="tiny",
    attempt=2,
    state="failed",
    is_over=True,
    message="failed\ntransfer-search: the last line",
    started=1e9,
    ended=None,
)


def refused(result: Any, message: str) -> None:
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1


def test_refused_before_anybody_is_asked(
    cli: Run, study_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    file = study_file()
    away = ("--address", "http://127.0.0.1:9")
    refused(cli("submit", file), "no cluster is named")
    refused(cli("logs", "small"), "no cluster is named")
    refused(cli("cancel", "small"), "no cluster is named")
    refused(cli("submit", file, *away, "--home", "here"), "is not a full path")
    refused(cli("submit", "pockett", *away), "unknown study 'pockett'")
    refused(cli("submit", file, *away, "--name", "a b;c"), "study.name")
    refused(cli("submit", file, *away, "--retrain", "--name", "b"), "leave --name out")
    refused(cli("submit", file, *away, "--seeds", "3"), "needs --retrain")
    refused(cli("submit", file, *away), "does not answer")
    with file.open("a") as text:
        text.write('\n# optuna = "postgresql://db/optuna?user=me&password=hidden"\n')
    number = len(file.read_text().splitlines())
    refused(cli("submit", file, *away), f"line {number} of the study file has a password in it")
    with file.open("a") as text:
        text.write('\n[tracking]\noptuna = "postgresql://me:hidden@db/optuna"\n')
    refused(cli("submit", file, *away), "tracking.optuna has a password in it")
    file = study_file()
    refused(cli("logs", file, *away), "does not answer")
    refused(cli("status", "small", *away), "does not answer")
    refused(cli("submit", file, *away, "--token-file", tmp_path / "none"), "No such file")
    assert "--token " not in cli("submit", "--help").out, "a token is no argument"


def test_where_no_cluster_can_be_joined(
    cli: Run, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    file, home = study_file(), tmp_path / "home"
    refused(cli("run", file, "--address", "auto"), "needs a home folder")
    refused(
        cli("run", file, "--home", home, "--address", "http://h:8265"),
        "is not an address to run at",
    )
    assert not home.exists()


def test_status_is_read_from_the_record(cli: Run, uri: str, tmp_path: Path, planted: Any) -> None:
    record = RecordWriter(ExperimentAddress(uri).for_study("tiny"), outbox=tmp_path / "outbox")
    budget = {"budget": {"num_trials": 12}}
    record.study_started(settings=budget, digest="d", versions={})
    for row in planted.study_rows():
        record.trial_finished(row, baseline=None)
    assert record.outbox.deliver_all()
    shown = cli("status", "tiny", "--tracking-uri", uri)
    assert shown.code == 0
    assert shown.out.startswith("study tiny (running)\ntrials: ")
    found = json.loads(cli("status", "tiny", "--tracking-uri", uri, "--json").out)
    assert found["job"] is None
    assert found["standing"]["best_trial"] == 3
    assert found["standing"]["trials_left"] == 5
    listed = json.loads(cli("status", "--tracking-uri", uri, "--json").out)
    assert [study["name"] for study in listed["studies"]] == ["tiny"]
    assert "tiny" in cli("status", "--tracking-uri", uri).out
    refused(cli("status", "tinny", "--tracking-uri", uri), "Did you mean 'tiny'")
    refused(cli("status", "tiny", "--home", tmp_path / "none"), "no MLflow database")


def test_a_job_without_a_record_here() -> None:
    look = StudyView(None, JOB, "no MLflow database at x")
    first, second = shown_lines(look)
    assert first == "no record here: no MLflow database at x"
    assert second.startswith("job transfer-search.tiny.2: failed, since 2001-09-09 ")
    assert second.endswith(": transfer-search: the last line")
    assert look.is_over
    assert not StudyView(None, replace(JOB, is_over=False), "").is_over
