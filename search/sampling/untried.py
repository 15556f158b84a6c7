"""Which plans of a study are not tried yet; where the space has an end, all of them. Pure."""

import random
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from spaces.phases import TrialPlan
from spaces.space import SearchSpace

MAX_BROKEN = 2  # trials of a plan whose workers broke: then it is taken for tried


class Untried:
    """What is left to ask for.

    A plan is tried once a trial of it was asked, whatever comes of it. Where its worker broke,
    which says nothing of the plan, it may be asked once more, after all others.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._tried: set[TrialPlan] = set()
        self._broken: Counter[TrialPlan] = Counter()

    @cached_property
    def _points(self) -> dict[TrialPlan, Mapping[str, Any]]:
        """Of every plan; nothing where the space has no end."""
        return {self._space.decode(point): point for point in self._space.grid_points()}

    @property
    def has_end(self) -> bool:
        return bool(self._points)

    @property
    def is_empty(self) -> bool:
        """Whether every plan of a space that has an end is tried, or in flight."""
        return self.has_end and self._points.keys() <= self._tried

    def __contains__(self, plan: TrialPlan) -> bool:
        """Whether it may be asked now."""
        if plan in self._tried:
            return False
        return plan not in self._broken or not self._has_whole()

    def asked(self, plan: TrialPlan) -> None:
        self._tried.add(plan)

    def broke(self, plan: TrialPlan) -> None:
        """Its worker did, in a trial that was asked."""
        self._broken[plan] += 1
        if self._broken[plan] < MAX_BROKEN:
            self._tried.discard(plan)

    def any(self, text: str) -> Mapping[str, Any]:
        """The point of one of those that may be asked now, each as likely; `text` is the seed."""
        return random.Random(text).choice(
            [self._points[one] for one in self._points if one in self]
        )

    def _has_whole(self) -> bool:
        """Whether there is one that was not begun; where the space has no end there always is, but
        none that would have to come first."""
        return any(one not in self._tried and one not in self._broken for one in self._points)
