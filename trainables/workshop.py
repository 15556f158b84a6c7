"""What a warm worker keeps between trials: the encoder, the data, the store, the settings."""

from dataclasses import dataclass
from pathlib import Path

from spaces.study import StudySettings
from trainables.data import Data
from trainables.model import BaseEncoder
from trainables.phase_store import PhaseStore
from trainables.workers import Workers
from trainables.world import World


@dataclass(frozen=True, slots=True)
class Workshop:
    """Opened once a process; a trial takes nothing else but its plan."""

    settings: StudySettings
    base: BaseEncoder
    data: Data
    world: World
    store: PhaseStore
    workers: Workers

    @classmethod
    def open(
        cls, settings: StudySettings, *, home: Path, encoder: str, workers: Workers
    ) -> "Workshop":
        """Load the encoder and open the stores under `home`. Raises Refusal.

        Args:
            encoder: the folder (or hub name) that the study's encoder stands for.
        """
        base = BaseEncoder.load(encoder, revision=settings.study.revision)
        base.encoder.to(workers.device)
        return cls(
            settings=settings,
            base=base,
            data=Data(home / "data", base),
            world=World.of(base),
            store=PhaseStore(home, owner=settings.study.name),
            workers=workers,
        )
