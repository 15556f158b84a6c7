"""The home folder of a search: databases, phases, tokenised rows, bases."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from search.addresses import sqlite_url
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

ONLY_OURS = 0o700  # mode of a folder that no other user may enter


@dataclass(frozen=True, slots=True)
class Home:
    """The home folder: `--home`, else TRANSFER_SEARCH_HOME, else `.transfer-search` here."""

    path: Path
    is_default: bool = field(default=False, compare=False)  # neither an option nor the environment

    @classmethod
    def of(cls, path: str | Path | None) -> "Home":
        if path is not None and not str(path).strip():
            raise Refusal("--home is empty; name a folder, or leave it out")
        named = path or os.environ.get("TRANSFER_SEARCH_HOME")
        return cls(Path(named or ".transfer-search").resolve(), is_default=not named)

    @contextmanager
    def made(self) -> Iterator[None]:
        """The folder exists inside. One that is new can be entered by this user alone; one that was
        there keeps its mode. Where the block fails before anything was written there, what was made
        is removed again."""
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=ONLY_OURS, exist_ok=True)
        try:
            yield
        except BaseException:
            with suppress(OSError):  # it is not empty
                for folder in new:
                    folder.rmdir()
            raise

    def outbox(self, study: str) -> Path:
        return self.path / "outbox" / f"{study}.jsonl"

    def optuna_url(self, settings: StudySettings) -> str:
        return settings.tracking.optuna or sqlite_url(self.path / "optuna.db")

    def mlflow_uri(self, settings: StudySettings | None = None) -> str:
        """The study file's, else MLFLOW_TRACKING_URI, else SQLite in the home folder."""
        named = settings.tracking.mlflow if settings else None
        default = sqlite_url(self.path / "mlflow.db")
        return named or os.environ.get("MLFLOW_TRACKING_URI") or default


def make_folder(folder: Path) -> None:
    """Create a folder where there is none. In a folder that no other user may enter, no other user
    may enter this one, whatever the umask is."""
    mode = ONLY_OURS if _is_only_ours(folder.parent) else 0o777
    folder.mkdir(mode=mode, parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Create an empty file where there is none, and its folder. In a folder that no other user may
    enter, no other user may read the file, whatever the umask is."""
    make_folder(path.parent)
    if not path.exists():
        path.touch(0o600 if _is_only_ours(path.parent) else 0o666)


def _is_only_ours(folder: Path) -> bool:
    return folder.is_dir() and not folder.stat().st_mode & 0o077


def check_writable(folder: Path, what: str) -> None:
    """Refuse a path that is a file, or a folder that cannot be created or written; nothing is
    created here."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise Refusal(f"{what} {folder} cannot be used: {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise Refusal(f"{what} {folder} cannot be used: {nearest} cannot be written")
