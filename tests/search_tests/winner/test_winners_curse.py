"""The winner's curse: shrinking what was chosen, and what gain fresh seeds should have."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.promise_coverage import Setting, simulate
from search.trials.ranking import TrialRow, best_baseline
from search.winner.winners_curse import winners_curse
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Mark, Scores, TargetScores

MANY = 10**9  # rows: a score is what it is


def on_rows(scores: Scores, num: int) -> Scores:
    return replace(
        scores,
        targets=tuple(
            replace(target, num_rows=dict.fromkeys(target.num_rows, num))
            for target in scores.targets
        ),
    )


def study(
    planted: Any, plans: Sequence[Sequence[float]], baselines: Sequence[Sequence[float]]
) -> list[TrialRow]:
    """A plan's seeds each; with an intermediate phase, and without, by their rates."""
    rows: list[TrialRow] = []
    for source, groups in (("fact", plans), (None, baselines)):
        for place, levels in enumerate(groups):
            rate = 1e-5 * (place + 1)
            for seed, level in enumerate(levels):
                row = planted.scored(len(rows), level, source, rate=rate, target_rate=rate)
                seeded = replace(row, plan=row.plan.with_seed(seed))
                rows.append(replace(seeded, scores=on_rows(row.scores, MANY)))
    return rows


def fresh(planted: Any, *levels: float) -> list[Scores]:
    return [on_rows(planted.scores(level), MANY) for level in levels]


def test_a_lead_is_believed_as_far_as_noise_allows(planted: Any) -> None:
    """Five plans that differ by far more than their seeds, then five that do not."""
    apart = [[0.50, 0.51], [0.60, 0.61], [0.55, 0.56], [0.65, 0.66], [0.70, 0.71]]
    rows = study(planted, apart, [[0.5, 0.51]])
    again = fresh(planted, 0.70, 0.71), fresh(planted, 0.50, 0.51)
    found = winners_curse(rows, rows[8], best_baseline(rows), *again)
    assert found is not None
    assert found.searched == pytest.approx(0.2)
    assert found.predicted == pytest.approx(0.2, abs=0.002)
    assert found.kept > 0.95
    assert found.retrained == pytest.approx(0.2)
    assert (found.num_plans, found.num_seeds) == (5, 2)
    assert not found.falls_out
    alike = [[0.58, 0.62], [0.57, 0.63], [0.61, 0.59], [0.60, 0.64], [0.56, 0.60]]
    rows = study(planted, alike, [[0.5, 0.53]])
    found = winners_curse(
        rows, rows[6], best_baseline(rows), fresh(planted, 0.6, 0.62), fresh(planted, 0.5, 0.51)
    )
    assert found is not None
    assert found.kept < 0.7
    assert np.mean(alike) - 0.515 < found.predicted < found.searched - 0.005


def test_without_several_seeds_nothing_is_promised(planted: Any) -> None:
    rows = study(planted, [[0.6], [0.5]], [[0.5]])
    found = winners_curse(rows, rows[0], rows[2], fresh(planted, 0.1), fresh(planted, 0.5))
    assert found is not None
    assert (found.low, found.high, found.falls_out, found.exceeds) == (None, None, False, False)
    assert (found.kept, found.predicted) == (1.0, found.searched)


def test_where_there_is_no_gain_none_is_promised(planted: Any) -> None:
    """A baseline wins; there is no baseline; a side has no fresh score."""
    rows = study(planted, [[0.4]], [[0.5], [0.6]])
    two = fresh(planted, 0.6, 0.61)
    assert winners_curse(rows, rows[2], rows[2], two, two) is None
    assert winners_curse(rows[:1], rows[0], None, two, two) is None
    assert winners_curse(rows, rows[0], rows[2], [], two) is None
    assert winners_curse(rows, rows[0], rows[2], two, []) is None


