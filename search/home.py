"""Where a search keeps its things: databases, phases, tokenised rows, bases."""

import os
from dataclasses import dataclass
from pathlib import Path

from spaces.study import StudySettings


@dataclass(frozen=True, slots=True)
class Home:
    """The home folder: `--home`, else TRANSFER_SEARCH_HOME, else `.transfer-search` here."""

    path: Path

    @classmethod
    def of(cls, path: Path | None) -> "Home":
        chosen = path or Path(os.environ.get("TRANSFER_SEARCH_HOME") or ".transfer-search")
        return cls(chosen.resolve())

    @property
    def bases(self) -> Path:
        return self.path / "bases"

    def outbox(self, study: str) -> Path:
        return self.path / "outbox" / f"{study}.jsonl"

    def optuna_url(self, settings: StudySettings) -> str:
        return settings.tracking.optuna or f"sqlite:///{self.path / 'optuna.db'}"

    def mlflow_uri(self, settings: StudySettings | None = None) -> str:
        """The study file's, else MLFLOW_TRACKING_URI, else SQLite in the home folder."""
        named = settings.tracking.mlflow if settings else None
        default = f"sqlite:///{self.path / 'mlflow.db'}"
        return named or os.environ.get("MLFLOW_TRACKING_URI") or default
