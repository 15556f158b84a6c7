"""Addresses of databases: what may be given, whether the record answers, what is shown of them."""

import contextlib
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from spaces.refusal import Refusal, first_line
from spaces.study import StudySettings

_PROBE_SECONDS = 5.0
_PASSWORD = re.compile(r"(?<=[?&])(password|passwd|pwd)=[^&]*", re.IGNORECASE)


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite address; None for a server's."""
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)) if tracking_uri.startswith(prefix) else None


def check_scheme(tracking_uri: str) -> None:
    """Refuse what is neither a SQLite file nor a server."""
    if not tracking_uri.startswith(("http://", "https://", "sqlite:///")):
        scheme = tracking_uri.partition(":")[0]
        raise Refusal(
            f"tracking.mlflow has the scheme {scheme!r}: give sqlite:///PATH or the http(s) "
            "address of an MLflow server (which may use any other database)"
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
    plain = _without_user(tracking_uri)
    try:
        urllib.request.urlopen(plain.rstrip("/") + "/health", timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # somebody answers; what it thinks of us is seen at the first real call
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Refusal(
            f"MLflow at {plain} does not answer ({reason}): start it, or set tracking.mlflow"
        ) from None


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
    """The key of `[tracking]` whose address has a password in it, if one has."""
    for key in ("mlflow", "optuna"):
        url = getattr(settings.tracking, key)
        if url and has_password(url):
            return key
    return None


def has_password(url: str) -> bool:
    """Whether the address contains a password, before the host or as a parameter."""
    return hide_password(url) != url


def hide_password(url: str) -> str:
    """The address with `***` for its password, before the host or as a parameter."""
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    host = _PASSWORD.sub(lambda found: f"{found[1]}=***", host)
    return f"{scheme}{mark}{name}{':***' if colon else ''}{at}{host}"


def _without_user(url: str) -> str:
    """The address with neither a name nor a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def folder_name(experiment: str) -> str:
    """One folder's name, and another one for every experiment: MLflow undoes quotes in an address,
    so that slashes must not even be quoted."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", experiment)[:80]
    if plain == experiment:
        return plain
    return f"{plain}-{hashlib.sha256(experiment.encode()).hexdigest()[:16]}"
