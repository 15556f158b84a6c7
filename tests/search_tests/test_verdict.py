"""What a retrain found, over its seeds."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from search.intervals import paired_difference
from search.verdict import BASELINE, WINNER, Retrained, Verdict
from search.views import show_verdict, verdict_json


def run(planted: Any, role: str, seed: int, level: float | None) -> Retrained:
    scores = None if level is None else planted.scores(level)
    return Retrained(role=role, seed=seed, plan=planted.plan("fact"), scores=scores, phase_keys=())


def verdict_of(*runs: Retrained) -> Verdict:
    return Verdict(study="tiny", trial=2, runs=runs, models=())


def test_the_gain_is_paired_by_seed(planted: Any) -> None:
    verdict = verdict_of(
        run(planted, WINNER, 1, 0.6),
        run(planted, BASELINE, 1, 0.5),
        run(planted, WINNER, 2, 0.65),
        run(planted, BASELINE, 2, 0.5),
        run(planted, WINNER, 3, 0.9),
        run(planted, BASELINE, 3, None),
    )
    for task, means in (
        (None, [planted.scores(x).zero_shot_mean for x in (0.6, 0.65, 0.5)]),
        ("retrieval", [planted.scores(x).targets[2].zero_shot_mean for x in (0.6, 0.65, 0.5)]),
    ):
        gain = verdict.gain(task)
        assert gain is not None
        assert gain.num == 2
        assert gain == paired_difference(means[:2], [means[2]] * 2)
    assert verdict_of(verdict.runs[0]).gain() is None
    assert verdict.tasks == ["rel", "coh", "retrieval"]


def test_the_card_and_the_json(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, 0.6), run(planted, BASELINE, 1, 0.5))
    card = verdict.card("rel")
    assert card.startswith("# tiny-rel\n")
    assert "| de | 70.0 | 60.0 |" in card
    assert verdict.summary()["zero_shot_mean"] == {"winner/1": 0.6, "baseline/1": 0.5}
    content = verdict_json(verdict)
    assert json.loads(json.dumps(content)) == content
    assert content["scores"]["rel"]["winner"]["de"] == pytest.approx(0.7)
    assert content["gain"]["mean"] == pytest.approx(0.1)
    assert content["gains"].keys() == {"rel", "coh", "retrieval"}


def test_a_verdict_says_which_test_rows_chose_the_trial(planted: Any) -> None:
    verdict = replace(verdict_of(run(planted, WINNER, 1, 0.6)), seen={"rel": ["de", "tr"]})
    sentence = "Selection has seen the test rows of rel (de tr)"
    assert sentence in verdict.card("rel")
    assert sentence not in verdict.card("coh")
    assert verdict_json(verdict)["seen_test_rows"] == {"rel": ["de", "tr"]}
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    assert sentence in told.getvalue()


def test_a_winner_without_a_baseline(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, 0.6))
    assert "| de | 70.0 |  |" in verdict.card("rel")
    assert verdict.by_language(BASELINE, "rel") == {}
    assert verdict_json(verdict)["gain"] is None


def test_where_every_seed_diverged(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, None))
    assert (verdict.tasks, verdict.gain()) == ([], None)
    assert verdict_json(verdict)["scores"] == {}
