"""A real S3 server on loopback: moto's. Its memory outlives a stop; faults can be put before it."""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

Fault = Callable[[dict[str, Any]], str | None]
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ObjectServer:
    """`fault` sees every request: a status that it returns is the answer; it may change headers."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()  # as S3 does, moto does not, let one writer after another
        self._server: BaseWSGIServer | None = None
        self.fault: Fault = lambda environ: None
        self.requests: list[str] = []
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self._server is not None:
            return
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        status = self.fault(environ)
        if status is not None:
            code = status.partition(" ")[2].replace(" ", "")
            body = f"<Error><Code>{code}</Code><Message>{status}</Message></Error>".encode()
            start_response(status, [("Content-Type", "application/xml")])
            return [body]
        with self._lock:
            return list(self._app(environ, start_response))
