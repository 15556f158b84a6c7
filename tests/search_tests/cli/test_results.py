"""evaluate and compare from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.writer import RecordWriter
from search.trials.ranking import ranked

Run = Callable[..., Any]


def refused(result: Any, message: str) -> None:
    assert result.code == 2
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("transfer-search: ")
    assert message in result.err
    assert result.out == ""


def test_where_nothing_was_run(cli: Run, tmp_path: Path) -> None:
    home = ("--home", tmp_path / "home")
    for arguments in (("evaluate", "tiny"), ("compare", "tiny", "other")):
        refused(cli(*arguments, *home), "no MLflow database at")
        refused(cli(*arguments, *home, "--tracking-uri", "http://127.0.0.1:9"), "does not answer")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def recorded(uri: str, tmp_path: Path, planted: Any) -> tuple[object, ...]:
    """Three studies; the rows of the third are others. Options that find them."""
    for name, level, fields in (
        ("first", 0.6, {}),
        ("second", 0.65, {}),
        ("whole", 0.7, {"cut": "whole test as validation and test"}),
    ):
        record = RecordWriter(ExperimentAddress(uri).for_study(name), outbox=tmp_path / name)
        record.study_started(settings={}, digest="d", versions={})
        record.trial_finished(planted.scored(0, 0.5, None, **fields), baseline=None)
        record.trial_finished(planted.scored(1, level, "fact", **fields), baseline=None)
        assert record.outbox.deliver_all()
    return ("--tracking-uri", uri, "--home", tmp_path / "home")


def test_compare(cli: Run, recorded: tuple[object, ...]) -> None:
    result = cli("compare", "first", "second", *recorded, "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert [study["gain"] for study in found["studies"]] == pytest.approx([0.10, 0.15])
    result = cli("compare", "first", "second", *recorded)
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    rel, coh, _ = (line for line in lines if line[:1] == ["second"])
    assert rel == coh == ["second", "50.0", "65.0", "+15.0", "+5.0"]


def test_comparisons_that_are_refused_or_marked(cli: Run, recorded: tuple[object, ...]) -> None:
    refused(cli("compare", "first", *recorded), "two studies or more")
    refused(cli("compare", "first", "secnd", *recorded), "Did you mean 'second'")
    refused(cli("compare", "first", "whole", *recorded), "target 'rel' was scored differently: cut")
    result = cli("compare", "first", "whole", "--force", *recorded)
    assert (result.code, result.err) == (0, "")
    assert result.out.count("mixed: cut") == 6


@pytest.mark.ray
def test_evaluate(cli: Run, finished: Any, tmp_path: Path) -> None:
    home = ("--home", finished.copy(tmp_path / "home"))
    result = cli("evaluate", "tiny", *home, "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    best = ranked(finished.record.rows)[0]
    assert (found["trial"], found["split"]) == (best.number, "test")
    assert found["targets"]["retrieval"]["languages"]["de"].keys() >= {"accuracy.layer_1"}
    result = cli("evaluate", "tiny", *home, "--trial", 1)
    assert (result.code, result.err) == (0, "")
    assert "rel, test split" in result.out
    assert "layer_1" not in result.out
    assert "task score, mean over its languages" in result.out
    out = tmp_path / "out"
    refused(cli("evaluate", "tiny", *home, "--xtreme", out), "none of XTREME's nine")
    refused(cli("evaluate", "tiny", *home, "--split", "tset"), "Did you mean 'test'")
    assert not out.exists()
