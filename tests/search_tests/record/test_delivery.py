"""From the outbox to MLflow: what arrives, what is set aside, what a failure leaves."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from search.home import Home
from search.record import entries
from search.record.address import ExperimentAddress
from search.record.delivery import Delivery
from search.record.mlflow_client import Tracker, connect
from search.record.reader import read_outcomes
from search.record.writer import RecordWriter
from trainables.scoring.outcomes import ByLanguage, file_of, of_values, write

EXPERIMENT = "transfer-search"


def study_started() -> Mapping[str, Any]:
    return entries.study_started("s", settings={}, digest="d", versions={}, warnings=(), world=None)


def test_what_is_appended_arrives_with_the_time_of_the_event(uri: str, tmp_path: Path) -> None:
    address = ExperimentAddress(uri, EXPERIMENT).for_study("s")
    delivery = Delivery(address, outbox=tmp_path / "outbox")
    delivery.append(dict(study_started()))
    (line,) = (tmp_path / "outbox").read_text().splitlines()
    assert '"time"' in line
    assert delivery.open_tracker().find("s") == []
    assert delivery.outbox.deliver_all()
    assert [run.name for run in delivery.open_tracker().find("s")] == ["s"]


def test_after_a_failure_the_tracker_is_opened_anew(uri: str, tmp_path: Path) -> None:
    """Ids may be stale: MLflow may have been away, or another one."""
    opened = []

    def failing(address: str) -> Any:
        opened.append(address)
        if len(opened) == 1:
            raise ConnectionError("no answer")
        return connect(address)

    address = ExperimentAddress(uri, EXPERIMENT).for_study("s")
    delivery = Delivery(address, outbox=tmp_path / "outbox", connect=failing)
    delivery.append(dict(study_started()))
    with pytest.raises(ConnectionError):
        delivery.outbox.deliver_all()
    assert delivery.outbox.pending == 1
    assert delivery.outbox.deliver_all()
    delivery.append(dict(study_started()))
    assert delivery.outbox.deliver_all()
    assert opened == [uri, uri], "and kept as long as all goes well"


def test_what_mlflow_will_never_take_is_set_aside(uri: str, tmp_path: Path, planted: Any) -> None:
    outbox = tmp_path / "outbox"
    record = RecordWriter(ExperimentAddress(uri, EXPERIMENT).for_study("s"), outbox=outbox)
    record.outbox.append({"kind": "of another version", "time": 0})
    record.trial_finished(planted.scored(0, 0.5, None), baseline=None)
    record.outbox.start()
    assert record.close(20)
    assert outbox.with_name("outbox.refused").exists()
    tracker = Tracker(connect(uri), ExperimentAddress(uri, EXPERIMENT))
    assert len(tracker.find("s", role="trial")) == 1


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_files_of_a_moved_home_arrive(
    move: Callable[[Path, Path], Any], uri: str, tmp_path: Path, planted: Any
) -> None:
    """They were stored with full paths while MLflow was away."""
    address = ExperimentAddress(uri, EXPERIMENT).for_study("s")
    row, old, new = planted.scored(0, 0.5, None), Home(tmp_path / "old"), Home(tmp_path / "n?w")
    file = file_of(old.path, "key", row.scores.targets[0].protocol)
    write(file, ByLanguage({"de": of_values([1, 0])}))
    before = RecordWriter(address, outbox=old.outbox("s"))
    before.trial_finished(row, baseline=None, outcomes={"rel": str(file)})
    move(old.path, new.path)
    record = RecordWriter.open(address, outbox=new.outbox("s"))
    assert record.close(20)
    assert not new.outbox("s").with_name("s.jsonl.refused").exists()
    assert list(read_outcomes(address, entries.trial_labels(0))) == ["rel"]
