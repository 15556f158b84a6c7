"""Keeps track of the plans that a study has not tried; lists them if the space is finite. Pure."""

import random
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from spaces.phases import TrialPlan
from spaces.space import SearchSpace

MAX_BROKEN = 2  # trials of one plan with failed workers, after which the plan counts as tried


class Untried:
    """The plans that may still be tried.

    A plan counts as tried as soon as a trial of it was asked, whatever the result. If a worker
    failed, the plan has no result, and it may be tried once more after all other plans.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._tried: set[TrialPlan] = set()
        self._broken: Counter[TrialPlan] = Counter()

    @cached_property
    def _points(self) -> dict[TrialPlan, Mapping[str, Any]]:
        """Every plan -> its grid point; empty if the space is infinite."""
        return {self._space.decode(point): point for point in self._space.grid_points()}

    @property
    def is_finite(self) -> bool:
        """Whether the space has finitely many plans."""
        return bool(self._points)

    @property
    def is_empty(self) -> bool:
        """Whether the space is finite and every plan is tried or in flight."""
        return self.is_finite and self._points.keys() <= self._tried

    def __contains__(self, plan: TrialPlan) -> bool:
        """Whether the plan may be tried now."""
        if plan in self._tried:
            return False
        return plan not in self._broken or not self._has_fresh_plan()

    def on_asked(self, plan: TrialPlan) -> None:
        """Mark a plan as tried."""
        self._tried.add(plan)

    def on_broken(self, plan: TrialPlan) -> None:
        """Note that a worker failed in a trial of this plan; it may be tried MAX_BROKEN times."""
        self._broken[plan] += 1
        if self._broken[plan] < MAX_BROKEN:
            self._tried.discard(plan)

    def random_point(self, seed: str) -> Mapping[str, Any]:
        """Return the point of a plan that may be tried now; all are equally likely."""
        return random.Random(seed).choice(
            [self._points[plan] for plan in self._points if plan in self]
        )

    def _has_fresh_plan(self) -> bool:
        """Whether a listed plan was never tried. False in an infinite space, which lists no plans:
        there a plan with a failed worker need not wait for others."""
        return any(plan not in self._tried and plan not in self._broken for plan in self._points)
