"""The degradation report on planted scores: slopes known by construction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.degradation.findings import MIN_LANGUAGES, CollapsedSides, Degradation
from search.degradation.gaps import degradation
from search.degradation.paired_scores import PairedScores
from search.stats.intervals import mean_interval
from spaces.refusal import Refusal
from trainables.scoring.scores import Mark, Scores, TargetScores

# Twelve languages and their distance from English: a kind that matters, and one that does not.
CODES = ("de", "nl", "fr", "es", "it", "pt", "ru", "pl", "tr", "fi", "ja", "zh")
NEAR = {code: 0.1 + 0.06 * i for i, code in enumerate(CODES)}
OTHER = dict(zip(NEAR, np.random.default_rng(4).permutation(list(NEAR.values())), strict=True))
NOISE = dict(zip(NEAR, np.random.default_rng(7).normal(0, 0.004, len(NEAR)), strict=True))


def lookup(source: str, languages: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    assert source == "en"
    return {
        "syntactic": {code: NEAR[code] for code in languages if code in NEAR},
        "geographic": {code: float(OTHER[code]) for code in languages if code in OTHER},
    }


def never(source: str, languages: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    raise AssertionError("distances were looked up")


def target(
    planted: Any, task: str, slope: float, *, level: float = 0.9, **fields: Any
) -> TargetScores:
    """English at `level`, every other language lower by the slope times its distance."""
    values = {code: level - slope * far + NOISE[code] for code, far in NEAR.items()}
    found: TargetScores = planted.target_scores(task, {"en": level, **values})
    return replace(found, **fields)


def sides(before: Sequence[TargetScores], after: Sequence[TargetScores] = ()) -> PairedScores:
    return PairedScores(
        measured_on="trial 3 beside trial 1",
        intermediate="fact" if after else None,
        before=(Scores(targets=tuple(before)),),
        after=(Scores(targets=tuple(after)),) if after else (),
    )


def slopes(found: Degradation, kind: str, task: str | None = None) -> Any:
    (row,) = [row for row in found.slopes if (row.task, row.kind) == (task, kind)]
    return row


def test_planted_slopes_are_found(planted: Any) -> None:
    """0.5 without intermediate training, 0.3 with: the change is -0.2, the gain's slope 0.2."""
    found = degradation(
        sides(
            [target(planted, "rel", 0.5)],
            [target(planted, "rel", 0.3, level=0.92)],
        ),
        lookup=lookup,
    )
    row = slopes(found, "syntactic")
    for name, planted_slope in (("before", 0.5), ("after", 0.3), ("change", -0.2), ("gain", 0.2)):
        assert getattr(row, name).value == pytest.approx(planted_slope, abs=0.02), name
        assert getattr(row, name).excludes_zero, name
    assert row.before.low <= 0.5 <= row.before.high
    assert row.before.rank > 0.9
    assert row.change.value == pytest.approx(row.after.value - row.before.value)
    assert (row.nearest, row.farthest, row.num_languages) == ("de", "zh", 12)
    assert row.span == pytest.approx(0.66)
    cell = next(c for c in found.languages if c.language == "zh")
    assert cell.gap_before == pytest.approx(0.5 * 0.76, abs=0.02)
    assert cell.gap_after == pytest.approx(0.3 * 0.76, abs=0.02)
    assert cell.gain == pytest.approx(0.02 + 0.2 * 0.76)
    assert (found.num_languages, found.losers, found.unknown) == (12, (), None)


def test_a_distance_that_does_not_matter_holds_zero(planted: Any) -> None:
    flat = target(planted, "rel", 0.0)
    found = degradation(sides([flat], [flat]), lookup=lookup)
    for kind in ("syntactic", "geographic"):
        row = slopes(found, kind)
        assert not row.before.excludes_zero
        assert (row.change.value, row.change.rank) == (pytest.approx(0), None)


def test_targets_are_regressed_alone_and_together(planted: Any) -> None:
    """Retrieval has no source score, and so no gap; its slope is known all the same."""
    hard = target(planted, "coh", 0.2, level=0.5)
    without_english = {k: v for k, v in hard.languages.items() if k != "en"}
    before = [target(planted, "rel", 0.4), replace(hard, languages=without_english)]
    found = degradation(sides(before), lookup=lookup)
    assert slopes(found, "syntactic", "rel").before.value == pytest.approx(0.4, abs=0.02)
    assert slopes(found, "syntactic", "coh").before.value == pytest.approx(0.2, abs=0.02)
    both = slopes(found, "syntactic")
    assert both.before.value == pytest.approx(0.3, abs=0.02)
    assert (both.after, both.change) == (None, None), "no intermediate"
    assert {c.gap_before for c in found.languages if c.task == "coh"} == {None}


def test_seeds_are_averaged(planted: Any) -> None:
    seeds = [Scores(targets=(target(planted, "rel", slope),)) for slope in (0.4, 0.6)]
    two = replace(sides([target(planted, "rel", 0.5)]), before=tuple(seeds))
    found = degradation(two, lookup=lookup)
    assert found.num_seeds == 2
    one = degradation(sides([target(planted, "rel", 0.5)]), lookup=lookup)
    assert slopes(found, "syntactic").before.value == pytest.approx(
        slopes(one, "syntactic").before.value
    )


