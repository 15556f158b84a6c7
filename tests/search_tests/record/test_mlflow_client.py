"""MLflow may be killed, away or slow, and we may be killed: the record comes out the same."""

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.mlflow_client import Tracker, connect
from search.record.reader import list_studies, read_study
from search.record.writer import RecordWriter

EXPERIMENT = "transfer-search"


class Killed(BaseException):
    """The process ends here."""


class DyingClient:
    """An MLflow client whose process dies right after the call with this number."""

    def __init__(self, client: Any, dies_after: int) -> None:
        self._client = client
        self._dies_after = dies_after
        self.num_calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self.num_calls += 1
            if self.num_calls == self._dies_after:
                raise Killed(name)
            return result

        return call


def write(record: RecordWriter, planted: Any) -> None:
    """A short study: two trials, one phase, one model."""
    rows = (planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact"))
    record.study_started(settings={"study": {"seed": 0}}, digest="d", versions={})
    for row in rows:
        record.trial_started(
            row.number, params=row.params, plan=row.plan, phase_keys=row.phase_keys
        )
        record.trial_finished(row, baseline=None)
    record.phase_finished(planted.phase_row("k"), plan_phase={})
    record.log_models(rows[1:], {rows[1].phase_keys[1]: {"uri": "file:///x"}})
    record.study_finished(rows=rows, phases=[planted.phase_row("k")], summary={"ok": True})


def check(uri: str, study: str, planted: Any) -> None:
    """Everything is there, and nothing twice."""
    found = read_study(ExperimentAddress(uri, EXPERIMENT).for_study(study))
    assert found.rows == (planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact"))
    assert found.phases == (planted.phase_row("k"),)
    assert (found.state, found.summary) == ("finished", {"ok": True})
    client = connect(uri)
    runs = Tracker(client, ExperimentAddress(uri, EXPERIMENT)).find(study)
    assert sorted(run.tags["role"] for run in runs) == ["phase", "study", "trial", "trial"]
    for run in runs:
        for name in client.get_run(run.run_id).data.metrics:
            assert len(client.get_metric_history(run.run_id, name)) == 1, name
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    models = client.search_logged_models(
        [experiment], filter_string=f"tags.`transfer_search.study` = '{study}'"
    )
    assert [(model.name, str(model.status)) for model in models] == [("trial-0001-rel", "READY")]
    assert len(models[0].metrics) == 2
    assert len(client.get_run(models[0].source_run_id).outputs.model_outputs) == 1


class Counting:
    """A client that counts the calls of each name; the answer to one `create_run` gets lost."""

    def __init__(self, client: Any, lost: int = 0) -> None:
        self._client, self._lost = client, lost
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            result = method(*args, **kwargs)
            if name == "create_run" and self.calls[name] == self._lost:
                raise ConnectionError("no answer")
            return result

        return call


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_an_answer_that_is_lost_makes_nothing_twice(
    uri: str, tmp_path: Path, planted: Any, lost: int
) -> None:
    client, study = connect(uri), f"lost-{lost}"
    deaf = Counting(client, lost)
    address = ExperimentAddress(uri, EXPERIMENT).for_study(study)
    record = RecordWriter(address, outbox=tmp_path / study, connect=lambda _: deaf)
    write(record, planted)
    with pytest.raises(ConnectionError):
        record.outbox.deliver_all()
    assert record.outbox.deliver_all()
    check(uri, study, planted)


def test_runs_of_a_new_study_are_not_searched_for(uri: str, tmp_path: Path, planted: Any) -> None:
    """Each search takes the longer the more runs there are."""
    address = ExperimentAddress(uri, EXPERIMENT).for_study("new")
    searches = []
    for _ in range(2):
        client = Counting(connect(uri))
        record = RecordWriter(address, outbox=tmp_path / "new", connect=lambda _, c=client: c)
        record.study_started(settings={"study": {"seed": 0}}, digest="d", versions={})
        for number in range(5):
            row = planted.scored(number, 0.5, None)
            record.trial_finished(row, baseline=None)
        assert record.outbox.deliver_all()
        searches.append(client.calls["search_runs"])
    assert searches[0] <= 1
    assert searches[1] > 5, "one that was begun is looked through"


@pytest.mark.parametrize(
    "every",
    [pytest.param(6, id="some"), pytest.param(1, marks=pytest.mark.slow, id="all")],
)
def test_a_kill_after_any_call_to_mlflow_leaves_no_trace(
    uri: str, tmp_path: Path, planted: Any, every: int
) -> None:
    """The driver is killed after its first call, another time after a later one, and so on."""
    client = connect(uri)
    dies_after, survived = 1, False
    while not survived:
        dying = DyingClient(client, dies_after)
        study = f"study-{dies_after}"
        name = EXPERIMENT if dies_after > 3 else f"{EXPERIMENT}-{dies_after}"
        address, outbox = ExperimentAddress(uri, name).for_study(study), tmp_path / study
        record = RecordWriter(address, outbox=outbox, connect=lambda _, dying=dying: dying)
        write(record, planted)
        try:
            survived = record.outbox.deliver_all()
        except Killed:
            after = RecordWriter(address, outbox=outbox, connect=lambda _: client)
            assert after.outbox.deliver_all()
            if dies_after > 3:  # the first calls make the experiment: each time another
                check(uri, study, planted)
        dies_after += every
    assert dies_after > 30


def test_metrics_of_many_languages_go_in_several_calls(
    uri: str, tmp_path: Path, planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.record.mlflow_client._MAX_METRICS", 4)
    record = RecordWriter(
        ExperimentAddress(uri, EXPERIMENT).for_study("s"), outbox=tmp_path / "outbox"
    )
    row = planted.scored(0, 0.5, None)
    record.trial_finished(row, baseline=None)
    assert record.outbox.deliver_all()
    tracker = Tracker(connect(uri), ExperimentAddress(uri, EXPERIMENT))
    (run,) = tracker.find("s", role="trial")
    assert len(connect(uri).get_run(run.run_id).data.metrics) > 15
    assert run.tags["state"] == "scored"


def test_nothing_global_is_touched_and_no_file_appears_in_the_folder_one_stands_in(
    tmp_path: Path,
) -> None:
    """In a process of its own, from the first import on."""
    script = """
import sys
from pathlib import Path
from search.record.address import ExperimentAddress
from search.record.writer import RecordWriter
from search.record.mlflow_client import prepare
assert "mlflow" not in sys.modules
home = Path(sys.argv[1])
uri = f"sqlite:///{home / 'sub' / 'mlflow.db'}"
prepare(uri)
prepare(uri)
address = ExperimentAddress(uri, "e").for_study("s")
record = RecordWriter.open(address, outbox=home / "outbox")
record.study_started(settings={}, digest="d", versions={})
assert record.close(30)
import mlflow
from mlflow.telemetry import get_telemetry_client
assert mlflow.active_run() is None
assert get_telemetry_client() is None
assert not mlflow.is_tracking_uri_set()
"""
    here = tmp_path / "here"
    here.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "PYTEST"))}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "home")],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(here.iterdir())
    assert (tmp_path / "home" / "sub" / "artifacts" / "e").is_dir()


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """A real MLflow server, until the end of the block; asked for by address only."""
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.slow
def test_a_server_that_comes_late_and_goes_away_gets_everything(
    tmp_path: Path, planted: Any, wait_for: Callable[..., None], empty_database: bytes
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    (tmp_path / "server.db").write_bytes(empty_database)
    uri = f"http://127.0.0.1:{port}"
    address = ExperimentAddress(uri, EXPERIMENT).for_study("s")
    record = RecordWriter.open(address, outbox=tmp_path / "outbox")
    row = planted.scored(0, 0.5, None)
    record.study_started(settings={"study": {"seed": 0}}, digest="d", versions={})
    record.trial_started(0, params=row.params, plan=row.plan, phase_keys=row.phase_keys)
    assert not record.drain(0.5)
    with server(tmp_path, port):
        assert record.drain(60)
        listed = list_studies(ExperimentAddress(uri, EXPERIMENT))
        assert [study.name for study in listed] == ["s"]
    record.trial_finished(row, baseline=None)
    record.phase_finished(planted.phase_row("k"), plan_phase={})
    assert not record.close(0.5)
    with server(tmp_path, port):
        # Another process takes the outbox up: with the second trial, and a model.
        after = RecordWriter.open(address, outbox=tmp_path / "outbox")
        second = planted.scored(1, 0.6, "fact")
        after.trial_finished(second, baseline=None)
        after.log_models([second], {second.phase_keys[1]: {"uri": "file:///x"}})
        after.study_finished(
            rows=(row, second), phases=[planted.phase_row("k")], summary={"ok": True}
        )
        assert after.drain(60)
        check(uri, "s", planted)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        after.retrain("r").started(seed=1, role="winner", plan=row.plan, phase_keys=())
        made = [
            after.retrain("r").register(
                tmp_path / "model",
                name="m",
                seed=1,
                params={},
                tags={},
                requirements=[],
            )
            for _ in range(2)
        ]
        assert made[0] == made[1]
        assert made[0].uri == "models:/m/1"
        assert after.close(10)
