"""What a retrain found, over its seeds."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from search.answers import MEANING, between
from search.intervals import paired_difference
from search.judging import by_language
from search.verdict import BASELINE, WINNER, Retrained, Verdict, judged_pairs
from search.views import show_verdict, verdict_json
from trainables import outcomes
from trainables.outcomes import of_values


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
    assert "| de | 70.0 | 60.0 |  |  |" in card
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
    assert "| de | 70.0 |  |  |  |" in verdict.card("rel")
    assert verdict.by_language(BASELINE, "rel") == {}
    assert verdict_json(verdict)["gain"] is None


def test_where_every_seed_diverged(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, None))
    assert (verdict.tasks, verdict.gain()) == ([], None)
    assert verdict_json(verdict)["scores"] == {}


def test_verdicts_by_language_on_the_card_and_in_the_record(planted: Any, tmp_path: Path) -> None:
    """From the files of outcomes: German is better, of Turkish nothing can be said."""
    shares = {
        (WINNER, "de"): 0.9,
        (BASELINE, "de"): 0.4,
        (WINNER, "tr"): 0.5,
        (BASELINE, "tr"): 0.5,
    }
    runs = []
    for seed, level in ((1, 0.6), (2, 0.64)):
        for role in (WINNER, BASELINE):
            file = tmp_path / f"{role}-{seed}"
            draw = np.random.default_rng(seed)
            rows = {code: of_values(draw.random(100) < shares[role, code]) for code in ("de", "tr")}
            outcomes.write(file, rows)
            runs.append(replace(run(planted, role, seed, level), outcomes={"rel": str(file)}))
    pairs = judged_pairs([*runs, run(planted, WINNER, 3, 0.6)], lambda f: outcomes.read(Path(f)))
    assert len(pairs) == 2
    verdict = replace(verdict_of(*runs), languages=tuple(by_language(pairs)))
    called = verdict.called("rel")
    assert {code: cell["call"] for code, cell in called.items()} == {"de": "better", "tr": "tie"}
    assert called["de"]["num_seeds"] == 2
    card = verdict.card("rel")
    assert f"| de | 72.0 ± 2.8 | 72.0 ± 2.8 | {between(called['de'])} | better |" in card
    assert MEANING in card
    assert MEANING not in verdict.card("coh")
    content = verdict_json(verdict)
    assert json.loads(json.dumps(content)) == content
    assert content["languages"] == list(called.values())
    assert content["std"]["rel"]["winner"]["de"] == pytest.approx(0.0283, abs=1e-4)
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    assert MEANING in told.getvalue()
    assert between(called["de"]) in told.getvalue()
