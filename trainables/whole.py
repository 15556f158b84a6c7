"""Files and folders that are written whole or not at all: a draft is written first and renamed at
the end."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spaces.refusal import Refusal


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a draft to write. At the end the draft replaces the file, so that a reader sees the
    old content or all of the new."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or replace it, in one step."""
    with whole_file(path) as draft:
        draft.write_bytes(content)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields a draft folder to write into. At the end it is renamed to `folder`, which must be
    empty or not exist. Raises Refusal where it cannot be written."""
    draft = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        yield draft
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise Refusal(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_new(folder: Path) -> None:
    """Raises Refusal for a path that exists and is not an empty folder, and for an address."""
    if folder.parts and folder.parts[0].endswith(":"):
        raise Refusal(f"{folder} looks like an address; expected a new folder")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refusal(f"{folder} exists already and is not an empty folder; name a new one")
