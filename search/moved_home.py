"""Moved homes: MLflow's SQLite file and outboxes hold full paths, which begin with the old folder.

While MLflow loads a row, its path is replaced by the one beside the file that it comes from. The
file itself is not changed, so that a copy that is mounted elsewhere, or read only, is read as well.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from search.addresses import file_url

ARTIFACTS = "artifacts"  # the folder beside the SQLite file that holds the artifacts
# What follows the home folder in the location of an experiment, a run or a model of ours.
_OURS = re.compile(
    rf"file:(?://)?(?P<home>/.*)/{ARTIFACTS}/(?P<experiment>[^/]+)"
    rf"(?P<rest>/(?:models/m-)?[0-9a-f]{{32}}/{ARTIFACTS}(?:/.*)?)?"
)


def moved_location(location: str, home: Path) -> str:
    """The location of artifacts, for a SQLite file that lies in `home` now.

    A location that is not one of ours stays. So does one whose folder still exists, if `home` has
    no artifacts of the experiment: then they were always kept elsewhere.
    """
    found = _OURS.fullmatch(location)
    if found is None or Path(unquote(found["home"])) == home:
        return location
    folder = f"{ARTIFACTS}/{unquote(found['experiment'])}"
    # Unlike Path.is_dir, isdir is False for a folder that this user may not look into.
    was_there = os.path.isdir(f"{unquote(found['home'])}/{folder}")
    if was_there and not os.path.isdir(home / folder):
        return location
    return f"{file_url(home / ARTIFACTS)}/{found['experiment']}{found['rest'] or ''}"


def moved_file(path: str, home: Path) -> str:
    """The path of a file of outcomes (`HOME/outcomes/KEY/NAME`), which an outbox holds in full, for
    a home folder that lies at `home` now. A path that is not there either stays."""
    now = home.joinpath(*Path(path).parts[-3:])
    return str(now) if now.is_file() else path


def follow(columns: Mapping[type[Any], Sequence[str]]) -> None:
    """Let this process find the artifacts beside each SQLite file of MLflow, wherever the file was
    when they were written.

    Args:
        columns: each class of MLflow's rows -> its columns that hold the location of artifacts.
    """
    for row, names in columns.items():
        for kind in ("load", "refresh"):
            event.listen(row, kind, _replacing(names))


def _replacing(columns: Sequence[str]) -> Callable[..., None]:
    def replace(loaded: Any, context: Any, *_: Any) -> None:
        _replace(loaded, context.session, columns)

    return replace


def _replace(loaded: Any, session: Session, columns: Sequence[str]) -> None:
    """Replace the locations in a loaded row; to the database the row stays unchanged."""
    url = session.get_bind().engine.url
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    home = Path(url.database).absolute().parent
    for column in columns:
        location = loaded.__dict__.get(column)  # a column that was not loaded is not asked for
        if location:
            set_committed_value(loaded, column, moved_location(location, home))
