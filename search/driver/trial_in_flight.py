"""TrialInFlight: what the searcher knows about a running trial."""

import time
from dataclasses import dataclass, field
from typing import Any

from search.sampling.study import AskedTrial
from trainables.scoring.scores import Scores


@dataclass(slots=True)
class TrialInFlight:
    """A running trial: its plan, the phases that it has to train, and what its events reported."""

    asked: AskedTrial
    missing: set[str]  # keys of the phases that it has to train
    num_reused: int  # phases that were in the store when it started
    started: float = field(default_factory=time.monotonic)
    phase_keys: list[str] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)  # phase -> seconds of its training
    seconds: dict[str, float] = field(default_factory=lambda: {"training": 0.0, "startup": 0.0})
    scores: Scores | None = None
    end: dict[str, Any] | None = None
    error: str | None = None  # why its worker failed last
    num_broken: int = 0  # failed workers
    probed: float | None = None  # value at the last rung
    pruned: bool = False
    is_heard: bool = False  # whether its worker has reported anything yet

    @property
    def is_over(self) -> bool:
        """Whether the trial reported its end or was pruned; a later worker failure is ignored."""
        return self.end is not None or self.pruned

    @property
    def reason(self) -> str:
        """Why its worker failed."""
        return self.error or "its worker died"

    def broke(self) -> None:
        """Note that its worker failed; phases that were trained before are kept."""
        self.num_broken += 1
        self.is_heard = False
