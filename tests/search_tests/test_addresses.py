"""An address without an answer costs seconds, says what to do, and never shows a password."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from search.addresses import (
    check_reachable,
    file_url,
    folder_name,
    secret_line,
    sqlite_path,
    sqlite_url,
)
from search.record.address import ExperimentAddress
from search.record.reader import list_studies, read_study
from spaces.refusal import Refusal

EXPERIMENT = "transfer-search"


def test_every_experiment_has_a_folder_of_its_own() -> None:
    names = ["transfer-search", "a/b", "a.b", "../a", "..", "ä", "a" * 80, "a" * 81, "a" * 82]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert folders[0] == names[0]
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,97}", folder) for folder in folders)


def test_the_file_of_an_address() -> None:
    assert sqlite_path("sqlite:////data/mlflow.db") == Path("/data/mlflow.db")
    assert sqlite_path("sqlite:///mlflow.db") == Path("mlflow.db")
    assert sqlite_path("sqlite:////data/a%3Fb%25/mlflow.db?timeout=5") == Path(
        "/data/a?b%/mlflow.db"
    )
    assert sqlite_path("https://mlflow.example") is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_path_comes_back_from_each_address_that_is_made_of_it(name: str) -> None:
    path = Path(f"/home/{name}")  # below a folder: "/" alone would be the root
    for url in (sqlite_url(path), sqlite_url(path / "mlflow.db")):
        database = make_url(url).database
        assert database is not None
        assert sqlite_path(url) == Path(database)
    assert sqlite_path(sqlite_url(path)) == path
    assert url2pathname(urlsplit(file_url(path)).path) == str(path)
    assert re.fullmatch(r"file:///[\x21-\x7e]+", file_url(path))
    assert not set("?#") & set(file_url(path))


def test_plain_paths_keep_the_address_that_older_versions_made() -> None:
    assert sqlite_url(Path("/a b/ö#/mlflow.db")) == "sqlite:////a b/ö#/mlflow.db"
    assert file_url(Path("/data/artifacts")) == Path("/data/artifacts").as_uri()


def test_a_secret_in_a_comment_is_found() -> None:
    text = '[tracking]\noptuna = "postgresql://h/d"\n'
    assert secret_line(text) is None
    assert secret_line(text + '# optuna = "postgresql://me:secret@h/d"\n') == 3
    assert secret_line("# password=secret\n" + text) == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:////nowhere/mlflow.db", "no MLflow database at /nowhere/mlflow.db"),
        ("postgresql://me:secret@db/mlflow", "has the scheme 'postgresql'"),
        ("http://127.0.0.1:9", "does not answer"),
        ("http://me:secret@127.0.0.1:9/", "does not answer"),
        ("http://[", "does not answer"),
        ("http://me:secret@[/", "does not answer"),
        ("http://me:secret@127.0.0.1:port/", "does not answer"),
        ("localhost:5000", "has no scheme"),
        ("secret@localhost:5000", "has no scheme"),
        ("http://127.0.0.1:9/#/experiments/3", "a page in the browser; write 'http://127.0.0.1:9'"),
        ("https://a/mlflow/#/experiments/3?o=1&x=2", "; write 'https://a/mlflow'"),
        ("http://127.0.0.1:9/?workspace=a", "a page in the browser; write 'http://127.0.0.1:9'"),
        ("http://127.0.0.1:9?token=secret", "a page in the browser; write 'http://127.0.0.1:9'"),
        ("http://me:secret@a/#/experiments/3", r"; write 'http://\*\*\*@a'"),
        ("http://me:se@secret@127.0.0.1", "write @, /, [?] and # in them as %40"),
        ("http://me:se/secret@127.0.0.1", "write @, /, [?] and # in them as %40"),
        ("http://me:se#secret@127.0.0.1", "write @, /, [?] and # in them as %40"),
        ("http://127.0.0.1:9 ", "write a blank as %20"),
        ("http://127.0.0.1:9/a b", "write a blank as %20"),
    ],
)
def test_an_address_where_nobody_is_is_refused_at_once(address: str, said: str) -> None:
    started = time.monotonic()
    for read in (
        lambda: read_study(ExperimentAddress(address, EXPERIMENT).for_study("s")),
        lambda: list_studies(ExperimentAddress(address, EXPERIMENT)),
    ):
        with pytest.raises(Refusal, match=said) as refusal:
            read()
        assert "\n" not in str(refusal.value)
        assert "secret" not in str(refusal.value)
    assert time.monotonic() - started < 5


def test_a_server_that_accepts_and_says_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.addresses._PROBE_SECONDS", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Refusal, match="does not answer"):
            list_studies(ExperimentAddress(address, EXPERIMENT))


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def own_authority(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of an HTTPS server, and the file of the certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")]), datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    signed = made.add_extension(address, critical=False).sign(key, hashes.SHA256())
    trusted, both = tmp_path / "authority.pem", tmp_path / "server.pem"
    trusted.write_bytes(signed.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(trusted.read_bytes() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}/mlflow", trusted
        server.shutdown()


def test_an_authority_of_ones_own_is_trusted_by_the_variables_of_mlflow(
    own_authority: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, trusted = own_authority
    with pytest.raises(Refusal, match="set MLFLOW_TRACKING_SERVER_CERT_PATH"):
        check_reachable(address)
    for name, value in (
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", str(trusted)),
        ("MLFLOW_TRACKING_INSECURE_TLS", "true"),
        ("REQUESTS_CA_BUNDLE", str(trusted)),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            check_reachable(address)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/authority.pem")
    with pytest.raises(Refusal, match=r"invalid path: /nowhere/authority.pem"):
        check_reachable(address)