def test_losers_are_named_the_worst_first(planted: Any) -> None:
    """Steeper and higher: the near languages gain, the far ones lose."""
    found = degradation(
        sides([target(planted, "rel", 0.3)], [target(planted, "rel", 0.5, level=1.0)]),
        lookup=lookup,
    )
    assert [cell.language for cell in found.losers] == ["zh", "ja", "fi", "tr", "pl"]
    worst = found.losers[0]
    assert (worst.task, worst.language) == ("rel", "zh")
    assert worst.gain == pytest.approx(0.1 - 0.2 * 0.76)


def test_too_few_languages_are_not_regressed_nor_looked_up(planted: Any) -> None:
    few = planted.target_scores("rel", {"en": 0.9, "de": 0.8, "tr": 0.6, "zh": 0.5, "fi": 0.7})
    found = degradation(sides([few], [few]), lookup=never)
    assert found.slopes == ()
    assert "4 zero-shot languages" in found.unknown
    assert f"at least {MIN_LANGUAGES}" in found.unknown
    assert len(found.languages) == 4, "gaps are said all the same"
    assert "No baseline" in degradation(None, lookup=never).unknown


def test_languages_without_a_distance_are_named(planted: Any) -> None:
    def some(source: str, languages: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
        known = lookup(source, languages)
        syntactic = {k: v for k, v in known["syntactic"].items() if k not in ("ja", "pl")}
        few = {k: v for k, v in known["geographic"].items() if k in ("de", "fr", "zh", "ja")}
        return {"syntactic": syntactic, "geographic": few, "phonological": {}}

    found = degradation(sides([target(planted, "rel", 0.5)]), lookup=some)
    assert slopes(found, "syntactic").unmeasured == ("ja", "pl")
    assert slopes(found, "syntactic").before is not None
    assert slopes(found, "geographic").before is None, "four are too few"
    assert {row.kind for row in found.slopes} == {"syntactic", "geographic"}


def test_tables_that_are_not_there_are_said(planted: Any) -> None:
    def missing(source: str, languages: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
        raise Refusal("distances between languages are not known: no table")

    found = degradation(sides([target(planted, "rel", 0.5)]), lookup=missing)
    assert found.slopes == ()
    assert found.unknown == (
        "Not regressed on distance: distances between languages are not known: no table."
    )


def test_fertility_counts_by_words_alone(planted: Any) -> None:
    """Tokens of a character (Japanese, Chinese) do not stand beside tokens of a word."""
    fertility = {code: 1 + 2 * far for code, far in NEAR.items()}
    found = degradation(sides([target(planted, "rel", 0.5, fertility=fertility)]), lookup=lookup)
    row = slopes(found, "fertility")
    assert row.unmeasured == ("ja", "zh")
    assert row.before.value == pytest.approx(0.25, abs=0.02)
    units = {c.language: c.fertility_unit for c in found.languages}
    assert (units["zh"], units["de"]) == ("character", "word")


def test_targets_at_chance_are_not_counted(planted: Any) -> None:
    before = [target(planted, "rel", 0.5), target(planted, "coh", 0.0, mark=Mark.NO_SIGNAL)]
    found = degradation(sides(before), lookup=lookup)
    assert (found.counted, found.left_out) == (("rel",), ("coh",))
    assert slopes(found, "syntactic").before.value == pytest.approx(0.5, abs=0.02)
    alone = degradation(sides(before[1:]), lookup=never)
    assert alone.unknown == "Not regressed on distance: coh at chance on one side."


def test_a_seed_in_the_minority_that_collapsed_counts(planted: Any) -> None:
    """Two of three seeds learned the target: it is regressed on, with all three in its means."""
    learned = Scores(targets=(target(planted, "rel", 0.5),))
    lost = Scores(targets=(target(planted, "rel", 0.0, level=0.3, mark=Mark.COLLAPSED),))
    found = degradation(
        PairedScores(
            measured_on="retrain 'final'",
            intermediate="fact",
            before=(learned, learned, learned),
            after=(learned, lost, learned),
        ),
        lookup=lookup,
    )
    assert (found.counted, found.left_out) == (("rel",), ())
    assert found.collapsed == CollapsedSides(before={}, after={"rel": 1})
    assert slopes(found, "syntactic").after.value == pytest.approx(0.5 * 2 / 3, abs=0.02)


def test_the_change_over_seeds(planted: Any) -> None:
    """Slopes of 0.5 without and of 0.2, 0.3 and 0.4 with: the change is -0.3, -0.2 and -0.1."""
    before = tuple(Scores(targets=(target(planted, "rel", 0.5),)) for _ in range(3))
    after = tuple(Scores(targets=(target(planted, "rel", s),)) for s in (0.2, 0.3, 0.4))
    both = replace(sides([target(planted, "rel", 0.5)]), before=before, after=after)
    row = slopes(degradation(both, lookup=lookup), "syntactic")
    expected = mean_interval([-0.3, -0.2, -0.1])
    assert row.over_seeds.mean == pytest.approx(row.change.value)
    assert row.over_seeds.low == pytest.approx(expected.low)
    assert (row.change.excludes_zero, row.over_seeds.excludes_zero) == (True, False)
    assert not row.is_established
    sure = replace(both, after=(after[1],) * 3)
    assert slopes(degradation(sure, lookup=lookup), "syntactic").is_established
    fewer = replace(both, after=after[:2])
    found = slopes(degradation(fewer, lookup=lookup), "syntactic")
    assert found.over_seeds.num == 5, "not paired: seeds of both sides"
    alone = replace(both, before=before[:1], after=after[:1])
    row = slopes(degradation(alone, lookup=lookup), "syntactic")
    assert (row.over_seeds, row.is_established) == (None, False)
