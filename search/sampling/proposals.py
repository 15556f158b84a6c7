"""Proposals: decides which point is tried next, and when there is nothing left to try."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from search.sampling.drawing import DrawnParams, ShownTrial, draws
from search.sampling.untried import Untried
from spaces.phases import TrialPlan
from spaces.study_file.study import StudySettings

# How many draws the sampler gets to propose an untried plan for one trial. In a finite space an
# untried plan is chosen at random after MAX_DRAWS draws (MAX_DRAWS_OF_GP for `gp`, whose draws take
# some tenths of a second each). In an infinite space there is nothing new after MAX_EQUAL draws.
MAX_DRAWS, MAX_DRAWS_OF_GP, MAX_EQUAL = 32, 8, 20
# Why a search ended before its budget was used up: no untried plan is left in the space, or the
# sampler proposes only tried plans.
SPACE, SAMPLER = "space", "sampler"


class Proposals:
    """Proposes first the fixed points of the study, then the draws of the sampler.

    A plan that was tried or is in flight is not proposed again, unless it is a fixed point: the
    sampler draws once more. A draw depends on the study's seed, on the number of trials asked
    before and, except for random and grid, on their results. It does not depend on how often the
    driver was started.
    """

    def __init__(self, settings: StudySettings, earlier: Sequence[Sequence[ShownTrial]]) -> None:
        self._settings = settings
        self._earlier = earlier
        self._space = settings.search_space()
        self._points: list[Mapping[str, Any]] = [*self._space.first_points()]
        self._untried = Untried(self._space)
        self._num_asked = 0
        self._is_stuck = False  # the sampler proposed nothing new since the last result

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing to try: every plan is tried or in flight, or the sampler has
        proposed nothing new since the last result."""
        if self._space.is_grid:  # each grid point is tried once, even if its worker failed
            return self._num_asked >= len(self._points)
        return self._is_stuck or self._untried.is_empty

    @property
    def exhausted(self) -> str | None:
        """Why nothing is left: SPACE (no untried plan), SAMPLER (no new proposal); else None."""
        if not self.is_used_up:
            return None
        return SAMPLER if self._is_stuck else SPACE

    def add(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Append points to the fixed points, which are tried before the sampler draws."""
        self._points += points

    def on_asked(self, plan: TrialPlan) -> None:
        """Count a trial and mark its plan as tried."""
        self._num_asked += 1
        self._untried.on_asked(plan)

    def on_broken(self, plan: TrialPlan) -> None:
        """Note that a worker failed in a trial of this plan, so that it may be tried again."""
        self._untried.on_broken(plan)

    def on_result(self) -> None:
        """Note that a trial ended: the sampler has more data and may propose other plans."""
        self._is_stuck = False

    def next(self, study_trials: Sequence[ShownTrial]) -> DrawnParams | None:
        """Return the next params to try, given the study's trials; None if nothing is new."""
        drawn = self._draw(study_trials)
        if drawn is None:
            self._is_stuck = not self._untried.is_empty
        return drawn

    def _draw(self, study_trials: Sequence[ShownTrial]) -> DrawnParams | None:
        """Return the next fixed point, else the first new proposal of the sampler, else, in a
        finite space, a random untried plan."""
        index = self._num_asked
        point = self._points[index] if index < len(self._points) else None
        proposed = draws(
            self._settings,
            index=index,
            study_trials=study_trials,
            earlier=self._earlier,
            point=point,
        )
        if point is not None:
            return next(proposed)
        if self._untried.is_empty:
            return None
        is_finite = self._untried.is_finite
        max_draws = MAX_DRAWS_OF_GP if self._settings.study.sampler == "gp" else MAX_DRAWS
        for drawn in islice(proposed, max_draws if is_finite else MAX_EQUAL):
            if self._space.decode(drawn.params) in self._untried:
                return drawn
        if not is_finite:
            return None
        params = self._untried.random_point(f"{self._settings.study.seed}:{index}")
        return DrawnParams(params, drawn.generation)
