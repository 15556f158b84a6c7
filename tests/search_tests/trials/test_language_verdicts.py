"""Verdicts by language: which cells are judged, and what they say."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.display.json_form import from_json, json_of
from search.stats.significance import holm
from search.trials.language_verdicts import (
    Call,
    LanguageVerdict,
    SelectionVerdicts,
    Side,
    by_language,
    of_selection,
)
from trainables.scoring.outcomes import ByLanguage, Outcomes, of_values
from trainables.scoring.scores import Mark, TargetScores


def rows_of(share: float, *, seed: int = 0, num: int = 100) -> Outcomes:
    order = np.random.default_rng(seed).permutation(num)
    return of_values(order < round(share * num))


def side(planted: Any, level: float, *, seed: int = 0, **protocol: Any) -> Side:
    """Scores of rel, coh and retrieval, and rows that have them."""
    scores = planted.scores(level, **protocol)
    rows = {
        target.task: ByLanguage(
            {code: rows_of(value, seed=seed) for code, value in target.by_language.items()}
        )
        for target in scores.targets
    }
    return Side(scores, rows)


def test_a_verdict_for_every_cell(planted: Any) -> None:
    pairs = [(side(planted, 0.7, seed=i), side(planted, 0.3, seed=i + 9)) for i in range(3)]
    found = {(v.task, v.language): v for v in by_language(pairs)}
    assert set(found) == {
        *(("rel", code) for code in ("de", "en", "tr")),
        *(("coh", code) for code in ("de", "en", "tr")),
        ("retrieval", "de"),
        ("retrieval", "tr"),
    }
    better = found["rel", "de"]
    assert better.call is Call.BETTER
    assert better.mean == pytest.approx(0.4)
    assert (better.num_seeds, better.num_rows) == (3, 100)
    # Both sides are at 90 % there.
    assert found["retrieval", "de"].call is Call.TIE
    turned = {(v.task, v.language): v for v in by_language([(b, a) for a, b in pairs])}
    assert turned["rel", "de"].call is Call.WORSE
    assert by_language(pairs) == list(found.values())
    for verdict in found.values():
        content = json.loads(json.dumps(json_of(verdict)))
        assert from_json(LanguageVerdict, content, where="a verdict") == verdict


def test_holm_is_over_the_languages_of_a_target(planted: Any) -> None:
    found = by_language([(side(planted, 0.55), side(planted, 0.48, seed=1))])
    for task in ("rel", "coh", "retrieval"):
        of_task = [verdict for verdict in found if verdict.task == task]
        assert [v.adjusted for v in of_task] == holm([v.p for v in of_task])
        for verdict in of_task:
            assert (verdict.call is Call.TIE) == (verdict.adjusted >= 0.05)
    assert [v.adjusted_all for v in found] == holm([v.p for v in found])
    assert all(v.adjusted_all >= v.adjusted for v in found)


def test_rows_of_one_paragraph_are_one_draw(planted: Any) -> None:
    """Ten questions each on ten paragraphs, that stand and fall together: told of either side, and
    of both when the other's file is an old one, which says nothing of groups."""

    def of(share: float, groups: bool) -> Side:
        made = side(planted, 0.5)
        rows = of_values(np.arange(100) < 100 * share)
        known = {"de": np.arange(100, dtype=np.uint8) // 10} if groups else {}
        return Side(made.scores, {"rel": ByLanguage({"de": rows}, known)})

    (alone,) = by_language([(of(0.7, False), of(0.5, False))])
    (grouped,) = by_language([(of(0.7, True), of(0.5, True))])
    assert (alone.call, alone.num_groups) == (Call.BETTER, None)
    assert (grouped.call, grouped.num_groups) == (Call.TIE, 10)
    assert grouped.num_rows == 100
    for sides in ((True, False), (False, True)):
        assert by_language([(of(0.7, sides[0]), of(0.5, sides[1]))]) == [grouped]


def test_what_is_not_comparable_or_not_kept_is_not_judged(planted: Any) -> None:
    other = side(planted, 0.3, data="d2")
    assert by_language([(side(planted, 0.7), other)]) == []
    first = side(planted, 0.7)
    bare = Side(first.scores, {})
    assert by_language([(first, bare)]) == []
    assert by_language([]) == []
    few = Side(first.scores, {"rel": ByLanguage({"de": first.rows["rel"]["de"]})})
    assert [(v.task, v.language) for v in by_language([(first, few)])] == [("rel", "de")]


def test_the_best_trial_against_the_best_baseline(planted: Any) -> None:
    trials = planted.study_rows()
    asked: list[int] = []

    def read(row: Any) -> Any:
        asked.append(row.number)
        return side(planted, row.objective).rows

    found = of_selection(trials, read)
    assert found is not None
    assert (found.trial, found.baseline) == (3, 1)
    assert sorted(asked) == [1, 3]
    assert {cell.num_seeds for cell in found.languages} == {1}
    assert of_selection(trials, lambda row: {}) == SelectionVerdicts(
        trial=3, baseline=1, languages=()
    )
    assert of_selection(trials[:2], read) is None, "the best is a baseline"
    assert of_selection(trials[2:4], read) is None, "there is none"
    collapsed = [replace(t, scores=planted.scores(0.6, mark=Mark.COLLAPSED)) for t in trials[2:4]]
    assert of_selection([*trials[:2], *collapsed], read) is None


def test_seeds_of_a_grid_are_paired(planted: Any) -> None:
    def trial(number: int, level: float, source: str | None, seed: int) -> Any:
        row = planted.scored(number, level, source)
        return replace(row, plan=row.plan.with_seed(seed))

    trials = [
        trial(0, 0.50, None, 1),
        trial(1, 0.52, None, 2),
        trial(2, 0.60, "fact", 2),
        trial(3, 0.61, "fact", 3),
        trial(4, 0.59, "fact", 1),
    ]
    found = of_selection(trials, lambda row: side(planted, row.objective, seed=row.number).rows)
    assert found is not None
    assert {cell.num_seeds for cell in found.languages} == {2}
    (german,) = [c for c in found.languages if (c.task, c.language) == ("rel", "de")]
    assert german.mean == pytest.approx(0.085)


def test_rows_and_scores_are_of_the_same_targets(planted: Any) -> None:
    """The main score of a target is that of its rows, so that a verdict is of the score shown."""
    first = side(planted, 0.6)
    target: TargetScores = first.scores.targets[0]
    for language, value in target.by_language.items():
        assert first.rows["rel"][language].mean() == pytest.approx(value)
