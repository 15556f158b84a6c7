"""The tag of the experiment: written once, anew where the view changed, and never in the way."""

import http.server
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from search.mlflow_view.saved import MAX_NAMED, page_of, put_view, version_of, view_entry
from search.mlflow_view.state import KEY_PREFIX, TrialsView, unpack
from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.writer import RecordWriter

VIEW = TrialsView(
    study="s", params=("intermediate",), shared_params=("intermediate",), targets=("coh",)
)
TAG = KEY_PREFIX + "transfer-search.s"


@pytest.fixture
def client(uri: str) -> Any:
    return connect(uri)


@pytest.fixture
def experiment(client: Any, tmp_path: Path) -> str:
    return str(client.create_experiment("e", artifact_location=tmp_path.as_uri()))


def put(client: Any, experiment: str, view: TrialsView = VIEW, time: int = 1) -> str:
    put_view(client, experiment, {**view_entry(view), "time": time})
    return str(client.get_experiment(experiment).tags[KEY_PREFIX + view.key])


def test_a_view_is_written_once_and_anew_where_it_changed(client: Any, experiment: str) -> None:
    first = put(client, experiment, time=1)
    assert unpack(first) == VIEW.state()
    assert '"name": "trials of s"' in first
    assert put(client, experiment, time=2) == first
    wider = TrialsView(study="s", params=VIEW.params, shared_params=(), targets=("coh", "kind"))
    assert unpack(put(client, experiment, wider, time=3)) == wider.state()
    ours = [name for name in client.get_experiment(experiment).tags if name.startswith(KEY_PREFIX)]
    assert ours == [TAG]


def test_a_page_has_the_view_once_it_is_saved(client: Any, experiment: str) -> None:
    assert page_of(client, experiment, "s").key is None
    client.set_experiment_tag(experiment, TAG, "no view")
    assert page_of(client, experiment, "s").key is None
    put(client, experiment)
    page = page_of(client, experiment, "s")
    assert (page.key, page.experiment_id) == ("transfer-search.s", experiment)
    assert page.version >= (3, 17)


def test_only_the_first_studies_have_a_name_in_mlflows_list(client: Any, experiment: str) -> None:
    for number in range(MAX_NAMED):
        client.set_experiment_tag(experiment, f"{KEY_PREFIX}{number}", "x")
    value = put(client, experiment)
    assert value.startswith("deflate;")
    assert unpack(value) == VIEW.state()


def test_a_view_that_mlflow_refuses_is_said_and_the_record_goes_on(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No tag holds thousands of names without order in them."""
    targets = tuple(secrets.token_hex(20) for _ in range(1000))
    huge = TrialsView(study="s", params=(), shared_params=(), targets=targets)
    record = RecordWriter(ExperimentAddress(uri, "e").for_study("s"), outbox=tmp_path / "outbox")
    record.view_saved(huge)
    record.study_started(settings={}, digest="d", versions={})
    with caplog.at_level(logging.WARNING):
        assert record.outbox.deliver_all()
    said = [line for line in caplog.messages if "does not take the view" in line]
    assert len(said) == 1
    assert record.pending == 0
    assert not (tmp_path / "outbox.refused").exists()
    assert len(connect(uri).search_experiments(filter_string="name = 'e'")) == 1


def test_a_server_that_does_not_answer_gets_the_view_later(
    client: Any, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    def away(*_: object) -> None:
        raise MlflowException("API request failed with exception: connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(client, "set_experiment_tag", away)
        with pytest.raises(MlflowException, match="connection refused"):
            put(client, experiment)
    assert unpack(put(client, experiment)) == VIEW.state()


@contextmanager
def answering(text: bytes, code: int = 200) -> Iterator[str]:
    """A server with one answer to every question."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code if self.path == "/mlflow/version" else 500)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/mlflow"
        server.shutdown()


@pytest.mark.parametrize(
    ("text", "code", "version"),
    [
        (b"2.14.3", 200, (2, 14)),
        (b"3.18.0rc1", 200, (3, 18)),
        (b"<html>", 200, (0, 0)),
        (b"3.17.2", 404, (0, 0)),
    ],
)
def test_the_version_is_the_servers(text: bytes, code: int, version: tuple[int, int]) -> None:
    with answering(text, code) as address:
        assert version_of(address) == version


def test_a_server_that_does_not_say_its_version_has_none() -> None:
    assert version_of("http://127.0.0.1:9") == (0, 0)


def test_of_a_file_the_version_is_that_of_this_installation(uri: str) -> None:
    assert version_of(uri) >= (3, 17)
