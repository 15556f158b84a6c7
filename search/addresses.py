"""The address of the record: what may be given, whether somebody answers, what to say if not."""

import contextlib
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from spaces.refusal import Refusal, first_line

_PROBE_SECONDS = 5.0


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
        return
    plain = _without_password(tracking_uri)
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


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def folder_name(experiment: str) -> str:
    """One folder's name, and another one for every experiment: MLflow undoes quotes in an address,
    so that slashes must not even be quoted."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", experiment)[:80]
    if plain == experiment:
        return plain
    return f"{plain}-{hashlib.sha256(experiment.encode()).hexdigest()[:16]}"
