"""What is said and drawn of planted slopes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from search.degradation.findings import (
    Degradation,
    MeanDifference,
    SourceGroup,
    SourceLanguages,
)
from search.degradation.gaps import degradation
from search.degradation.paired_scores import PairedScores
from search.degradation.views import (
    HEIGHT,
    WIDTH,
    degradation_sentences,
    scatters,
    slope_table,
)
from trainables.scoring.scores import Scores

CODES = ("de", "nl", "fr", "es", "pl", "tr", "fi", "ja", "zh")
FAR = {code: 0.1 + 0.1 * i for i, code in enumerate(CODES)}


def lookup(source: str, languages: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    return {
        "syntactic": {code: FAR[code] for code in languages},
        "phonological": {code: FAR[code] ** 2 for code in languages if code != "ja"},
    }


def found(
    planted: Any, before: float, after: float | None, *, seeds: int = 1, codes: Any = CODES
) -> Degradation:
    """A slope on each side."""

    def scores(slope: float) -> Scores:
        values = {code: 0.9 - slope * FAR[code] + 0.001 * (i % 2) for i, code in enumerate(codes)}
        return Scores(targets=(planted.target_scores("rel", {"en": 0.9, **values}),))

    sides = PairedScores(
        measured_on="trial 3 beside trial 1",
        intermediate=None if after is None else "fact",
        before=(scores(before),) * seeds,
        after=() if after is None else (scores(after),) * seeds,
    )
    return degradation(sides, lookup=lookup)


def test_a_slope_that_shrinks(planted: Any) -> None:
    """0.5 over a distance of 0.8 are 40 points, 0.3 are 24."""
    growth, unmeasured, *changes = degradation_sentences(found(planted, 0.5, 0.3))
    assert "over 9 zero-shot languages" in growth
    assert "syntactic (+40.0 points from de to zh, 95 % interval +" in growth
    assert (
        unmeasured
        == "Left out of a regression, because the distance is not known: phonological ja."
    )
    (change,) = changes
    assert change.startswith(
        "With fact the gap grows less with distance: syntactic (−16.0 points from de to zh"
    )
    assert "phonological" not in change, "four families without Japanese: too wide an interval"
    assert change.endswith("This compares single models; another seed could say otherwise.")


def test_a_change_is_told_where_seeds_say_so_too(planted: Any) -> None:
    """The same families' interval; seeds that agree, and seeds that do not."""
    shown = found(planted, 0.5, 0.3, seeds=2)
    row, other = shown.slopes
    assert row.over_seeds is not None
    assert (row.kind, row.is_established) == ("syntactic", True)
    assert row.over_seeds.low == pytest.approx(-0.2)
    (line,) = [line for line in degradation_sentences(shown) if "grows less" in line]
    assert line.endswith("over seeds −16.0 to −16.0).")
    assert "bold" in str(slope_table(shown).columns[4]._cells[0].style)
    wide = replace(row.over_seeds, low=-0.5, high=0.1)
    row = replace(row, over_seeds=wide, is_established=False)
    shown = replace(shown, slopes=(row, other))
    lines = degradation_sentences(shown)
    assert "Intermediate training on fact changes none of these slopes significantly." in lines
    assert "The change by syntactic distance after fact may be noise between seeds." in lines
    assert "bold" not in str(slope_table(shown).columns[4]._cells[0].style)


def test_distances_without_an_interval_are_said_with_the_reason(planted: Any) -> None:
    """German, Dutch, French and Spanish are one family, and with two others not enough."""
    shown = found(planted, 0.5, 0.3, codes=("de", "nl", "fr", "es", "tr", "zh"))
    lines = degradation_sentences(shown)
    assert (
        "An interval needs several families; these have none: syntactic, phonological "
        "(3 families of languages, fewer than 4)."
    ) in lines
    assert str(slope_table(shown).columns[2]._cells[0]).endswith("\nno interval")
    assert not any("grows less" in line for line in lines)


def test_a_slope_that_stays(planted: Any) -> None:
    lines = degradation_sentences(found(planted, 0.5, 0.5))
    assert "Intermediate training on fact changes none of these slopes significantly." in lines
    flat = degradation_sentences(found(planted, 0.0, None))
    assert "the gap of rel does not depend significantly on distance" in flat[0]
    assert "(syntactic, phonological)" in flat[0]


