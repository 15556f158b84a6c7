"""Addresses of databases: how they are made, what may be given, whether the record answers."""

import contextlib
import hashlib
import os
import re
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from spaces.redaction import has_secret, hide_address, hide_in_text
from spaces.refusal import Refusal, first_line
from spaces.study_file.study import StudySettings

_PROBE_SECONDS = 5.0
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///")


def sqlite_url(path: Path) -> str:
    """The address of a SQLite file, for SQLAlchemy, MLflow and Optuna.

    SQLAlchemy undoes quotes in the path and cuts it off at a question mark. Where the path has to
    be quoted, the driver is named too: for `sqlite:///` MLflow would create the folders of the
    quoted path.
    """
    quoted = str(path).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{path}" if quoted == str(path) else f"sqlite+pysqlite:///{quoted}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite address, as SQLAlchemy reads it; None for a server's."""
    found = _SQLITE.match(tracking_uri)
    return Path(unquote(tracking_uri[found.end() :].partition("?")[0])) if found else None


def file_url(path: Path) -> str:
    """The address of a folder on disk, for MLflow; every special character is quoted."""
    return f"file://{quote(str(path.absolute()))}"


def check_scheme(tracking_uri: str) -> None:
    """Refuse what is neither a SQLite file nor a server."""
    if sqlite_path(tracking_uri) is not None:
        return
    if not tracking_uri.startswith(("http://", "https://")):
        scheme, mark, _ = tracking_uri.partition("://")
        given = f"has the scheme {scheme!r}" if mark else "has no scheme"
        raise Refusal(
            f"tracking.mlflow {given}: give sqlite:///PATH or the http(s) "
            "address of an MLflow server (which may use any other database)"
        )
    _check_server(tracking_uri)


def _check_server(tracking_uri: str) -> None:
    """Refuse a page of MLflow's in the browser, and a name or password that ends the host early."""
    start = re.split("[?#]", tracking_uri)[0]
    if start != tracking_uri and "@" not in tracking_uri[len(start) :]:
        raise Refusal(
            f"tracking.mlflow is {hide_address(tracking_uri)!r}, a page in the browser; write "
            f"{hide_address(start.rstrip('/'))!r}"
        )
    host = re.split("[/?#]", tracking_uri.partition("://")[2])[0]
    if tracking_uri.count("@") > min(1, host.count("@")):
        raise Refusal(
            "tracking.mlflow has an @ that does not end the name and password; write @, /, ? and # "
            "in them as %40, %2F, %3F and %23, or set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    if re.search(r"[\s\x00-\x1f\x7f]", tracking_uri):
        raise Refusal(
            f"tracking.mlflow is {hide_address(tracking_uri)!r}, with a blank in it; write a blank "
            "as %20"
        )


def check_reachable(tracking_uri: str) -> None:
    """Refuse within seconds where there is no database file, or no server answers."""
    check_scheme(tracking_uri)
    path = sqlite_path(tracking_uri)
    if path is not None:
        if not path.exists():
            raise Refusal(f"no MLflow database at {path}: `run` a study first")
        if not path.is_file():  # MLflow would try for minutes to open it
            raise Refusal(f"no MLflow database at {path}: it is a folder or a device")
        return
    import requests

    plain = without_user(tracking_uri)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own client says it, if TLS is not checked
            # Whatever is answered, somebody answers; what it thinks of us is seen at the first
            # real call.
            requests.get(
                plain.rstrip("/") + "/health",
                timeout=_PROBE_SECONDS,
                allow_redirects=False,
                stream=True,
                **_tls(),
            ).close()
    except (OSError, ValueError) as error:  # those of requests are OSErrors
        cause = _cause(error)
        mend = "start it, or set tracking.mlflow"
        if isinstance(cause, ssl.SSLCertVerificationError):
            mend = "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificates of your authority"
        raise Refusal(f"MLflow at {plain} does not answer ({first_line(cause)}): {mend}") from None


def _tls() -> dict[str, Any]:
    """How the certificate of a server is checked, by the same variables as MLflow's client reads.
    requests itself reads REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE."""
    is_unchecked = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    trusted = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    return {
        "verify": False if is_unchecked else trusted or True,
        "cert": os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None,
    }


def _cause(error: BaseException) -> BaseException:
    """The error at the bottom of those that requests and urllib3 wrap around it."""
    for inner in (getattr(error, "reason", None), *error.args[:1], error.__cause__):
        if isinstance(inner, BaseException):
            return _cause(inner)
    return error


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn whatever an MLflow call raises into a refusal of one line."""
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(f"MLflow: {first_line(error)}") from error


def secret_key(settings: StudySettings) -> str | None:
    """The key of `[tracking]` whose address has a password or a token in it, if one has."""
    for key in ("mlflow", "optuna"):
        url = getattr(settings.tracking, key)
        if url and has_secret(url):
            return key
    return None


def secret_line(text: str) -> int | None:
    """The number of the first line with a password or a token in it, comments included, if one
    has."""
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if hide_in_text(line) != line), None)


def without_user(url: str) -> str:
    """The address with neither a name nor a password."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def folder_name(experiment: str) -> str:
    """One folder's name, and another one for every experiment: MLflow undoes quotes in an address,
    so that slashes must not even be quoted."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", experiment)[:80]
    if plain == experiment:
        return plain
    return f"{plain}-{hashlib.sha256(experiment.encode()).hexdigest()[:16]}"
