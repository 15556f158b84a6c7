#!/opt/transfer-search/bin/python
"""Checks the health of the image: the server at $HEALTH_URL must answer without an error. Without
$HEALTH_URL, as where a study runs, the home folder must be writable and have room."""

import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

MIN_FREE_BYTES = 64 * 2**20


def complaint() -> str | None:
    """What is wrong, in one line; None if nothing is."""
    url = os.environ.get("HEALTH_URL")
    return _of_server(url) if url else _of_folder(Path(os.environ["TRANSFER_SEARCH_HOME"]))


def _of_server(url: str) -> str | None:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    return None


def _of_folder(home: Path) -> str | None:
    folder = next(path for path in (home, *home.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}"
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        return f"{free // 2**20} MiB are free under {folder}"
    return None


if __name__ == "__main__":
    sys.exit(complaint())
