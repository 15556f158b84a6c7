"""A trial in flight: whether it is over, and what broke it."""

import pytest

from search.driver.trial_in_flight import TrialInFlight
from search.sampling.study import AskedTrial
from spaces.phases import Target, TrialPlan
from spaces.tasks.catalogue import SHIPPED


@pytest.fixture
def live() -> TrialInFlight:
    target = Target(task=SHIPPED.get("retrieval"), phase=None)
    plan = TrialPlan(encoder="x", intermediate=None, targets=(target,))
    return TrialInFlight(AskedTrial(number=3, params={}, plan=plan), {"key"}, 0, is_heard=True)


def test_it_is_over_once_it_told_its_end_or_is_pruned(live: TrialInFlight) -> None:
    assert not live.is_over
    live.end = {"state": "scored"}
    assert live.is_over
    live.end, live.pruned = None, True
    assert live.is_over


def test_a_worker_that_broke(live: TrialInFlight) -> None:
    live.phase_keys.append("trained")
    live.broke()
    assert (live.num_broken, live.is_heard) == (1, False)
    assert live.reason == "its worker died"
    live.error = "OSError: no space"
    assert live.reason == "OSError: no space"
    assert live.phase_keys == ["trained"], "it stays"
