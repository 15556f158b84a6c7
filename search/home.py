"""The home folder of a search: databases, phases, tokenised rows, bases."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from search.addresses import sqlite_url
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings


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

    @property
    def bases(self) -> Path:
        return self.path / "bases"

    def outbox(self, study: str) -> Path:
        return self.path / "outbox" / f"{study}.jsonl"

    def optuna_url(self, settings: StudySettings) -> str:
        return settings.tracking.optuna or sqlite_url(self.path / "optuna.db")

    def mlflow_uri(self, settings: StudySettings | None = None) -> str:
        """The study file's, else MLFLOW_TRACKING_URI, else SQLite in the home folder."""
        named = settings.tracking.mlflow if settings else None
        default = sqlite_url(self.path / "mlflow.db")
        return named or os.environ.get("MLFLOW_TRACKING_URI") or default


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
