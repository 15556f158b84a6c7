"""deploy/healthy.py: what the image's health check says, run as a program against a real server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "deploy" / "healthy.py"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def _healthy(**environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr.strip()


def test_a_server_is_healthy_as_it_answers(server: str) -> None:
    assert _healthy(HEALTH_URL=f"{server}/health") == (0, "")
    code, said = _healthy(HEALTH_URL=f"{server}/other")
    assert code == 1
    assert "503" in said


def test_nobody_at_the_address() -> None:
    code, said = _healthy(HEALTH_URL="http://127.0.0.1:9/health")
    assert code == 1
    assert "refused" in said


def test_a_folder_that_the_first_run_makes_is_healthy_and_not_made(tmp_path: Path) -> None:
    home = tmp_path / "work" / "home"
    assert _healthy(TRANSFER_SEARCH_HOME=str(home)) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written() -> None:
    code, said = _healthy(TRANSFER_SEARCH_HOME="/proc/home")
    assert code == 1
    assert said.startswith("/proc cannot be written")
