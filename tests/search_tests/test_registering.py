"""The alias of a real registry, as a retrain moves it (the whole way is in test_retrain)."""

import json
from collections.abc import Callable
from typing import Any

from search.registering import crown
from search.registry import RegisteredModel, Registry
from search.verdict import WINNER, Retrained, Verdict


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
