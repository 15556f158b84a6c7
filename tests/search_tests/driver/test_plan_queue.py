"""The queue by itself: a made study, phases by name, nothing in a database or a store."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search.driver.plan_queue import PlanQueue, StoredPhases
from search.driver.trial_in_flight import TrialInFlight
from search.sampling.study import AskedTrial
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.training.key_facts import KeyFacts


class Study:
    def __init__(self, asks: Sequence[AskedTrial], left: Sequence[AskedTrial] = ()) -> None:
        self.asks, self.left = list(asks), list(left)
        self.history = SimpleNamespace(num_counted=0)

    @property
    def is_used_up(self) -> bool:
        return not self.asks

    def running(self) -> list[AskedTrial]:
        return self.left

    def ask(self) -> AskedTrial:
        return self.asks.pop(0)


class Names:
    """A plan of these tests is the name of the phase that it needs."""

    def missing(self, plan: str) -> set[str]:
        return {plan}


def asked(number: int, plan: str) -> AskedTrial:
    return AskedTrial(number, {}, plan)  # type: ignore[arg-type]


def queue_of(
    asks: Sequence[AskedTrial],
    left: Sequence[AskedTrial] = (),
    *,
    told: Sequence[str] = (),
    **given: Any,
) -> PlanQueue:
    return PlanQueue(
        Study(asks, left),  # type: ignore[arg-type]
        Names(),  # type: ignore[arg-type]
        given.pop("spending", SimpleNamespace(limit=None)),
        **{"num_trials": 9, "max_held": 2, "tell_duplicate": lambda one: one.plan in told, **given},
    )


def start(queue: PlanQueue, one: AskedTrial | None) -> TrialInFlight:
    assert one is not None
    live = TrialInFlight(one, {str(one.plan)}, 0)
    queue.live[str(one.number)] = live
    return live


def test_a_plan_waits_for_what_is_being_trained_and_another_goes_first() -> None:
    queue = queue_of([asked(0, "a"), asked(1, "a"), asked(2, "b")])
    first = start(queue, queue.next())
    assert start(queue, queue.next()).asked.number == 2
    assert queue.next() is None
    del queue.live["0"]
    first.missing.clear()
    assert queue.next() is None, "nobody said that anything changed"
    queue.changed()
    assert start(queue, queue.next()).asked.number == 1
    assert queue.is_empty


def test_what_was_left_comes_first_and_what_was_told_is_passed_over() -> None:
    queue = queue_of([asked(1, "told"), asked(2, "b")], [asked(0, "a")], told=["told"])
    assert [start(queue, queue.next()).asked.number for _ in range(2)] == [0, 2]


def test_no_more_are_held_than_may_be() -> None:
    queue = queue_of([asked(number, "a") for number in range(5)])
    start(queue, queue.next())
    assert queue.next() is None
    assert queue.next() is None
    assert queue.live.keys() == {"0"}
    assert len(queue._study.asks) == 2, "one runs, two are held"  # type: ignore[attr-defined]


def test_the_budget_counts_what_is_in_flight_held_or_to_be_started_again() -> None:
    queue = queue_of([asked(number, "a") for number in range(5)], num_trials=2)
    live = start(queue, queue.next())
    assert not queue.is_used_up
    assert queue.next() is None
    assert queue.is_used_up
    del queue.live["0"]
    queue.again.append(live)
    assert queue.is_used_up
    assert not queue.is_empty, "one is to be started again"


def test_a_limit_of_hours_ends_asking() -> None:
    queue = queue_of([asked(0, "a")], spending=SimpleNamespace(limit="max_hours"))
    assert queue.next() is None
    assert queue.is_empty
    assert not queue.is_used_up


@pytest.mark.parametrize("is_told", [False, True])
def test_a_phase_is_there_once_the_store_has_it_or_a_trial_told_so(
    is_told: bool, tmp_path: Path, planted: Any
) -> None:
    world, store = KeyFacts("weights", "tokenizer"), PhaseStore(tmp_path, owner="tiny")
    phases, plan = StoredPhases(world, store), planted.plan("fact")
    stem, *others = keys = phases.keys(plan)
    assert phases.missing(plan) == set(keys)
    if is_told:
        phases.add(stem)
    else:
        phase = plan.intermediate.to_dict()
        record = PhaseRecord(key=stem, parent=None, phase=phase, num_steps=1, seconds=1.0)
        store.commit(record, {"encoder": {}, "heads": {}})
    assert phases.missing(plan) == set(others)
