"""A verdict as JSON: the summary that the record keeps, and what `retrain --json` prints. Pure."""

from dataclasses import asdict

from search.display.json_form import json_of
from search.record.reader import BASELINE, TWIN, WINNER
from search.winner.verdict import Verdict
from search.winner.verdict_text import unregistered
from spaces.json_values import JsonObject, to_json


def verdict_json(verdict: Verdict) -> JsonObject:
    """The summary with the test scores by target, role and language, and the models."""
    scores = {
        task: {
            role: verdict.by_language(role, task)
            for role in dict.fromkeys((WINNER, BASELINE, *verdict.roles))
        }
        for task in verdict.scored_tasks
    }
    models = [{"name": m.name, "version": m.version, "uri": m.uri} for m in verdict.models]
    return to_json(
        {
            "study": verdict.study,
            "trial": verdict.trial,
            **summary_json(verdict),
            "scores": scores,
            "models": models,
            "unregistered": list(unregistered(verdict)),
            "champions": verdict.decisions,
        }
    )


def summary_json(verdict: Verdict) -> JsonObject:
    """The zero-shot means by role and seed, the gains with their intervals, what failed, and which
    seeds' models are registered."""
    roles, tasks = verdict.roles, verdict.tasks
    gain, over_twin = verdict.gain(), verdict.gain(over=TWIN)
    has_scores = any(verdict.by_seed(role) for role in roles)
    return to_json(
        {
            "seeds": list(dict.fromkeys(run.seed for run in verdict.runs)),
            "roles": roles,
            "lock": verdict.lock,
            "zero_shot_mean": {
                f"{run.role}/{run.seed}": run.scores.zero_shot_mean if run.scores else None
                for run in verdict.runs
            },
            "gain": gain and json_of(gain),
            "gains": _gains(verdict, BASELINE),
            "gain_over_twin": over_twin and json_of(over_twin),
            "gains_over_twin": _gains(verdict, TWIN),
            "num_diverged": {role: verdict.num_diverged(role) for role in roles},
            "num_collapsed": {
                role: {task: verdict.num_collapsed(role, task) for task in tasks} for role in roles
            },
            "chosen": {task: _chosen(verdict, task) for task in tasks},
            "std": {task: _deviations(verdict, task) for task in tasks if has_scores},
            "languages": verdict.languages,
            "seen_test_rows": verdict.seen,
            "curse": _curse(verdict),
            "cautions": verdict.cautions,
        }
    )


def _gains(verdict: Verdict, over: str) -> dict[str, object]:
    gains = {task: verdict.gain(task, over=over) for task in verdict.tasks}
    return {task: json_of(gain) for task, gain in gains.items() if gain}


def _chosen(verdict: Verdict, task: str) -> dict[str, object] | None:
    run = verdict.chosen(task)
    scores = None if run is None else run.of(task)
    if run is None or scores is None:
        return None
    validation = verdict.validation_of(run, task)
    return {"seed": run.seed, "validation": validation, "zero_shot_mean": scores.zero_shot_mean}


def _deviations(verdict: Verdict, task: str) -> dict[str, dict[str, float | None]]:
    """Role -> language -> standard deviation over the seeds."""
    return {
        role: {code: interval.std for code, interval in verdict.intervals(role, task).items()}
        for role in (WINNER, BASELINE)
    }


def _curse(verdict: Verdict) -> dict[str, object] | None:
    curse = verdict.curse
    if curse is None:
        return None
    return {**asdict(curse), "falls_out": curse.falls_out, "exceeds": curse.exceeds}
