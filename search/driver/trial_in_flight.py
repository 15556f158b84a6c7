"""A trial in flight, as its searcher knows it."""

import time
from dataclasses import dataclass, field
from typing import Any

from search.sampling.study import AskedTrial
from trainables.scoring.scores import Scores


@dataclass(slots=True)
class TrialInFlight:
    """What it is, which phases it has to train, what was heard of it."""

    asked: AskedTrial
    missing: set[str]
    num_reused: int  # of its phases, which were there as it started
    started: float = field(default_factory=time.monotonic)
    phase_keys: list[str] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)  # phase -> seconds that it trained once
    seconds: dict[str, float] = field(default_factory=lambda: {"training": 0.0, "startup": 0.0})
    scores: Scores | None = None
    end: dict[str, Any] | None = None
    error: str | None = None  # what broke the worker last
    num_broken: int = 0  # workers
    probed: float | None = None  # the value of the last rung
    pruned: bool = False
    is_heard: bool = False  # it has begun: a worker reported

    @property
    def is_over(self) -> bool:
        """Whether it told its end, so that it does not matter how the worker fared."""
        return self.end is not None or self.pruned

    @property
    def reason(self) -> str:
        """Of its breaking."""
        return self.error or "its worker died"

    def broke(self) -> None:
        """Its worker did; what was trained by then stays."""
        self.num_broken += 1
        self.is_heard = False