def test_a_target_at_chance_is_said(planted: Any) -> None:
    shown = replace(found(planted, 0.5, 0.3), left_out=("coh",))
    assert "Not counted there, because one side is at chance: coh." in degradation_sentences(shown)


def test_losers_over_seeds_are_named(planted: Any) -> None:
    """Those of single trials are named with the best trial already."""
    named, single = "trial 3 beside trial 1", found(planted, 0.3, 0.5)
    assert not any("lose" in line for line in degradation_sentences(single, compared=named))
    assert any("lose" in line for line in degradation_sentences(single, compared="another pair"))
    lines = degradation_sentences(found(planted, 0.3, 0.5, seeds=2), compared=named)
    (line,) = [line for line in lines if "lose" in line]
    assert line.startswith(
        "Languages that lose with fact (trial 3 beside trial 1, means over 2 seeds): rel zh −18"
    )
    assert line.endswith(" and 1 more.")


def test_too_few_languages_are_said(planted: Any) -> None:
    few = found(planted, 0.5, 0.3, codes=CODES[:3])
    assert degradation_sentences(few) == [few.unknown]
    assert slope_table(few).row_count == 0
    assert scatters(few) == []


def test_the_table_has_a_row_a_distance(planted: Any) -> None:
    table = slope_table(found(planted, 0.5, 0.3))
    assert table.row_count == 2
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ["syntactic", "phonological"]
    assert cells[1] == ["de, zh (9)", "de, zh (8)"]
    assert str(cells[2][0]).startswith("+40.0\n+")
    assert str(cells[4][0]).startswith("−16.0\n−")
    assert cells[5] == ["+1.00", "+1.00"]
    assert "–" in {str(cell) for cell in slope_table(found(planted, 0.5, None)).columns[3].cells}


def test_english_and_other_sources_are_said(planted: Any) -> None:
    sources = SourceLanguages(
        english=SourceGroup(intermediates=("fact",), gain=0.06, languages={}),
        other=SourceGroup(intermediates=("fact@de", "coh@tr"), gain=0.037, languages={}),
        difference=MeanDifference(mean=-0.023, low=-0.08, high=0.03),
    )
    shown = replace(found(planted, 0.5, 0.3), intermediate_languages=sources)
    assert degradation_sentences(shown)[-1] == (
        "Intermediate sources in English (fact) gain +6.0 points on average, those in other "
        "languages (fact@de, coh@tr) +3.7: a difference of −2.3 (95 % interval over the seeds "
        "−8.0 to +3.0, not significant)."
    )
    unknown = MeanDifference(mean=-0.023, low=None, high=None, unknown="single models")
    sources = replace(sources, difference=unknown)
    shown = replace(shown, intermediate_languages=sources)
    assert degradation_sentences(shown)[-1].endswith("a difference of −2.3 (single models).")


def test_pictures_hold_every_language_and_both_lines(planted: Any) -> None:
    first, second = scatters(found(planted, 0.5, 0.3))
    assert (first.kind, second.kind) == ("syntactic", "phonological")
    assert [len(points) for points in first.points.values()] == [9, 9]
    assert len(second.points["before"]) == 8
    for _, x, y in first.points["before"] + first.points["after"]:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    assert first.across == pytest.approx((0.1, 0.9))
    assert first.down == pytest.approx((0.03, 0.45), abs=0.002)
    (start, end), (low, high) = first.lines["before"], first.lines["after"]
    assert start[0] < end[0]
    assert start[1] - end[1] > low[1] - high[1] > 0, "pixels go down; steeper without"
    assert set(scatters(found(planted, 0.5, None))[0].lines) == {"before"}


def test_a_target_without_source_score_is_drawn(planted: Any) -> None:
    shown = found(planted, 0.5, 0.3)
    cells = [replace(cell, gap_before=None, gap_after=None) for cell in shown.languages]
    shown = replace(shown, languages=tuple(cells))
    (low, high) = scatters(shown)[0].down
    assert low < 0 < high, "from the mean score"
