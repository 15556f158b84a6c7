"""Files and folders that are there whole or not at all: a draft beside them gets their name."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spaces.refusal import Refusal


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a draft to write, which takes the file's place at the end: a reader sees all of it, or
    what was there before."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or put it in the place of the one that is there."""
    with whole_file(path) as draft:
        draft.write_bytes(content)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields a draft to write into, which becomes the folder at the end, where nothing or an empty
    folder is. Raises Refusal if it cannot be written."""
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
    """Refuse a folder that something is in already."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refusal(f"{folder} is there already and not an empty folder; name a new one")
