"""The alias of a real registry, as a retrain moves it (the whole way is in test_retrain)."""

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from search.registering import _halved, crown, rates_of
from search.registry import RegisteredModel, Registry
from search.verdict import WINNER, Retrained, Verdict
from trainables.phase_store import PhaseRecord
from trainables.world import World


def verdict(planted: Any, *levels: float, **protocol: Any) -> Verdict:
    runs = tuple(
        Retrained(
            role=WINNER,
            seed=seed,
            plan=planted.plan("fact"),
            scores=planted.scores(level, **protocol),
            phase_keys=(),
        )
        for seed, level in enumerate(levels)
    )
    return Verdict(study="tiny", trial=1, runs=runs, models=())


def test_the_alias_moves_only_to_what_is_not_worse(
    uri: str, add: Callable[..., RegisteredModel], planted: Any
) -> None:
    """The first version has tags of its own claim; the second is another task's folder."""
    registry = Registry.open(uri)
    first = add("tiny-rel", "tiny")
    good = verdict(planted, 0.60, 0.61)
    assert crown(registry, first, good, "rel", is_forced=False).reason == "there was none"
    assert crown(registry, first, good, "rel", is_forced=False).reason == "it was already"

    second = add("tiny-rel", "tiny", "pos")
    assert second.version == "2"
    found = crown(registry, second, verdict(planted, 0.9, 0.91), "rel", is_forced=False)
    assert not found.is_champion, "the first one's tags say nothing of its scores"
    assert registry.champion("tiny-rel") == first
    found = crown(registry, second, verdict(planted, 0.9, 0.91), "rel", is_forced=True)
    assert found.is_champion
    assert registry.champion("tiny-rel") == second
    assert json.loads(json.dumps(found.to_dict()))["name"] == "tiny-rel"


def test_a_folder_says_at_which_rates_it_was_really_trained(planted: Any) -> None:
    """The plan beside it says the rate that diverged; the card says both."""
    plan = planted.plan("fact", 2e-4, 1e-4)
    world = World("weights", "tokenizer")
    (stem, _, phase), *_ = world.stages(plan)
    half = replace(phase, learning_rate=1e-4)
    retry = world.key(half, None)
    key = world.stages(plan, trained_as=lambda planned: retry)[1][0]
    records = {
        stem: PhaseRecord(key=retry, parent=None, phase=half.to_dict(), retry_of=stem),
        key: PhaseRecord(key=key, parent=retry, phase=plan.targets[0].phase.to_dict()),
    }
    store = SimpleNamespace(
        resolve=records.get, trained_as=lambda k: records[k].key if k in records else k
    )
    shop: Any = SimpleNamespace(world=world, store=store)
    rel, retrieval = plan.targets[0], plan.targets[2]
    assert rates_of(plan, rel, shop) == {"intermediate": 1e-4, "target": 1e-4}
    assert rates_of(plan, retrieval, shop) == {"intermediate": 1e-4}
    (told,) = _halved(plan, "rel", shop)
    assert told == (
        "Its intermediate phase diverged at the planned learning rate 2e-04 and was trained at "
        "half of it, 1e-04."
    )
    records[stem] = PhaseRecord(key=stem, parent=None, phase=phase.to_dict())
    assert _halved(plan, "rel", shop) == []
