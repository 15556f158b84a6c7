"""Files of a run, on a real MLflow database."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from search.outbox.outbox import UndeliverableError
from search.record import entries
from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.mlflow_files import fetch, put_files, put_paths, read_json
from search.record.reader import read_outcomes
from search.record.writer import RecordWriter
from trainables.scoring import outcomes

EXPERIMENT = "transfer-search"


@pytest.fixture
def run(uri: str, tmp_path: Path) -> tuple[Any, str]:
    client = connect(uri)
    folder = (tmp_path / "artifacts").as_uri()
    experiment = client.create_experiment("e", artifact_location=folder)
    return client, client.create_run(experiment).info.run_id


def test_documents_and_files_come_back(run: tuple[Any, str], tmp_path: Path) -> None:
    client, run_id = run
    table = [{"task": "rel", "value": 0.5, "rows": None}, {"task": "ä", "value": 1.0, "rows": 3}]
    put_files(
        client, run_id, {"a.json": {"name": "Übung"}, "b/c.svg": "<svg/>", "d.parquet": table}
    )
    path = client.download_artifacts(run_id, "d.parquet", str(tmp_path))
    assert pyarrow.parquet.read_table(path).to_pylist() == table
    assert Path(client.download_artifacts(run_id, "b/c.svg", str(tmp_path))).read_text() == "<svg/>"
    place = client.get_run(run_id).info.artifact_uri
    put_files(client, run_id, {"e.json.gz": {"rows": ["ü", None, 0.1 + 0.2]}})
    assert read_json(client, run_id, place, "a.json") == {"name": "Übung"}
    assert read_json(client, run_id, place, "e.json.gz") == {"rows": ["ü", None, 0.1 + 0.2]}
    assert read_json(client, run_id, place, "b.json") is None
    assert fetch(client, run_id, "rows", tmp_path / "none") == []
    (tmp_path / "long-name").write_bytes(b"rows")
    put_paths(client, run_id, {"rows/rel.bin": str(tmp_path / "long-name")})
    into = tmp_path / "into"
    into.mkdir()
    (file,) = fetch(client, run_id, "rows", into)
    assert (file.name, file.read_bytes()) == ("rel.bin", b"rows")


def test_a_file_that_is_gone_is_undeliverable(run: tuple[Any, str], tmp_path: Path) -> None:
    with pytest.raises(
        UndeliverableError, match=r"rows/rel.bin cannot be sent, because .*gone no longer exists"
    ):
        put_paths(*run, {"rows/rel.bin": str(tmp_path / "gone")})


def test_outcomes_are_read_back_from_mlflow_alone(uri: str, tmp_path: Path, planted: Any) -> None:
    address = ExperimentAddress(uri, EXPERIMENT).for_study("pocket")
    record = RecordWriter.open(address, outbox=tmp_path / "outbox.jsonl")
    rows = {"de": outcomes.of_values([1, 0, 1]), "tr": outcomes.of_counts([(1, 2, 3)])}
    file = tmp_path / "home" / "rel-of-some-digest.safetensors"
    outcomes.write(file, outcomes.ByLanguage(rows))
    row, plan = planted.scored(2, 0.6, "fact"), planted.plan("fact").with_seed(7)
    record.trial_finished(row, baseline=None, outcomes={"rel": str(file)})
    of_retrain = {"seed": 7, "role": "winner"}
    record.retrain("final").finished(
        **of_retrain,
        plan=plan,
        phase_keys=("k",),
        scores=planted.scores(0.5),
        outcomes={"rel": str(file)},
    )
    # What cannot be sent is put aside, and what comes after it arrives.
    record.trial_finished(
        planted.scored(3, 0.6, "rel"), baseline=None, outcomes={"rel": str(tmp_path / "gone")}
    )
    record.study_started(settings={}, digest="", versions={})
    assert record.close(60)
    file.unlink()
    for labels in (entries.trial_labels(2), entries.retrain_labels("final", **of_retrain)):
        found = read_outcomes(address, labels)
        assert set(found) == {"rel"}
        for language, array in rows.items():
            np.testing.assert_array_equal(found["rel"][language], array)
    for number in (3, 9):
        assert read_outcomes(address, entries.trial_labels(number)) == {}
    assert (tmp_path / "outbox.jsonl.refused").read_text().count("no longer exists") == 1
