"""Which version becomes champion."""

import re
from typing import Any

import pytest

from search.champion import Claim, decide


def claim(planted: Any, *levels: float, **protocol: Any) -> Claim:
    return Claim.of([planted.scores(level, **protocol) for level in levels], "rel")


def test_a_claim_is_the_tags_of_its_version(planted: Any) -> None:
    made = claim(planted, 0.6, 0.5)
    assert made.means == pytest.approx((0.6, 0.5))
    assert Claim.from_tags(made.to_tags()) == made
    for broken in ({}, {"protocol": "{}", "zero_shot_means": "[1]"}, {"protocol": "x"}):
        assert Claim.from_tags(broken) is None
    assert Claim.from_tags({**made.to_tags(), "zero_shot_means": "[]"}) is None


@pytest.mark.parametrize(
    ("new", "old", "is_champion"),
    [
        ((0.6, 0.61, 0.62), (0.5, 0.51, 0.52), True),
        ((0.5, 0.51, 0.52), (0.6, 0.61, 0.62), False),
        ((0.5, 0.52, 0.54), (0.51, 0.53, 0.55), True),  # lower, but not told apart
        ((0.5,), (0.51, 0.53), False),  # one seed: nothing says that it is as good
        ((0.53,), (0.51, 0.53), True),
        ((0.5, 0.5), (0.5, 0.5), True),
    ],
)
def test_not_worse_takes_the_alias(
    new: tuple[float, ...], old: tuple[float, ...], is_champion: bool, planted: Any
) -> None:
    standing = claim(planted, *old).to_tags()
    found = decide("m", claim(planted, *new), standing)
    assert found.is_champion is is_champion
    assert ("--promote" in found.reason) is not is_champion
    assert decide("m", claim(planted, *new), standing, is_forced=True).is_champion


def test_the_first_is_champion(planted: Any) -> None:
    assert decide("m", claim(planted, 0.1), None).is_champion


@pytest.mark.parametrize(
    ("standing", "message"),
    [
        ({"data": "d2"}, r"another protocol \(data\): they cannot be compared; --promote makes"),
        ({"selection": "source_dev", "rows": 9}, r"another protocol \(selection, rows\)"),
        (None, "does not say what it is worth: they cannot be compared"),
    ],
)
def test_scores_of_another_protocol_are_not_compared(
    standing: dict[str, Any] | None, message: str, planted: Any
) -> None:
    tags = {} if standing is None else claim(planted, 0.1, 0.2, **standing).to_tags()
    new = claim(planted, 0.8, 0.9)
    found = decide("m", new, tags)
    assert not found.is_champion
    assert re.search(message, found.reason)
    forced = decide("m", new, tags, is_forced=True)
    assert forced.is_champion
    assert "--promote was given" in forced.reason
