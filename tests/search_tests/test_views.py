"""Plans and verdicts on a terminal."""

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from search.plan import plan_study
from search.tracking import RegisteredModel
from search.verdict import BASELINE, WINNER, Retrained, Verdict
from search.views import show_plan, show_verdict
from spaces.study import StudySettings


def shown(show: Callable[..., None], content: Any) -> str:
    text = io.StringIO()
    show(content, Console(file=text, width=200))
    return text.getvalue()


def test_a_plan(settings_of: Callable[..., StudySettings]) -> None:
    text = shown(show_plan, plan_study(settings_of(budget={"num_trials": 15})))
    assert text.startswith("study tiny: 15 trials\n")
    assert "14 plans: 26 phases, of which 20 are distinct stages" in text
    assert "coh:0.50+fact:0.50 at 0.001" in text
    assert "first: none -> 1e-03; none -> 3e-03" in text
    assert "warning: the budget is 15 trials" in text


def test_an_endless_plan(settings_of: Callable[..., StudySettings]) -> None:
    rates = {"target_learning_rate": {"low": 1e-4, "high": 1e-3}}
    text = shown(show_plan, plan_study(settings_of(space=rates)))
    assert "cannot be counted" in text


@pytest.fixture
def verdict(planted: Any) -> Verdict:
    runs = tuple(
        Retrained(role=role, seed=seed, plan=planted.plan("fact"), scores=scores, phase_keys=())
        for seed in (1, 2, 3)
        for role, scores in ((WINNER, planted.scores(0.6)), (BASELINE, planted.scores(0.5)))
    )
    model = RegisteredModel(name="tiny-rel", version="3", model_id="m", uri="models:/tiny-rel/3")
    return Verdict(study="tiny", trial=2, runs=runs, models=(model,))


def test_a_verdict(verdict: Verdict) -> None:
    text = shown(show_verdict, verdict)
    assert "rel, test split" in text
    assert "zero-shot mean of rel: +10.0 ± 0.0 (3 paired seeds, 95 % interval" in text
    assert "zero-shot mean of all objective targets: +10.0" in text
    assert "registered tiny-rel version 3" in text


def test_a_verdict_without_a_baseline(verdict: Verdict) -> None:
    alone = Verdict(study="tiny", trial=0, runs=verdict.runs[:1], models=())
    assert "gain" not in shown(show_verdict, alone)


def test_a_plan_needs_no_torch() -> None:
    code = "import search.views, sys; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
