"""A small hub: the part of the Hugging Face Hub's HTTP API with which its clients load by name.

It serves folders in the hub's layout, each at one commit, and answers errors as the hub does: with
`X-Error-Code`, which is what `huggingface_hub` looks at. `HF_ENDPOINT` is read when that is
imported, so whoever talks to this server does so in a process of its own.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

DATASETS, MODELS = "datasets", "models"


@dataclass(frozen=True)
class Repo:
    """A data set or a model: its files, the commit of `main`, and what one must be let in to see:
    nothing, `all` files, or `data`, all but the card."""

    folder: Path
    commit: str
    gated: str = ""

    def file(self, place: str) -> Path | None:
        path = self.folder / place
        return path if path.is_file() else None

    def tree(self, place: str, *, recursive: bool) -> list[dict[str, Any]]:
        """What the hub's `tree` lists of a folder."""
        paths = (self.folder / place).glob("**/*" if recursive else "*")
        return [self.entry(path) for path in sorted(paths)]

    def entry(self, path: Path) -> dict[str, Any]:
        place = path.relative_to(self.folder).as_posix()
        if path.is_dir():
            return {"type": "directory", "path": place, "size": 0, "oid": sha1(place.encode())}
        return {"type": "file", "path": place, "size": path.stat().st_size, "oid": oid(path)}

    def info(self, name: str) -> dict[str, Any]:
        files = [path for path in sorted(self.folder.glob("**/*")) if path.is_file()]
        names = [{"rfilename": path.relative_to(self.folder).as_posix()} for path in files]
        return {
            "id": name,
            "sha": self.commit,
            "private": False,
            "gated": "auto" if self.gated else False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": names,
        }


class ApiError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, commit: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.commit = status, code, commit


class HubServer(ThreadingHTTPServer):
    """`repos`: (`datasets` or `models`, OWNER/NAME) -> repo. `requests` are those it got. Where
    it has a `status`, that is all it answers."""

    daemon_threads = True

    def __init__(self, repos: Mapping[tuple[str, str], Repo]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos = repos
        self.requests: list[str] = []
        self.status = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def repo(self, kind: str, name: str) -> Repo:
        found = self.repos.get((kind, name))
        if found is None:
            # The hub does not tell strangers what is private and what is not there.
            raise ApiError(401, "RepoNotFound")
        return found

    def at(self, kind: str, name: str, revision: str) -> Repo:
        repo = self.repo(kind, name)
        if unquote(revision) not in (repo.commit, "main"):
            raise ApiError(404, "RevisionNotFound")
        return repo


@contextmanager
def serving(repos: Mapping[tuple[str, str], Repo]) -> Iterator[HubServer]:
    server = HubServer(repos)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # the client keeps connections
    server: HubServer

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [part for part in url.path.split("/") if part]
        try:
            if self.server.status:
                raise ApiError(self.server.status, "")
            if parts[:1] == ["api"]:
                self.api(parts[1:], parse_qs(url.query), parse_qs(body.decode()))
            elif parts[:1] == [DATASETS]:
                self.resolve(DATASETS, parts[1:])
            else:
                self.resolve(MODELS, parts)
        except ApiError as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": error.code}
            if error.commit:
                headers["X-Repo-Commit"] = error.commit
            self.send(error.status, b"{}", headers)

    def api(
        self, parts: list[str], query: dict[str, list[str]], form: dict[str, list[str]]
    ) -> None:
        """/api/KIND/OWNER/NAME[/(revision|tree|paths-info)/REVISION[/PLACE]]"""
        if len(parts) < 3 or parts[0] not in (DATASETS, MODELS):
            raise ApiError(404, "NotFound")
        (kind, owner, name), rest = parts[:3], parts[3:]
        full = f"{owner}/{name}"
        if not rest:
            return self.send_json(self.server.repo(kind, full).info(full))
        if len(rest) < 2:
            raise ApiError(404, "NotFound")
        repo, place = self.server.at(kind, full, rest[1]), unquote("/".join(rest[2:]))
        if rest[0] == "revision":
            return self.send_json(repo.info(full))
        if rest[0] == "tree":
            if not (repo.folder / place).is_dir():
                raise ApiError(404, "EntryNotFound", repo.commit)
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            return self.send_json(repo.tree(place, recursive=recursive))
        if rest[0] == "paths-info":
            paths = [repo.folder / each for each in form.get("paths", [])]
            return self.send_json([repo.entry(path) for path in paths if path.exists()])
        raise ApiError(404, "NotFound")

    def resolve(self, kind: str, parts: list[str]) -> None:
        """/[datasets/]OWNER/NAME/resolve/REVISION/PLACE"""
        if len(parts) < 5 or parts[2] != "resolve":
            raise ApiError(404, "NotFound")
        repo = self.server.at(kind, "/".join(parts[:2]), parts[3])
        place = unquote("/".join(parts[4:]))
        if repo.gated == "all" or (repo.gated and place != "README.md"):
            raise ApiError(403 if "Authorization" in self.headers else 401, "GatedRepo")
        path = repo.file(place)
        if path is None:
            raise ApiError(404, "EntryNotFound", repo.commit)
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{oid(path)}"'}
        self.send(200, path.read_bytes(), headers)

    def send_json(self, content: Any) -> None:
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept, not printed."""


def oid(path: Path) -> str:
    return sha1(path.read_bytes())


def sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
