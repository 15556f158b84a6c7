"""MLflow's own server for the record of a home folder: in this process, on loopback, for one user.

Every user of a machine reaches its loopback, and MLflow's server reads files with the rights of
whoever runs it. Therefore a request needs a token, which the link that is printed contains.
"""

import hmac
import os
import secrets
import socket
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from search.addresses import file_url, sqlite_path
from search.moved_home import ARTIFACTS
from spaces.refusal import Refusal

HOST = "127.0.0.1"
_DENIED = "This page needs the link that `transfer-search ui` printed.\n"
_SECONDS_TO_CLOSE = 2  # for requests that are being answered when the server is stopped


class Gate:
    """Lets requests through to an ASGI application that carry the token.

    The first request has it in its address (`/?token=...`). The answer moves it into a cookie,
    which the browser sends from then on, and which no script can read.

    Attributes:
        token: opens the application as often as it is used.
        once: opens it one time. A browser is started with this one, since the other users of a
            machine can read the arguments of a process.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.token, self.once = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        # Cookies of one host are shared by its ports.
        self._cookie = f"transfer-search-{secrets.token_hex(4)}"
        self._unused = {self.once}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, by the application or by a refusal."""
        from starlette.requests import Request

        app = self._app
        if scope["type"] != "lifespan":
            request = Request(scope)
            is_known = self._is_token(request.cookies.get(self._cookie, ""))
            if not is_known or not _is_own_page(request.headers):
                app = self._answer(request.query_params.get("token", ""))
        await app(scope, receive, send)

    def _answer(self, given: str) -> Any:
        """What a browser without the cookie gets: the cookie for a token, else a refusal."""
        from starlette.responses import PlainTextResponse, RedirectResponse

        if not self._is_token(given) and given not in self._unused:
            return PlainTextResponse(_DENIED, status_code=401)
        self._unused.discard(given)
        # The browser keeps what follows the # of the link.
        answer = RedirectResponse("/", status_code=303, headers={"Referrer-Policy": "no-referrer"})
        answer.set_cookie(self._cookie, self.token, httponly=True, samesite="lax")
        return answer

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of this server, or from no page. MLflow alone would let
    every page of this machine in, whoever serves it."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def serve(tracking_uri: str, *, port: int, on_ready: Callable[[str, Gate], None]) -> None:
    """Serve MLflow's UI for a SQLite file until Ctrl-C or SIGTERM ends it.

    Args:
        tracking_uri: the address of the SQLite file.
        port: the port; 0: a free one.
        on_ready: called with the server's address and its gate once connections are accepted.

    Raises:
        Refusal: the port is taken.
    """
    import uvicorn

    with _listening(port) as listener:
        _configure(tracking_uri)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one package of MLflow's deprecates another
            from mlflow.server.fastapi_app import app

        gate = Gate(app)
        config = uvicorn.Config(
            gate,
            access_log=False,
            log_config=None,
            ws="none",
            timeout_graceful_shutdown=_SECONDS_TO_CLOSE,
        )
        on_ready(f"http://{HOST}:{listener.getsockname()[1]}", gate)
        uvicorn.Server(config).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise Refusal(
            f"port {port} cannot be used ({error.strerror}); leave --port out for a free one"
        ) from error


def _configure(tracking_uri: str) -> None:
    """Set what MLflow's server reads from the environment: part of it when it is imported."""
    path = sqlite_path(tracking_uri)
    assert path is not None
    os.environ |= {
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1,127.0.0.1:*,localhost,localhost:*",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR

    os.environ |= {
        BACKEND_STORE_URI_ENV_VAR: tracking_uri,
        ARTIFACT_ROOT_ENV_VAR: file_url(path.parent / ARTIFACTS),
    }
