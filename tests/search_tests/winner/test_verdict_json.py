"""The JSON of a verdict: its keys, in their order, as records and scripts read them."""

import json
from typing import Any

from search.display.json_form import json_of
from search.record.reader import BASELINE, WINNER
from search.winner.verdict import RetrainedSeed, Verdict
from search.winner.verdict_json import summary_json, verdict_json

SUMMARY = (
    *("seeds", "roles", "lock", "zero_shot_mean", "gain", "gains", "gain_over_twin"),
    *("gains_over_twin", "num_diverged", "num_collapsed", "chosen", "std", "languages"),
    *("seen_test_rows", "curse", "cautions"),
)


def verdict(planted: Any, **scores: float | None) -> Verdict:
    runs = tuple(
        RetrainedSeed(
            role=role,
            seed=1,
            plan=planted.plan("fact"),
            scores=None if level is None else planted.scores(level),
            phase_keys=(),
        )
        for role, level in scores.items()
    )
    return Verdict(study="tiny", trial=2, runs=runs, models=())


def test_the_keys_stay(planted: Any) -> None:
    judged = verdict(planted, winner=0.6, baseline=0.5)
    assert tuple(summary_json(judged)) == SUMMARY
    printed = (*SUMMARY, "scores", "models", "unregistered", "champions")
    assert tuple(verdict_json(judged)) == ("study", "trial", *printed)


def test_it_is_json_and_holds_the_same_numbers(planted: Any) -> None:
    judged = verdict(planted, winner=0.6, baseline=0.5)
    content = verdict_json(judged)
    assert json.loads(json.dumps(content)) == content
    assert content["zero_shot_mean"] == {"winner/1": 0.6, "baseline/1": 0.5}
    assert content["gain"] == json_of(judged.gain())
    assert content["chosen"]["rel"] == {"seed": 1, "validation": None, "zero_shot_mean": 0.6}
    assert content["scores"]["rel"] == {
        role: judged.by_language(role, "rel") for role in (WINNER, BASELINE)
    }


def test_without_scores_there_is_nothing_by_language(planted: Any) -> None:
    content = verdict_json(verdict(planted, winner=None))
    assert (content["scores"], content["std"], content["gain"]) == ({}, {}, None)
    assert content["num_diverged"] == {"winner": 1}
