"""What a search logs and counts."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.driver.observer import NUMBERS, Observer, logging_to
from search.trials.ranking import TrialState
from spaces.redaction import remember
from spaces.study_file.study import StudySettings
from trainables.store.phase_store import PhaseRecord

Settings = Callable[..., StudySettings]


class Seen:
    """A watch that remembers which calls it got."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.calls.append(name)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def phase_event(planted: Any, *, reused: bool) -> dict[str, Any]:
    record = PhaseRecord(
        key="k",
        parent=None,
        phase=planted.phase("fact", 2e-4).to_dict(),
        num_steps=20,
        num_tokens=500,
        seconds=2.0,
    )
    return {"event": "phase", "key": "k", "reused": reused, "record": record.to_dict()}


def test_a_search_in_lines_and_numbers(planted: Any, settings_of: Settings, tmp_path: Path) -> None:
    settings = settings_of(resources={"gpus_per_worker": 2}, budget={"num_trials": 6})
    seen, told = Seen(), {}
    observer = Observer(seen, settings)  # type: ignore[arg-type]

    def publish(name: str, value: float, *, study: str, kind: str = "") -> None:
        assert study == "tiny"
        assert name in NUMBERS
        told[name, kind] = value

    with logging_to(tmp_path, "tiny"):
        observer.resumed(2)
        observer.publish_to(publish)
        observer.started(4, planted.plan("fact"))
        observer.moved(
            4, {"event": "progress", "key": "k", "phase": "fact", "step": 10, "num_steps": 20}
        )
        observer.moved(4, {"event": "trained", "key": "k", "seconds": 1800.0})
        observer.moved(4, phase_event(planted, reused=False))
        observer.moved(4, phase_event(planted, reused=True))
        observer.moved(4, {"event": "error", "reason": "OSError: no space"})
        observer.moved(4, {"event": "again", "reason": "OSError: no space"})
        observer.finished(planted.scored(4, 0.5, "fact"))
        observer.started(5, planted.plan("fact"))
        observer.moved(5, {"event": "drained", "reason": "saved at step 10"})
        observer.finished(planted.unscored(5, TrialState.FAILED, reason="diverged"))
    assert told == {
        ("trials_left", ""): 2,
        ("trials", "running"): 0,
        ("trials", "scored"): 1,
        ("trials", "failed"): 1,
        ("stages", "trained"): 1,
        ("stages", "reused"): 1,
        ("tokens_per_second", ""): 250,
        ("gpu_hours", ""): 1,
        ("best_objective", ""): 0.5,
    }
    found = lines(tmp_path)
    assert {line["study"] for line in found} == {"tiny"}
    training = next(line for line in found if line["message"] == "training")
    assert {"trial": 4, "phase": "fact", "step": 10}.items() <= training.items()
    told = [line["message"] for line in found if line.get("reason") == "OSError: no space"]
    assert told == ["trial broke", "trial started again"]
    assert [line["level"] for line in found].count("warning") == 1
    assert [line["message"] for line in found].count("trial finished") == 2
    assert len(seen.calls) == 12, "everything is handed on"


def test_the_gpu_hours_left(planted: Any, settings_of: Settings) -> None:
    """Half an hour was spent by an earlier driver, an hour by the trial that ends here."""
    settings = settings_of(
        resources={"gpus_per_worker": 1}, budget={"num_trials": 6, "max_gpu_hours": 2}
    )
    told: list[float] = []
    observer = Observer(Seen(), settings, gpu_hours=0.5)  # type: ignore[arg-type]

    def publish(name: str, value: float, **_: str) -> None:
        if name == "gpu_hours_left":
            told.append(value)

    observer.publish_to(publish)
    for number in (0, 1):
        row = replace(planted.scored(number, 0.5, "fact"), seconds={"total": 3600.0, "gpu": 3600.0})
        observer.finished(row)
    assert told == [1.5, 0.5, 0]


def test_what_others_log_is_among_the_lines_and_still_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (logging.getLogger("search").level, list(logging.getLogger("search").handlers))
    with logging_to(tmp_path, 'a"b\n'):
        logging.getLogger("search.outbox.outbox").warning('kept in %s\n"x"', "file")
        logging.getLogger("trainables.training.loop").info("quiet")
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("search.fence").exception("it broke")
        logging.getLogger("other").warning("not ours")
    assert (logging.getLogger("search").level, logging.getLogger("search").handlers) == before
    first, second, third = lines(tmp_path)
    assert (first["message"], first["study"]) == ('kept in file\n"x"', 'a"b\n')
    assert (second["message"], second["level"]) == ("quiet", "info")
    assert "ValueError: broken" in third["error"]
    shown = capsys.readouterr().err
    assert "kept in file" in shown
    assert "quiet" not in shown


def test_no_password_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember("postgresql://me:hunter2@host/db")
    log = logging.getLogger("search.test")
    with logging_to(tmp_path, "tiny"):
        log.info("cannot log in with %s", "hunter2", extra={"fields": {"reason": "hunter2"}})
        try:
            raise ValueError("https://me:other@host says hunter2")
        except ValueError:
            log.exception("it failed with hunter2")
    text = (tmp_path / "log.jsonl").read_text()
    shown = capsys.readouterr().err
    assert "it failed with ***" in text
    for where in (text, shown):
        assert "hunter2" not in where
        assert "other" not in where
    assert all(json.loads(line) for line in text.splitlines())


def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with logging_to(tmp_path, "tiny"):
        for _ in range(3):
            logging.getLogger("search.x").info("a line")
    (tmp_path / "folder" / "log.jsonl").mkdir(parents=True)
    with logging_to(tmp_path / "folder", "tiny"):
        logging.getLogger("search.x").info("a line")
    assert capsys.readouterr().err == ""
