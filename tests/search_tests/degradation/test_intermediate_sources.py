"""English against other intermediate sources, on planted scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.degradation.intermediate_sources import by_language_of_intermediate
from search.stats.intervals import unpaired_difference
from search.trials.ranking import TrialRow
from trainables.scoring.scores import Scores

CODES = ("de", "nl", "fr", "es", "it", "pt", "ru", "pl", "tr", "fi", "ja", "zh")


def row(planted: Any, number: int, source: str | None, gains: Mapping[str, float]) -> TrialRow:
    values = {"en": 0.8, **{code: 0.5 + gain for code, gain in gains.items()}}
    scores = Scores(targets=(planted.target_scores("rel", values),))
    level = scores.zero_shot_mean
    return replace(planted.scored(number, level, source), scores=scores, objective=level)


def test_english_and_other_sources_are_told_apart(planted: Any) -> None:
    """The best trial of each intermediate counts; a mixture of both groups is in neither."""
    none, codes = {"de": 0.0, "tr": 0.0, "zh": 0.0}, ("de", "tr", "zh")
    rows = [
        row(planted, 1, "fact", dict(zip(codes, (0.10, 0.06, 0.02), strict=True))),
        row(planted, 2, "fact@de", dict(zip(codes, (0.08, 0.02, 0.02), strict=True))),
        row(planted, 3, "coh@tr", dict(zip(codes, (0.04, 0.04, 0.02), strict=True))),
        row(planted, 4, "fact", dict(zip(codes, (0.01, 0.01, 0.01), strict=True))),
        row(planted, 0, None, none),
    ]
    found = by_language_of_intermediate(rows)
    assert found is not None
    assert found.english.intermediates == ("fact",)
    assert found.other.intermediates == ("fact@de", "coh@tr")
    assert found.english.gain == pytest.approx(0.06)
    assert found.other.languages == pytest.approx({"de": 0.06, "tr": 0.03, "zh": 0.02})
    assert found.difference.mean == pytest.approx((-0.04 - 0.03 + 0) / 3)
    assert (found.difference.low, found.difference.excludes_zero) == (None, False)
    assert "several seeds" in str(found.difference.unknown)


def seeded(
    planted: Any, source: str | None, levels: Sequence[float], own: np.ndarray | None = None
) -> list[TrialRow]:
    """One setting with a seed a level, which all languages share."""
    rows = []
    for seed, level in enumerate(levels):
        gains = dict(
            zip(CODES, level + (0 if own is None else own[seed]) * np.ones(12), strict=True)
        )
        one = row(planted, len(rows), source, gains)
        rows.append(replace(one, plan=one.plan.with_seed(seed)))
    return rows


def test_sources_are_told_apart_over_seeds(planted: Any) -> None:
    rows = [
        *seeded(planted, "fact", (0.10, 0.12, 0.11)),
        *seeded(planted, "fact@de", (0.05, 0.06, 0.07)),
        *seeded(planted, None, (0.0, 0.01, -0.01)),
    ]
    found = by_language_of_intermediate(rows)
    assert found is not None
    expected = unpaired_difference((0.05, 0.06, 0.07), (0.10, 0.12, 0.11))
    difference = found.difference
    assert (difference.mean, difference.low, difference.high) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert found.difference.excludes_zero
    assert found.difference.unknown is None


def test_noise_that_languages_share_is_no_difference_of_sources(planted: Any) -> None:
    """Sources that are equal: seeds move all languages together. With three seeds each an interval
    excludes zero as seldom as it says; with one each there is none."""
    rng = np.random.default_rng(1)
    called = {1: 0, 3: 0}
    for _ in range(100):
        for seeds in called:
            rows = [
                run
                for source in ("fact", "fact@de", None)
                for run in seeded(
                    planted, source, rng.normal(0, 0.02, seeds), rng.normal(0, 0.01, (seeds, 12))
                )
            ]
            rows.sort(key=lambda run: -run.objective)
            found = by_language_of_intermediate(rows)
            assert found is not None
            called[seeds] += found.difference.excludes_zero
    assert called[1] == 0
    assert called[3] <= 9


def test_one_group_alone_is_no_comparison(planted: Any) -> None:
    rows = [row(planted, 1, "fact", {"de": 0.1}), row(planted, 0, None, {"de": 0.0})]
    assert by_language_of_intermediate(rows) is None
    assert by_language_of_intermediate([]) is None
    assert by_language_of_intermediate([row(planted, 1, "fact@de", {"de": 0.1})]) is None
