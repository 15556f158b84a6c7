"""The seam that MLflow calls, and a model that `mlflow models serve` serves."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas
import pytest

from search import serving
from search.record.registry import RegisteredModel
from trainables.exporting.predictor import load_predictor


class Predictor:
    """Gives back the rows it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        return rows


def test_a_model_folder_is_handed_to_our_own_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = ModuleType("trainables.exporting.predictor")
    vars(fake)["load_predictor"] = Predictor
    monkeypatch.setitem(sys.modules, "trainables.exporting.predictor", fake)
    served = serving._load_pyfunc(str(tmp_path))
    assert served.predictor.folder == tmp_path
    rows = [{"text": "a"}, {"text": "b"}]
    assert served.predict(rows) == rows
    assert served.predict(pandas.DataFrame(rows)) == rows


@pytest.mark.slow
def test_a_served_model_answers_a_request(
    uri: str,
    add: Callable[..., RegisteredModel],
    model_folder: Callable[[str], Path],
    wait_for: Callable[..., None],
    tmp_path: Path,
) -> None:
    model = add("tiny-rel", "tiny")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model.uri]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    here = {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": os.pathsep.join(sys.path)}
    # `mlflow` looks for the server's program on the path.
    here["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    place = f"http://127.0.0.1:{port}"
    rows = [{"text_a": "uno", "text_b": "dos"}, {"text_a": "lunes", "text_b": "martes"}]

    def ask(path: str, content: bytes | None = None) -> bytes:
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(place + path, data=content, headers=kind)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def is_up() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            ask("/ping")
        except OSError:
            return False
        return True

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **here}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(is_up, seconds=240)
            said = json.loads(ask("/invocations", json.dumps({"dataframe_records": rows}).encode()))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
    assert said == {"predictions": load_predictor(model_folder("rel")).predict(rows)}
