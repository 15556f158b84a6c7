"""The winner's curse: shrinking what was chosen, and what fresh seeds should get."""

import random
from typing import Any

import pytest

from search.curse import winners_curse
from search.selection import TrialRow


def grid(planted: Any, levels: dict[float, list[float]]) -> list[TrialRow]:
    """Plans by learning rate, each with the scores of its seeds."""
    rows: list[TrialRow] = []
    for rate, of_seeds in levels.items():
        for seed, level in enumerate(of_seeds):
            row = planted.scored(len(rows), level, "fact", rate=rate)
            rows.append(type(row)(**{**fields(row), "plan": row.plan.with_seed(seed)}))
    return rows


def fields(row: TrialRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def test_by_hand(planted: Any) -> None:
    rows = grid(planted, {1e-4: [0.50, 0.52], 2e-4: [0.60, 0.62], 3e-4: [0.55, 0.57]})
    fresh = [planted.scores(0.56), planted.scores(0.58)]
    found = winners_curse(rows, rows[2], fresh)
    # Each group varies by 0.0002 with one degree of freedom; the means are 0.51, 0.61 and 0.56.
    noise, between = 0.0002, 0.0025
    spread = between - noise / 2
    kept = spread / (spread + noise / 2)
    assert found.kept == pytest.approx(kept)
    assert found.searched == pytest.approx(0.61)
    assert found.predicted == pytest.approx(0.56 + kept * 0.05)
    assert found.retrained == pytest.approx(0.57)
    assert (found.num_plans, found.num_seeds) == (3, 2)
    of_plan = kept * noise / 2 + (1 - kept) ** 2 * between / 3
    rows_of = sum(2 * level * (1 - level) / 100 / 4 for level in (0.60, 0.56))
    half = 2.7764451 * (of_plan + noise / 2 + rows_of) ** 0.5  # t at 0.975 with 4 degrees
    assert found.high is not None
    assert found.high - found.predicted == pytest.approx(half, rel=1e-6)
    assert not found.falls_out


def test_without_several_seeds_nothing_is_promised(planted: Any) -> None:
    rows = grid(planted, {1e-4: [0.5], 2e-4: [0.6]})
    found = winners_curse(rows, rows[1], [planted.scores(0.1)])
    assert (found.low, found.high, found.falls_out) == (None, None, False)
    assert found.kept == 1.0


def test_fresh_seeds_say_how_seeds_vary(planted: Any) -> None:
    rows = grid(planted, {1e-4: [0.5], 2e-4: [0.6], 3e-4: [0.52]})
    fresh = [planted.scores(level) for level in (0.30, 0.31, 0.32)]
    others = [planted.scores(level) for level in (0.50, 0.51, 0.52)]
    found = winners_curse(rows, rows[1], fresh, others)
    assert found.low is not None
    assert found.falls_out, "0.31 after 0.6"
    calm = winners_curse(rows, rows[1], [planted.scores(x) for x in (0.57, 0.58, 0.59)], others)
    assert not calm.falls_out
    assert calm.low is not None
    assert found.low == pytest.approx(calm.low, abs=0.01), (
        "the level of fresh seeds promises nothing"
    )


def test_where_plans_do_not_differ_no_lead_is_believed(planted: Any) -> None:
    rows = grid(planted, {1e-4: [0.4, 0.6], 2e-4: [0.6, 0.42], 3e-4: [0.5, 0.5]})
    found = winners_curse(rows, rows[1], [planted.scores(0.5)])
    assert found.kept == 0.0
    assert found.predicted == pytest.approx(0.50333333)


def test_collapsed_trials_are_no_part_of_it(planted: Any) -> None:
    rows = grid(planted, {1e-4: [0.50, 0.52], 2e-4: [0.60, 0.62]})
    with_all = winners_curse([*rows, *planted.study_rows()[4:]], rows[2], [planted.scores(0.6)])
    assert with_all == winners_curse(rows, rows[2], [planted.scores(0.6)])


def test_the_interval_holds_what_it_promises(planted: Any) -> None:
    """Many made searches: the best of ten plans is trained again, and lands inside nearly always,
    while its own search score lies too high."""
    draw, inside, above, num = random.Random(7), 0, 0.0, 200
    for _ in range(num):
        truth = [draw.gauss(0.5, 0.02) for _ in range(10)]
        seeds = [[draw.gauss(mean, 0.02) for _ in range(2)] for mean in truth]
        rows = grid(planted, {1e-5 * (i + 1): levels for i, levels in enumerate(seeds)})
        chosen = max(range(10), key=lambda plan: sum(seeds[plan]))
        fresh = [planted.scores(draw.gauss(truth[chosen], 0.02)) for _ in range(3)]
        found = winners_curse(rows, rows[2 * chosen], fresh)
        inside += not found.falls_out
        above += (found.searched - found.retrained) / num
        assert found.predicted < found.searched
    assert above > 0.005
    assert inside >= 0.93 * num
