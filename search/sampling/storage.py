"""Opens Optuna's database and turns its errors into refusals of one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from search.home import make_file
from spaces.redaction import hide_address, remember
from spaces.refusal import Refusal, first_line


def open_storage(url: str) -> RDBStorage:
    """Open or create the database. Raises Refusal if that fails."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parsed = _parsed(url)
    with reaching(url):
        arguments: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            make_file(Path(parsed.database))
            arguments = {"connect_args": {"timeout": 60}}
        address = parsed.render_as_string(hide_password=False)
        return RDBStorage(address, engine_kwargs=arguments)


def check_database(url: str) -> None:
    """Raise Refusal if a database server does not answer or does not let this user in; nothing is
    created."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return
    with reaching(url):
        engine = create_engine(parsed)
        engine.connect().close()
        engine.dispose()


def may_exist(url: str) -> bool:
    """Return whether the database may exist: True for a server, which only opening can tell.

    Raises Refusal if the URL is not the address of a database.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return True
    return Path(parsed.database).exists()


def _parsed(url: str) -> URL:
    remember(url)
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError) as error:
        raise Refusal(
            "[tracking] optuna is not the address of a database; expected sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    if "@" in (parsed.host or ""):
        raise Refusal(
            "[tracking] optuna has more than one @; write one in a name or password as %40"
        )
    if parsed.drivername == "postgresql":  # SQLAlchemy's own default is another driver
        return parsed.set(drivername="postgresql+psycopg2")
    return parsed


@contextmanager
def reaching(url: str = "") -> Iterator[None]:
    """Turn the database's errors into a Refusal of one line, without the password of the URL."""
    try:
        yield
    except Refusal:
        raise
    except (
        SQLAlchemyError,
        OSError,
        ImportError,
        RuntimeError,  # another version of Optuna made the database
        optuna.exceptions.StorageInternalError,
    ) as error:
        cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
        address = f" {hide_address(url)}" if url else ""
        raise Refusal(
            f"the study database{address} cannot be used: {first_line(cause)}; "
            "check [tracking] optuna"
        ) from error
