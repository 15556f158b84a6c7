"""Proposals: which point is asked next, and when there is nothing to ask for any more."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from search.sampling.drawing import DrawnParams, ShownTrial, draws
from search.sampling.untried import Untried
from spaces.phases import TrialPlan
from spaces.study import StudySettings

# How often the sampler may propose what is tried already, for one trial: then, where the space has
# an end, one of those that are left is taken, and elsewhere there is nothing new. A draw of `gp`
# takes some tenths of a second.
MAX_DRAWS, MAX_DRAWS_OF_GP, MAX_EQUAL = 32, 8, 20
# How a search ends before its budget is used up: nothing is left, or the sampler is sure.
SPACE, SAMPLER = "space", "sampler"


class Proposals:
    """First the points that every study tries, then what the sampler draws.

    A plan that was tried, or is in flight, is proposed again only where it is one of those points:
    the sampler is asked for another one. A draw depends on the study seed, how many trials were
    asked before, and (all but random and grid) what they got; not on how often the driver was
    started.
    """

    def __init__(self, settings: StudySettings, earlier: Sequence[Sequence[ShownTrial]]) -> None:
        self._settings = settings
        self._earlier = earlier
        self._space = settings.search_space()
        self._points: list[Mapping[str, Any]] = [*self._space.first_points()]
        self._untried = Untried(self._space)
        self._num_asked = 0
        self._is_stuck = False  # the sampler proposed nothing new, and was told nothing since

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing to ask for: every plan is tried or in flight, or the sampler
        has proposed nothing new since it was told something."""
        if self._space.is_grid:  # tried point by point, one that broke too
            return self._num_asked >= len(self._points)
        return self._is_stuck or self._untried.is_empty

    @property
    def exhausted(self) -> str | None:
        """What there is no more of: SPACE (plans that are not tried), SAMPLER (new proposals)."""
        if not self.is_used_up:
            return None
        return SAMPLER if self._is_stuck else SPACE

    def add(self, points: Sequence[Mapping[str, Any]]) -> None:
        """To those that are tried before the sampler is asked."""
        self._points += points

    def asked(self, plan: TrialPlan) -> None:
        """A trial of it was."""
        self._num_asked += 1
        self._untried.asked(plan)

    def broke(self, plan: TrialPlan) -> None:
        """Its worker did, in a trial that was asked."""
        self._untried.broke(plan)

    def told(self) -> None:
        """The sampler learned something: it may have other ideas now."""
        self._is_stuck = False

    def next(self, own: Sequence[ShownTrial]) -> DrawnParams | None:
        """What to ask now, where `own` are the study's trials; None where there is nothing new."""
        drawn = self._draw(own)
        if drawn is None:
            self._is_stuck = not self._untried.is_empty
        return drawn

    def _draw(self, own: Sequence[ShownTrial]) -> DrawnParams | None:
        """The point whose turn it is, else the first proposal that is new, else, where the space
        has an end, any plan that is left."""
        index = self._num_asked
        point = self._points[index] if index < len(self._points) else None
        proposed = draws(self._settings, index=index, own=own, earlier=self._earlier, point=point)
        if point is not None:
            return next(proposed)
        if self._untried.is_empty:
            return None
        has_end = self._untried.has_end
        most = MAX_DRAWS_OF_GP if self._settings.study.sampler == "gp" else MAX_DRAWS
        for drawn in islice(proposed, most if has_end else MAX_EQUAL):
            if self._space.decode(drawn.params) in self._untried:
                return drawn
        if not has_end:
            return None
        left = self._untried.any(f"{self._settings.study.seed}:{index}")
        return DrawnParams(left, drawn.generation)
