"""Plans and verdicts on a terminal."""

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from rich.console import Console

from search.cli.views import show_plan, show_verdict
from search.planning.plan import plan_study
from search.record.reader import BASELINE, WINNER
from search.record.registry import RegisteredModel
from search.winner.champion import Decision
from search.winner.verdict import RetrainedSeed, Verdict
from search.winner.verdict_json import verdict_json
from search.winner.winners_curse import WinnersCurse
from spaces.study_file.study import StudySettings


def shown(show: Callable[..., None], content: Any) -> str:
    text = io.StringIO()
    show(content, Console(file=text, width=200))
    return text.getvalue()


def test_a_plan(settings_of: Callable[..., StudySettings]) -> None:
    text = shown(show_plan, plan_study(settings_of(budget={"num_trials": 15})))
    assert text.startswith("study tiny: 15 trials\n")
    assert "14 plans: 26 phases, of which 20 are distinct stages" in text
    assert "coh:0.50+fact:0.50 at 0.001" in text
    assert "first: baseline 1e-03; baseline 3e-03" in text
    assert "warning: the budget is 15 trials" in text


def test_an_endless_plan(settings_of: Callable[..., StudySettings]) -> None:
    rates = {"target_learning_rate": {"low": 1e-4, "high": 1e-3}}
    text = shown(show_plan, plan_study(settings_of(space=rates)))
    assert "cannot be counted" in text


@pytest.fixture
def verdict(planted: Any) -> Verdict:
    runs = tuple(
        RetrainedSeed(role=role, seed=seed, plan=planted.plan("fact"), scores=scores, phase_keys=())
        for seed in (1, 2, 3)
        for role, scores in ((WINNER, planted.scores(0.6)), (BASELINE, planted.scores(0.5)))
    )
    model = RegisteredModel(name="tiny-rel", version="3", model_id="m", uri="models:/tiny-rel/3")
    return Verdict(study="tiny", trial=2, runs=runs, models=(model,))


def test_a_verdict(verdict: Verdict) -> None:
    text = shown(show_verdict, verdict)
    assert "rel, test split" in text
    assert "Gain over the baseline, zero-shot mean of rel, 3 seeds: +10.0 (95 % interval" in text
    assert "zero-shot mean of all objective targets, 3 seeds: +10.0" in text
    assert "twin" not in text
    assert "registered tiny-rel version 3" in text


@pytest.mark.parametrize(
    ("curse", "sentence"),
    [
        ({}, "+6.0 expected (95 % interval +3.0 to +9.0), +5.0 over 3 fresh seeds\n"),
        ({"retrained": 0.01}, "+1.0 over 3 fresh seeds: LESS than the search promised\n"),
        ({"retrained": 0.11}, "+11.0 over 3 fresh seeds: more than the search promised\n"),
        (
            {"low": None, "high": None},
            "the expected gain is not known, because every plan has only one seed",
        ),
    ],
)
def test_luck_cautions_and_champions(
    curse: dict[str, Any], sentence: str, verdict: Verdict
) -> None:
    given = {"searched": 0.08, "predicted": 0.06, "low": 0.03, "high": 0.09, "retrained": 0.05}
    found = WinnersCurse(**{**given, "kept": 0.5, "num_plans": 4, "num_seeds": 3, **curse})
    decision = Decision(name="tiny-rel", is_champion=False, reason="worse; --promote")
    judged = replace(verdict, curse=found, cautions=("torch was 1",), decisions=(decision,))
    text = shown(show_verdict, judged)
    assert "gain over the best baseline: +8.0 in the search, " in text
    assert sentence in text
    assert "warning: torch was 1\n" in text
    assert "tiny-rel: the new version does not become the champion: worse; --promote\n" in text
    content = verdict_json(judged)
    assert content["curse"]["falls_out"] is (curse.get("retrained") == 0.01)
    assert content["curse"]["exceeds"] is (curse.get("retrained") == 0.11)
    assert content["cautions"] == ["torch was 1"]
    assert content["champions"] == [asdict(decision)]


def test_a_verdict_without_a_baseline(verdict: Verdict) -> None:
    alone = Verdict(study="tiny", trial=0, runs=verdict.runs[:1], models=())
    assert "gain" not in shown(show_verdict, alone)


def test_a_plan_needs_no_torch() -> None:
    code = "import search.cli.views, sys; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
