"""MLflow's own server behind its gate: who is let in, what the UI finds, how it ends."""

import asyncio
import http.cookiejar
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any
from urllib.parse import parse_qs

import pytest

from search.mlflow_view.local_server import Gate, serve
from search.mlflow_view.state import KEY_PREFIX, search_facets, unpack
from spaces.refusal import Refusal


class Application:
    """Counts the requests that the gate lets through."""

    def __init__(self) -> None:
        self.served: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.served.append(scope["type"])


def ask(gate: Gate, query: str = "", cookie: str = "", origin: str = "") -> tuple[int, str]:
    """The status and the cookie of the gate's own answer; 0 where the application answers."""
    headers = [(b"host", b"127.0.0.1:80"), (b"cookie", cookie.encode())]
    headers += [(b"origin", origin.encode())] if origin else []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    scope |= {"query_string": query.encode(), "http_version": "1.1"}
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(gate(scope, receive, send))
    if not sent:
        return 0, ""
    found = dict(sent[0]["headers"])
    return sent[0]["status"], found.get(b"set-cookie", b"").decode()


def test_only_the_token_lets_in_and_it_moves_into_a_cookie() -> None:
    application = Application()
    gate = Gate(application)
    assert ask(gate) == (401, "")
    assert ask(gate, "token=") == (401, "")
    assert ask(gate, f"token={gate.token[:-1]}") == (401, "")
    assert ask(gate, cookie=f"session={gate.token}") == (401, "")
    assert application.served == []
    status, cookie = ask(gate, f"token={gate.token}")
    assert status == 303
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert ask(gate, cookie=cookie.partition(";")[0]) == (0, "")
    assert application.served == ["http"]


def test_the_token_of_the_browsers_command_line_works_once() -> None:
    gate = Gate(Application())
    status, cookie = ask(gate, f"token={gate.once}")
    assert status == 303
    assert gate.once not in cookie
    assert ask(gate, f"token={gate.once}") == (401, "")
    assert ask(gate, f"token={gate.token}")[0] == 303


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:80", 0), ("http://127.0.0.1:81", 401), ("https://h", 401), ("null", 401)],
)
def test_a_page_of_another_server_is_not_let_in(origin: str, status: int) -> None:
    """A browser sends it the cookie all the same where that server is on this machine."""
    gate = Gate(Application())
    cookie = ask(gate, f"token={gate.token}")[1].partition(";")[0]
    assert ask(gate, cookie=cookie, origin=origin)[0] == status


def test_every_server_has_a_token_and_a_cookie_of_its_own() -> None:
    first, second = Gate(Application()), Gate(Application())
    assert len({first.token, first.once, second.token, second.once}) == 4
    cookie = ask(first, f"token={first.token}")[1].partition(";")[0]
    assert ask(second, cookie=cookie)[0] == 401


def test_a_port_that_is_taken_is_refused_before_anything_is_imported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refusal, match=f"port {port} cannot be used .*leave --port out"):
            serve("sqlite:////nowhere/mlflow.db", port=port, on_ready=lambda *_: None)


@pytest.fixture(scope="module")
def running(
    planted_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """`transfer-search ui tiny` for a home folder that was moved; the process, its link, the
    folder."""
    home = tmp_path_factory.mktemp("moved") / "home"
    copytree(planted_home, home)
    line = [sys.executable, "-m", "search.cli", "ui", "tiny", "--home", str(home), "--no-browser"]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("MLFLOW_")}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip(), home
    finally:
        process.kill()
        process.wait()


class Browser:
    """A client that keeps cookies, as a browser does."""

    def __init__(self, link: str) -> None:
        self._open = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        ).open
        self.server = link.partition("/?")[0]
        self.first = self._open(link.partition("#")[0]).read().decode()

    def ask(self, path: str, data: object = None, host: str = "") -> Any:
        """The JSON of an answer."""
        body = None if data is None else json.dumps(data).encode()
        headers = {"Content-Type": "application/json", **({"Host": host} if host else {})}
        request = urllib.request.Request(f"{self.server}{path}", body, headers)
        with self._open(request, timeout=30) as answer:
            return json.loads(answer.read())


def listening_on(port: int) -> list[str]:
    """The addresses of this machine on which something listens at the port."""
    found = []
    for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in path.read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, its_port = local.partition(":")
            if state == "0A" and int(its_port, 16) == port:
                found.append(socket.inet_ntoa(bytes.fromhex(address)[::-1]))
    return found


@pytest.mark.slow
def test_the_ui_of_a_home_folder(running: tuple[subprocess.Popen[str], str, Path]) -> None:
    process, link, home = running
    browser = Browser(link)
    assert "<title>MLflow</title>" in browser.first
    address, _, query = link.partition("#")[2].partition("?")
    experiment_id, key = address.split("/")[2], parse_qs(query)["viewStateShareKey"][0]

    asked = f"/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment_id}"
    tags = {tag["key"]: tag["value"] for tag in browser.ask(asked)["experiment"]["tags"]}
    state = unpack(tags[KEY_PREFIX + key])
    assert state is not None
    assert {name: state[name] for name in search_facets("tiny")} == search_facets("tiny")

    found = browser.ask(
        "/ajax-api/2.0/mlflow/runs/search",
        {
            "experiment_ids": [experiment_id],
            "filter": state["searchFilter"],
            "order_by": [f"{state['orderByKey']} DESC"],
        },
    )["runs"]
    tags_of = [{t["key"]: t["value"] for t in run["data"]["tags"]} for run in found]
    assert {tags["transfer_search.role"] for tags in tags_of} == {"trial"}
    assert [tags["transfer_search.trial"] for tags in tags_of][:5] == ["3", "2", "1", "0", "4"]
    assert len(found) == 9

    best = found[0]["info"]["run_id"]
    asked = f"/get-artifact?run_uuid={best}&path=trial.json"
    assert browser.ask(asked)["number"] == 3, "read from beside the file, since the home was moved"

    assert listening_on(int(browser.server.rpartition(":")[2])) == ["127.0.0.1"]
    asked = f"/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment_id}"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        browser.ask(asked, host="evil.example")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{browser.server}/ajax-api/2.0/mlflow/experiments/search")

    assert Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() == ""
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(browser.server)
    assert home.exists()