def test_harder_rows_are_no_broken_promise(planted: Any) -> None:
    """Both sides fall by four points on the test rows: the gain is what was promised."""
    rows = study(planted, [[0.60], [0.61], [0.62], [0.65]], [[0.55], [0.56]])
    found = [
        winners_curse(
            rows,
            rows[3],
            rows[5],
            fresh(planted, *(level - harder for level in (0.64, 0.645, 0.65))),
            fresh(planted, *(level - harder for level in (0.56, 0.555, 0.55))),
        )
        for harder in (0.0, 0.04)
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert [found[1].low, found[1].high] == pytest.approx([found[0].low, found[0].high])
    assert found[1].retrained == pytest.approx(found[0].retrained)
    assert not found[1].falls_out


def test_more_than_was_promised_breaks_no_promise(planted: Any) -> None:
    rows = study(planted, [[0.60], [0.61], [0.62], [0.63]], [[0.55], [0.56]])
    sides = [fresh(planted, 0.9, 0.901, 0.902), fresh(planted, 0.55, 0.551, 0.552)]
    found = winners_curse(rows, rows[3], rows[5], *sides)
    assert found is not None
    assert (found.falls_out, found.exceeds) == (False, True)
    low = winners_curse(rows, rows[3], rows[5], *reversed(sides))
    assert low is not None
    assert (low.falls_out, low.exceeds) == (True, False)


def with_language(scores: Scores, language: str, score: float) -> Scores:
    def more(target: TargetScores) -> TargetScores:
        languages = {**target.languages, language: {"accuracy": score}}
        return replace(target, languages=languages, num_rows={**target.num_rows, language: MANY})

    return replace(scores, targets=tuple(map(more, scores.targets)))


def test_languages_that_one_split_lacks_are_left_out(planted: Any) -> None:
    """A hard language with test rows alone, where the winner is as bad as its baseline."""
    rows = study(planted, [[0.60], [0.61], [0.62], [0.63]], [[0.55], [0.56]])
    sides = [fresh(planted, 0.625, 0.63, 0.62), fresh(planted, 0.55, 0.56, 0.555)]
    known = winners_curse(rows, rows[3], rows[5], *sides)
    wider = [[with_language(scores, "yo", 0.35) for scores in side] for side in sides]
    assert winners_curse(rows, rows[3], rows[5], *wider) == known
    other = [replace(s, targets=s.targets[:1]) for s in sides[0]]
    found = winners_curse(rows, rows[3], rows[5], other, sides[1])
    assert found is not None, "rel alone is in all of them"


def test_collapsed_seeds_count(planted: Any) -> None:
    rows = study(planted, [[0.60, 0.61], [0.62, 0.63]], [[0.55, 0.56]])
    low = replace(
        planted.scored(9, 0.30, "fact", rate=2e-5, target_rate=2e-5, mark=Mark.COLLAPSED),
        plan=rows[2].plan.with_seed(7),
    )
    sides = [fresh(planted, 0.62, 0.63), fresh(planted, 0.55, 0.56)]
    found = winners_curse([*rows, low], rows[2], rows[4], *sides)
    assert found is not None
    assert found.searched == pytest.approx((0.62 + 0.63 + 0.30) / 3 - 0.555)


def test_rows_that_both_sides_get_alike_say_more_than_their_number(planted: Any) -> None:
    """100 rows a language. Of the paired rows 2 % differ; all that the number says is far less."""
    rows = study(planted, [[0.60], [0.61], [0.62], [0.63]], [[0.55], [0.56]])
    few = [replace(row, scores=on_rows(row.scores, 100)) for row in rows]
    sides = [
        [on_rows(scores, 100) for scores in fresh(planted, *levels)]
        for levels in ((0.625, 0.63, 0.62), (0.55, 0.56, 0.555))
    ]
    right = np.arange(100) < 60
    other = np.where(np.arange(100) < 2, ~right, right)
    outcomes = [
        (
            {task: ByLanguage({"de": right, "tr": right}) for task in ("rel", "coh")},
            {task: ByLanguage({"de": other, "tr": other}) for task in ("rel", "coh")},
        )
    ] * 3
    bounded = winners_curse(few, few[3], few[5], *sides)
    paired = winners_curse(few, few[3], few[5], *sides, outcomes)
    many = [[on_rows(scores, MANY) for scores in side] for side in sides]
    exact = winners_curse(rows, rows[3], rows[5], *many)
    widths = [found.high - found.low for found in (exact, paired, bounded)]  # type: ignore
    assert widths[0] < widths[1] < 0.7 * widths[2]
    # Rows that go together in fives say less than as many that do not.
    groups = dict.fromkeys(("de", "tr"), np.arange(100) // 5)
    together = [
        tuple({task: replace(rows, groups=groups) for task, rows in side.items()} for side in pair)
        for pair in outcomes
    ]
    grouped = winners_curse(few, few[3], few[5], *sides, together)  # type: ignore[arg-type]
    assert grouped is not None
    assert widths[1] < grouped.high - grouped.low  # type: ignore[operator]


SETTINGS = [
    Setting(num_plans=20, noise=0.02, spread=0.03),
    Setting(num_plans=20, noise=0.02, spread=0.0),
    Setting(num_plans=20, noise=0.02, spread=0.005, spoilt=0.5),
    Setting(num_plans=20, noise=0.005, spread=0.01, harder=0.04, num_seeds=3),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_interval_holds_what_it_promises(setting: Setting) -> None:
    """150 searches each: 91 to 99 % in the whole table (benchmarks/promise_coverage.py)."""
    found = [simulate(setting, number) for number in range(150)]
    inside = np.mean([not (curse.falls_out or curse.exceeds) for curse, _ in found])
    assert 0.89 <= inside <= 0.995
    luck = np.mean([curse.searched - true for curse, true in found])
    left = np.mean([curse.predicted - true for curse, true in found])
    assert abs(left) < 0.5 * setting.noise
    assert setting.spread > setting.noise or left < 0.5 * luck
